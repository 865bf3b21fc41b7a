"""Lives are told from records: legs, stages, route, reversal, end, and what cannot be said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.journal.trace import Life, tell
from switch.model.state import Cause, ReversalEffect
from switch.native import journal, walk
from tests.support.walk import DAY, NOW_S, OUT_TIME, PAN, World, open_world, restarted


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


def told(world: World, txn: int) -> Life:
    world.sync()
    reader = journal.Reader.open(world.directory, world.keys)
    return tell(reader.search(txn=txn)["records"], txn)


def whats(life: Life) -> list[str]:
    return [event.what for event in life.events]


def test_an_approval_has_both_legs_in_order(world: World) -> None:
    request = world.purchase(3)
    walk.Routes([("62990012", world.bank)]).find(request)
    txn, stan, _ = world.forward(request)
    frame = world.flow()[world.host]
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    life = told(world, txn)
    assert whats(life) == ["received", "accepted", "sent", "replied", "answered", "told"]
    assert (life.acquirer, life.issuer, life.kind) == ("ACQ01", "BANK01", "purchase")
    assert (life.outcome, life.end, life.end_title) == ("approved", "--", "answered")
    assert (life.stan, life.out_stan, life.rrn) == ("000003", stan, f"{3:012}")
    assert life.route == "629900xx (8 digits)", "never more than six with the last four"
    sent = life.events[2]
    assert (sent.member, sent.incoming) == ("BANK01", False)
    assert sent.text.startswith(f"0200 STAN {stan:06d} at {OUT_TIME}")
    assert "0210 code 00  authorisation A1B2C3" in life.events[3].text
    assert life.lsns == [1, 2]
    assert life.gaps == []


def test_no_life_holds_a_card_number(world: World) -> None:
    _, txn = world.approved()
    assert PAN not in repr(told(world, txn))
    assert told(world, txn).card == "629900******7891"


def test_a_time_out_tells_its_reversal_to_the_end(world: World) -> None:
    request, txn, _ = world.purchase_to_bank(3)
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77, OUT_TIME
    )
    assert owed is not None
    life = told(world, txn)
    assert life.reversal is not None
    assert (life.reversal.state, life.reversal.cause, life.reversal.stan) == ("owed", "timeout", 77)
    assert "TW bank timed out" in life.events[3].text
    world.gate.settle(owed, "parked", world.wall_ms, "RL")
    parked = told(world, txn).reversal
    assert parked is not None
    assert parked.state == "parked"
    assert world.gate.deliver(owed, world.host, repeat=True)
    world.gate.settle(owed, "00", world.wall_ms, "TL")
    life = told(world, txn)
    assert whats(life)[-4:] == ["told", "owed", "parked", "settled"]
    assert life.reversal is not None
    assert (life.reversal.state, life.reversal.result, life.reversal.attempts) == (
        "acknowledged", "00", 1,
    )  # fmt: skip
    assert "too late" in life.events[-1].text


def test_an_acquirers_advice_is_told_to_the_operators_final_word(world: World) -> None:
    message, txn = world.purchase(4, mti="0220"), world.next_txn()
    world.claim(message, txn)
    owed = world.gate.advise(
        message, world.terminal, txn, world.acquirer, world.bank, 90, OUT_TIME,
        world.wall_ms, NOW_S, DAY,
    )  # fmt: skip
    life = told(world, txn)
    assert whats(life) == ["received", "accepted", "owed", "told"]
    assert (life.outcome, life.code, life.issuer) == ("approved", "00", "BANK01")
    assert life.advice is not None
    assert (life.advice.state, life.advice.stan) == ("owed", 90)
    for result, end in (("dead", "IS"), ("retried", "--"), ("held", "--"), ("released", "--")):
        world.gate.settle(owed, result, world.wall_ms, end, "anna", "")
    life = told(world, txn)
    assert whats(life)[-4:] == ["dead", "owed", "held", "owed"]
    assert "dead letter: refused" in life.events[-4].text
    world.gate.settle(owed, "written_off", world.wall_ms, "OS", "anna", "by phone")
    life = told(world, txn)
    assert life.events[-1].text.endswith("; by anna: by phone")
    assert life.advice is not None
    assert (life.advice.state, life.reversal) == ("written off", None)


def test_an_acquirers_reversal_is_part_of_the_life(world: World) -> None:
    _, original = world.approved(1)
    reversal = world.reversal_of(1, 2)
    txn = world.next_txn()
    world.claim(reversal, txn)
    world.gate.reversal(
        reversal, world.terminal, txn, world.acquirer, original, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 88, OUT_TIME,
    )  # fmt: skip
    life = told(world, original)
    assert whats(life)[-2:] == ["taken back", "owed"]
    assert life.outcome == "reversed"
    assert life.code == "00", "the answer that it had"
    assert life.reversal is not None
    assert (life.reversal.cause, life.reversal.stan) == ("acquirer", 88)


def test_a_refused_tap_says_why(world: World) -> None:
    request, txn = world.purchase(), world.next_txn()
    world.claim(request, txn)
    world.gate.decline(
        request, world.terminal, txn, world.acquirer, "05", "DC", world.wall_ms, "atc_seen"
    )
    life = told(world, txn)
    assert whats(life) == ["received", "declined", "told"]
    assert (life.tap, life.verdict, life.end) == (True, "refused: atc_seen", "DC")
    assert life.end_title == "transaction counter replayed"


def test_what_is_open_is_said(world: World) -> None:
    _, txn, _ = world.purchase_to_bank()
    life = told(world, txn)
    assert (life.outcome, life.end) == ("in flight", "")
    assert any("no outcome is recorded" in gap for gap in life.gaps)


def test_a_restart_in_between_is_told(world: World) -> None:
    _, txn, _ = world.purchase_to_bank()
    with restarted(world) as (after, _):
        after.journal.append({"kind": "STARTED", "config": "0123456789abcdef", "at_ms": 1})
        after.gate.undo(txn, "91", "JW", after.wall_ms, Cause.RESTART, 99, OUT_TIME)
        life = told(after, txn)
    assert whats(life) == ["received", "accepted", "started", "answered", "told", "owed"]
    assert (life.end, life.end_title) == ("JW", "in doubt after a restart")
    assert any("bank's leg left is not recorded" in gap for gap in life.gaps)


def test_a_life_whose_beginning_is_gone_says_so() -> None:
    settled = {
        "kind": "SETTLED", "lsn": 9, "carried": False, "txn": 5, "result": "00", "at_ms": 7,
    }  # fmt: skip
    life = tell([settled], 5)
    assert whats(life) == ["settled"]
    assert any("first record is not in the journal" in gap for gap in life.gaps)


def test_records_of_an_older_version_are_told_without_times() -> None:
    accepted = {
        "kind": "ACCEPTED", "lsn": 1, "carried": False, "txn": 5, "mti": "0200", "stan": "000001",
        "acquirer": "ACQ01", "issuer": "BANK01", "message_kind": 2, "at_ms": 1,
    }  # fmt: skip
    declined = {
        "kind": "DECLINED", "lsn": 2, "carried": False, "txn": 6, "mti": "0200", "end": "ST",
        "code": "57", "outcome": 3, "message_kind": 2,
    }  # fmt: skip
    life = tell([accepted], 5)
    assert life.route == ""
    assert any("no stage times" in gap for gap in life.gaps)
    assert tell([declined], 6).end_title == "token not usable", "by its successor"
