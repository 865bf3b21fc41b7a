"""Orders about tokens, on a real vault and a real index."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from switch.errors import TokenError, TokenIndexError, VaultError
from switch.model.pan import luhn_digit
from switch.model.token import Domain, TokenState
from switch.settings.schema import TokenRange
from switch.tokens import orders
from switch.tokens.numbers import luhn_valid
from tests.support.canary import find
from tests.support.vault import BY, Room, card, differences, opened, provision


def token_number(number: int) -> str:
    """A sound token of the range."""
    body = f"629977{number:09d}"
    return body + luhn_digit(body)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with opened(tmp_path) as made:
        yield made


async def test_token_is_random_valid_of_its_range_and_usable(room: Room) -> None:
    first, second = await room.issue(1), await room.issue(1)
    assert first.token != second.token
    for shown in (first, second):
        assert shown.token.startswith("629977")
        assert len(shown.token) == 16
        assert luhn_valid(shown.token)
        assert shown.pan == "629900******0015"
        assert room.usable(shown.token)
    assert await differences(room) == []
    assert await room.books.vault.database.row("SELECT count(*) FROM cards") == (1,)


async def test_token_has_all_that_was_given(room: Room) -> None:
    domain = Domain(channels=1, mccs=(4111,), ceiling_minor=9, ceiling_currency=156)
    shown = await room.issue(
        1,
        card=card(1, sequence=4, par="P" * 29),
        token_expiry="2901",
        token_sequence=7,
        assurance="1A",
        domain=domain,
        suspended=True,
    )
    assert (shown.state, shown.token_expiry, shown.token_sequence) == ("suspended", "2901", 7)
    assert (shown.card_expiry, shown.card_sequence, shown.par) == ("3106", 4, "P" * 29)
    assert (shown.assurance, shown.domain, shown.mapping_version) == ("1A", domain, 1)
    assert not room.usable(shown.token)
    assert (await room.show(shown.token)).domain == domain


async def test_suspend_resume_delete_reach_the_next_tap(room: Room) -> None:
    token = (await room.issue(1)).token
    for order, state in (
        (room.suspend, TokenState.SUSPENDED),
        (room.resume, TokenState.ACTIVE),
        (room.delete, TokenState.DELETED),
    ):
        shown = await order(token)
        assert (shown.state, shown.changed) == (state.name.lower(), True)
        found = room.tap(token)
        assert found is not None
        assert found["state"] == state
        change = await room.books.vault.change()
        assert (await order(token)).changed is False
        assert await room.books.vault.change() == change, "nothing was changed"
    for order in (room.suspend, room.resume):
        with pytest.raises(TokenError, match="deleted for good"):
            await order(token)
    assert await differences(room) == []


async def test_another_card_behind_a_token_keeps_the_old_mapping(room: Room) -> None:
    token = (await room.issue(1)).token
    shown = await room.replace(token, card(2, "3312"))
    assert (shown.pan, shown.mapping_version, shown.card_expiry) == (
        "629900******0023",
        2,
        "3312",
    )
    # The same card renewed is another mapping too; the very same is none.
    assert (await room.replace(token, card(2, "3412"))).mapping_version == 3
    assert (await room.replace(token, card(2, "3412"))).changed is False
    history = (await room.show(token)).history
    assert [(old.version, old.pan, old.card_expiry) for old in history] == [
        (1, "629900******0015", "3106"),
        (2, "629900******0023", "3312"),
    ]
    found = room.tap(token)
    assert found is not None
    assert found["mapping_version"] == 3
    assert await differences(room) == []


async def test_suspended_token_stays_suspended_with_its_new_card(room: Room) -> None:
    token = (await room.issue(1)).token
    await room.suspend(token)
    assert (await room.replace(token, card(2))).state == "suspended"
    assert not room.usable(token)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card": card(1, "3113")}, "the card's expiry"),
        ({"card": card(1, sequence=100)}, "the card's sequence"),
        ({"card": card(1, par="p" * 29)}, "the PAR"),
        ({"card": card(1, par="P" * 28)}, "the PAR"),
        ({"card": orders.CardGiven(pan="6299000000000016", expiry="3106")}, "check digit"),
        ({"card": orders.CardGiven(pan="62990000000000x9", expiry="3106")}, "other characters"),
        ({"card": orders.CardGiven(pan="629900000009", expiry="3106")}, "12 digits"),
        ({"card": card(1, digits=19)}, "no token range for cards of 19 digits"),
        ({"requestor": "123"}, "the requestor"),
        ({"assurance": "1"}, "the assurance method"),
        ({"token_expiry": "3000"}, "the token's expiry"),
        ({"token_sequence": 100}, "the token's sequence"),
        ({"token": "6299780000000007"}, "no token range"),
        ({"token": "6299770000000000"}, "the token's check digit"),
    ],
)
async def test_what_is_not_sound_is_refused_audited_and_changes_nothing(
    room: Room, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(TokenError, match=said) as caught:
        await room.issue(1, **changes)
    assert caught.value.exit_code == 5
    assert await room.books.vault.count() == 0
    assert await differences(room) == []
    (row,) = await room.audit()
    assert (row.action, row.outcome, row.code) == ("issue", "refused", "TSW-O0108")
    assert said.rsplit(maxsplit=1)[-1] in row.detail


async def test_number_is_never_both_token_and_card(room: Room) -> None:
    token = (await room.issue(1)).token
    with pytest.raises(TokenError, match="lies in a token range"):
        await room.issue(1, card=orders.CardGiven(pan=token, expiry="3106"))
    with pytest.raises(TokenError, match="lies in a token range"):
        await room.replace(token, orders.CardGiven(pan=token, expiry="3106"))


async def test_given_token_is_taken_once(room: Room) -> None:
    number = token_number(0)
    assert luhn_valid(number)
    assert (await room.issue(1, token=number)).token == number
    with pytest.raises(TokenError, match="exists already"):
        await room.issue(2, token=number)
    rows = [provision(n, token=token_number(1)) for n in (1, 2)]
    with pytest.raises(TokenError, match="exists already"):
        await room.service.perform(orders.Import(by=BY, rows=rows))


async def test_full_range_is_told(tmp_path: Path) -> None:
    """Eleven digits of prefix and one of check leave ten numbers of 13 digits."""
    ranges = (TokenRange(prefix="62997700000", length=13),)
    async with opened(tmp_path, ranges=ranges) as room:
        for _ in range(10):
            await room.issue(1, card=card(1, digits=13))
        with pytest.raises(TokenError, match="as good as full"):
            await room.issue(1, card=card(1, digits=13))
        assert await differences(room) == []


async def test_par_is_one_to_a_card(room: Room) -> None:
    await room.issue(1)
    assert (await room.issue(1, card=card(1, par="P" * 29))).par == "P" * 29
    with pytest.raises(TokenError, match="another PAR"):
        await room.issue(1, card=card(1, par="Q" * 29))


async def test_nobody_and_no_reason_are_refused(room: Room) -> None:
    token = (await room.issue(1)).token
    for by, said in (
        (orders.By(actor="", reason="x"), "who orders"),
        (orders.By(actor="a" * 65, reason="x"), "who orders"),
        (orders.By(actor="a"), "no reason"),
        (orders.By(actor="a", reason="x" * 201), "longer than"),
        (orders.By(actor="a", reason="a\nb"), "not printable"),
        (orders.By(actor="a", reason=f"for {card(1).pan}"), "looks like a card number"),
        (orders.By(actor="a", reason="for 6299 0000 0000 0015"), "looks like a card number"),
    ):
        with pytest.raises(TokenError, match=said):
            await room.service.perform(orders.Suspend(by=by, token=token))
    assert room.usable(token)
    refused = [row for row in await room.audit() if row.outcome == "refused"]
    assert len(refused) == 7
    assert all("6299" not in row.reason for row in refused)


async def test_reading_needs_no_reason_and_is_audited(room: Room) -> None:
    token = (await room.issue(1)).token
    by = orders.By(actor="looker")
    await room.service.perform(orders.Show(by=by, token=token))
    await room.service.perform(orders.List(by=by))
    assert [(row.actor, row.action, row.token) for row in await room.audit()][1:] == [
        ("looker", "show", token),
        ("looker", "list", ""),
    ]


@pytest.mark.parametrize("number", [token_number(0), card(1).pan, "629977", "x", ""])
async def test_what_is_no_token_here_is_refused(room: Room, number: str) -> None:
    """A card number given in the place of a token is in no record."""
    for order in (room.show, room.suspend, room.resume, room.delete):
        with pytest.raises(TokenError, match=r"no such token|no token range") as caught:
            await order(number)
        assert len(number) < 8 or number not in str(caught.value)
    rows = await room.audit()
    assert len(rows) == 4
    assert {row.token for row in rows} == {number if number.startswith("62997700") else ""}


async def test_list_pages_in_order_and_filters(room: Room) -> None:
    tokens = sorted(await room.bring(25))
    await room.suspend(tokens[3])
    await room.issue(1, requestor="99900000009")

    async def listed(**fields: Any) -> orders.Listed:
        answer = await room.service.perform(orders.List(by=BY, **fields))
        assert isinstance(answer, orders.Listed)
        return answer

    seen: list[str] = []
    more = True
    while more:
        page = await listed(limit=10, after=seen[-1] if seen else "")
        seen += [one.token for one in page.tokens]
        more = page.more
    assert len(seen) == 26
    assert seen == sorted(seen)
    assert [one.token for one in (await listed(state=3)).tokens] == [tokens[3]]
    (other,) = (await listed(requestor="99900000009")).tokens
    both = await listed(pan=card(1).pan)
    assert len(both.tokens) == 2
    assert other.token in [one.token for one in both.tokens]
    assert (await listed(pan=card(777).pan)).tokens == []
    with pytest.raises(TokenError, match="no card number"):
        await listed(pan="1")


async def test_import_is_all_or_nothing_and_names_the_lines(room: Room) -> None:
    rows = [provision(1), provision(2, requestor="1"), provision(3), provision(4, assurance="")]
    with pytest.raises(TokenError) as caught:
        await room.service.perform(orders.Import(by=BY, rows=rows, first_line=2))
    assert "line 3: the requestor" in caught.value.problem
    assert "line 5: the assurance" in caught.value.problem
    assert await room.books.vault.count() == 0
    with pytest.raises(TokenError, match="no rows"):
        await room.service.perform(orders.Import(by=BY, rows=[]))


async def test_import_gives_tokens_in_the_order_of_its_rows(room: Room) -> None:
    tokens = await room.bring(200)
    assert len(set(tokens)) == 200
    for number in (0, 77, 199):
        assert (await room.show(tokens[number])).pan[-4:] == card(number).pan[-4:]
    # Known cards are found again: a second token each, no second card.
    await room.bring(200)
    assert await room.books.vault.database.row("SELECT count(*) FROM cards") == (200,)
    assert await differences(room) == []


async def test_cards_are_found_under_an_older_key_version(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        await room.issue(1)
        keys = room.keys
    async with opened(tmp_path, keys, key_version=3) as room:
        shown = await room.issue(1)
        await room.issue(2)
        versions = await room.books.vault.database.rows("SELECT key_version FROM cards")
        assert versions == [(1,), (3,)]
        answer = await room.service.perform(orders.List(by=BY, pan=card(1).pan))
        assert isinstance(answer, orders.Listed)
        assert shown.token in [one.token for one in answer.tokens]
        assert await differences(room) == []


async def test_card_number_that_was_moved_to_another_row_does_not_open(room: Room) -> None:
    first, second = (await room.issue(1)).token, (await room.issue(2)).token
    async with room.books.vault.database.transaction() as txn:
        (one,), (two,) = await txn.rows("SELECT pan_sealed FROM cards ORDER BY id")
        await txn.execute("UPDATE cards SET pan_sealed = ? WHERE id = 1", (two,))
        await txn.execute("UPDATE cards SET pan_sealed = ? WHERE id = 2", (one,))
    for token in (first, second):
        with pytest.raises(VaultError, match="does not open"):
            await room.show(token)


async def test_no_card_number_is_in_the_files_or_in_a_repr(tmp_path: Path) -> None:
    planted: dict[str, str | bytes] = {f"card {number}": card(number).pan for number in (1, 2, 3)}
    async with opened(tmp_path) as room:
        token = (await room.issue(1)).token
        await room.replace(token, card(2))
        await room.bring(1, first=3)
        with pytest.raises(TokenError):
            await room.show(card(1).pan)
        row = await room.books.vault.find(token)
        told = repr([provision(1), card(1), orders.List(by=BY, pan=card(1).pan), row])
        assert find(planted, [tmp_path]) == []
        assert not any(str(pan) in told for pan in planted.values())
    assert find(planted, [tmp_path]) == []


async def test_audit_tells_every_order_and_its_chain_holds(room: Room) -> None:
    token = (await room.issue(1)).token
    await room.suspend(token)
    await room.suspend(token)
    await room.delete(token)
    with pytest.raises(TokenError):
        await room.resume(token)
    rows = await room.audit()
    assert [(row.action, row.outcome) for row in rows] == [
        ("issue", "done"),
        ("suspend", "done"),
        ("suspend", "unchanged"),
        ("delete", "done"),
        ("resume", "refused"),
    ]
    assert all((row.actor, row.reason, row.token) == ("tester", "a test", token) for row in rows)
    assert await verdict(room) == orders.AuditVerdict(records=6), "the look itself is the sixth"


UNAUDITED = {orders.Status}
"""A look that programs take many times a minute; it shows two counts."""


async def test_every_order_that_there_is_leaves_its_record_done_and_refused(room: Room) -> None:
    first, second = (await room.issue(1)).token, (await room.issue(2)).token
    given: dict[type[orders.Order], dict[str, Any]] = {
        orders.Issue: {"provision": provision(3)},
        orders.Import: {"rows": [provision(4)]},
        orders.Show: {"token": first},
        orders.Suspend: {"token": first},
        orders.Resume: {"token": first},
        orders.ReplacePan: {"token": first, "card": card(9, "3312")},
        orders.Delete: {"token": second},
        orders.List: {},
        orders.Audit: {},
        orders.VerifyAudit: {},
        orders.Reindex: {},
        orders.Status: {},
    }
    assert set(given) == set(get_args(orders.Order))
    for kind, values in given.items():
        before = len(await rows_of(room))
        await room.service.perform(kind(by=BY, **values))
        with pytest.raises(TokenError, match="who orders this"):
            await room.service.perform(kind(by=orders.By(actor=""), **values))
        told = [(row.action, row.outcome) for row in (await rows_of(room))[before:]]
        name = str(kind.__struct_config__.tag)
        done = [] if kind in UNAUDITED else [(name, "done")]
        assert told == [*done, (name, "refused")], name
    assert (await verdict(room)).broken_at == 0


async def rows_of(room: Room) -> list[orders.AuditRow]:
    """The records, without the order that would leave another."""
    return await room.books.vault.audit("", 10_000)


async def verdict(room: Room) -> orders.AuditVerdict:
    answer = await room.service.perform(orders.VerifyAudit(by=BY))
    assert isinstance(answer, orders.AuditVerdict)
    return answer


@pytest.mark.parametrize(
    ("forged", "at"),
    [
        ("DELETE FROM audit WHERE sequence = 2", 2),
        ("DELETE FROM audit WHERE sequence = 1", 1),
        ("DELETE FROM audit WHERE sequence > 3", 4),
        ("UPDATE audit SET reason = 'other' WHERE sequence = 3", 3),
        ("UPDATE audit SET actor = 'a', reason = 'testera test' WHERE sequence = 3", 3),
        ("UPDATE audit SET sequence = sequence + 10 WHERE sequence = 5", 5),
    ],
)
async def test_forged_audit_is_noticed(room: Room, forged: str, at: int) -> None:
    for number in range(5):
        await room.issue(number)
    database = room.books.vault.database
    for statement in (forged,):
        with pytest.raises(sqlite3.IntegrityError, match="audit records are never"):
            async with database.transaction() as txn:
                await txn.execute(statement)
    async with database.transaction() as txn:
        await txn.execute("DROP TRIGGER audit_stays")
        await txn.execute("DROP TRIGGER audit_stands")
        await txn.execute(forged)
    assert (await verdict(room)).broken_at == at


async def test_every_order_and_answer_travels_as_json(room: Room) -> None:
    token = (await room.issue(1)).token
    made: list[orders.Order] = [
        orders.Issue(by=BY, provision=provision(1)),
        orders.Import(by=BY, rows=[provision(1)]),
        orders.Suspend(by=BY, token=token),
        orders.Resume(by=BY, token=token),
        orders.ReplacePan(by=BY, token=token, card=card(5)),
        orders.Show(by=BY, token=token),
        orders.List(by=BY),
        orders.Audit(by=BY),
        orders.VerifyAudit(by=BY),
        orders.Reindex(by=BY),
        orders.Status(by=BY),
        orders.Delete(by=BY, token=token),
    ]
    for order in made:
        again = msgspec.json.decode(msgspec.json.encode(order), type=orders.Order)
        assert again == order
        answer = await room.service.perform(order)
        assert msgspec.json.decode(msgspec.json.encode(answer), type=orders.Answer) == answer
    assert await differences(room) == []


async def test_damaged_index_is_rebuilt_by_the_order_that_finds_it(
    tmp_path: Path, room: Room
) -> None:
    tokens = await room.bring(50)
    room.books.index.mark_stale()
    with pytest.raises(TokenIndexError):
        room.tap(tokens[0])
    assert (await room.suspend(tokens[0])).state == "suspended"
    assert not room.usable(tokens[0])
    assert room.usable(tokens[1])
    assert await differences(room) == []
    room.books.index.mark_stale()
    assert (await room.resume(tokens[0])).state == "active"
    assert room.usable(tokens[0])
    room.books.index.mark_stale()
    assert room.usable((await room.issue(900)).token)
    assert await differences(room) == []
