"""Each rule about tokens: ledgers in which it holds, and ledgers in which it does not."""

from collections.abc import Callable
from typing import Any

import pytest

from switch.model.token import TokenState
from switch.simulation.operator import masked
from switch.simulation.oracles import Evidence, judge
from switch.simulation.register import Ordered, Register
from switch.simulation.token_rules import Tokens
from switch.simulation.vault import Left
from switch.simulation.wallet import EXPIRY, ISSUED, LIMITED, card, token_of
from tests.unit.simulation.ledgers import (
    accepted,
    bank,
    body,
    declined,
    evidence,
    held,
    seen,
    settled,
    slot,
    told,
)

TOKEN = token_of(0, 1)
PAN = card(0, 1)
AT_NS = 1_500


def register(*orders: dict[str, Any]) -> Register:
    made = Register()
    for number, one in enumerate(orders):
        row: dict[str, Any] = {"outcome": "done", "applied": True} | one
        made.begin(Ordered(number, row.pop("what"), row.pop("token", TOKEN), **row))
    return made


def tap(**more: Any) -> Any:
    return body(**({"token": TOKEN, "card": TOKEN, "counter": 7} | more))


def case(
    tokens: Tokens | None = None, of: Any = None, records: Any = None, **bank_has: Any
) -> Evidence:
    has = {"card": PAN, "expiry": EXPIRY, "at_ns": AT_NS} | bank_has
    return evidence(
        records, slot(of if of is not None else tap()), bank(held(**has)),
        tokens=tokens or Tokens(register()),
    )  # fmt: skip


def refused(why: str, **more: Any) -> list[dict[str, Any]]:
    """The record of a tap that was refused for a reason."""
    row = accepted(kind="DECLINED", code="62", end="SN", reason=why)
    for name in ("issuer", "out_stan", "out_time"):
        del row[name]
    return [row | more]


def turned_away(why: str, tokens: Tokens | None = None, **more: Any) -> Evidence:
    of = tap(told=[told("62", auth_code="")], **more)
    return evidence(refused(why), slot(of), bank(), tokens=tokens or Tokens(register()))


SUSPEND = {"what": "suspend", "call_ns": 10, "end_ns": 20, "state": 3, "masked": masked(PAN),
           "shown_expiry": EXPIRY}  # fmt: skip
REPLACED = {"what": "replace_pan", "call_ns": 10, "end_ns": 20, "pan": card(0, 9),
            "expiry": "3209", "state": 2, "masked": masked(card(0, 9)),
            "shown_expiry": "3209"}  # fmt: skip


def left(known: Register, **more: Any) -> Left:
    """Vault and index as those tokens are that anybody knows of."""
    rows = [
        (token, int(one.state), masked(one.pan), one.expiry, 1)
        for token, one in known.first.items()
        if one.state > 0
    ]
    index = {row[0]: {"state": row[1], "pan": row[2], "mapping_version": row[4]} for row in rows}
    row: dict[str, Any] = {"rows": rows, "index": index, "stamp": 4, "change": 4} | more
    return Left(**row)


def without(made: Left, token: str) -> Left:
    made.rows = [row for row in made.rows if row[0] != token]
    return made


SOUND: dict[str, Callable[[], Evidence]] = {
    "a tap": case,
    "under way while its token is suspended": lambda: case(
        Tokens(register(SUSPEND | {"call_ns": 1_200, "end_ns": 9_000}))
    ),
    "refused while its token is suspended": lambda: turned_away(
        "token_suspended", Tokens(register(SUSPEND))
    ),
    "to the card that was put behind its token": lambda: case(
        Tokens(register(REPLACED)), card=card(0, 9), expiry="3209"
    ),
    "refused for its domain": lambda: turned_away("above_ceiling", barred="ceiling"),
    "no answer while the index is rebuilt": lambda: turned_away(
        "index_stale", Tokens(register(), [[500, 0]])
    ),
    "all of it left": lambda: case(Tokens(register(), left=left(register()))),
}

BROKEN: dict[str, tuple[str, Callable[[], Evidence]]] = {
    "approved behind the return of a suspend": ("E4", lambda: case(Tokens(register(SUSPEND)))),
    "a bank asked behind it": (
        "E4",
        lambda: case(
            Tokens(register(SUSPEND)),
            of=tap(told=[told("91", auth_code="")]),
            records=[accepted(), declined(), settled()],
            held=0,
            undone=True,
            reversals=[seen(card=PAN)],
        ),
    ),
    "refused as suspended, which it never was": ("E4", lambda: turned_away("token_suspended")),
    "the card of before": ("E5", lambda: case(Tokens(register(REPLACED)))),
    "the expiry of before": (
        "E5",
        lambda: case(Tokens(register(REPLACED)), card=card(0, 9), expiry=EXPIRY),
    ),
    "its own number at the bank": ("E6", lambda: case(card=TOKEN)),
    "a reversal under another card": (
        "E5",
        lambda: case(
            of=tap(told=[told("91", auth_code="")]),
            records=[accepted(), declined(), settled()],
            held=0,
            undone=True,
            reversals=[seen(card=card(0, 9))],
        ),
    ),
    "approved outside its domain": ("E7", lambda: case(of=tap(barred="channel"))),
    "a bank asked outside it": (
        "E7",
        lambda: case(
            of=tap(barred="channel", told=[told("91", auth_code="")]),
            records=[accepted(), declined(), settled()],
            held=0,
            undone=True,
            reversals=[seen(card=PAN)],
        ),
    ),
    "refused for what its domain allows": ("E7", lambda: turned_away("mcc_forbidden")),
    "no answer, and nobody at work": ("J3", lambda: turned_away("index_stale")),
    "an order that must be refused was done": (
        "E4",
        lambda: case(Tokens(register({"what": "issue", "call_ns": 5, "end_ns": 6}))),
    ),
    "an order that is possible was refused": (
        "E4",
        lambda: case(Tokens(register({"what": "resume", "outcome": "refused", "applied": False}))),
    ),
    "an order that shows what it did not do": (
        "E5",
        lambda: case(Tokens(register(SUSPEND | {"state": 2, "call_ns": 5_000, "end_ns": 6_000}))),
    ),
    "the index has no answer in the end": (
        "J3",
        lambda: case(Tokens(register(), left=left(register(), fault="stale"))),
    ),
    "a restriction never completed": (
        "J3",
        lambda: case(Tokens(register(), left=left(register(), intents=1))),
    ),
    "an index that is behind": (
        "J3",
        lambda: case(Tokens(register(), left=left(register(), stamp=3))),
    ),
    "an index that is not as its vault": (
        "J3",
        lambda: case(
            Tokens(register(), left=left(register(), index={TOKEN: {"state": 3}})),
        ),
    ),
    "a token that has gone": (
        "E5",
        lambda: case(Tokens(register(), left=without(left(register()), TOKEN))),
    ),
    "an audit that does not hold": (
        "S4",
        lambda: case(Tokens(register(), left=left(register(), chain="record 2 is missing"))),
    ),
    "an order without its record in the audit": (
        "S4",
        lambda: case(
            Tokens(register(SUSPEND | {"call_ns": 5_000, "end_ns": 6_000}), left=left(register()))
        ),
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_rules_about_tokens_hold(name: str) -> None:
    assert judge(SOUND[name]()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_about_tokens_is_noticed(name: str) -> None:
    rule, made = BROKEN[name]
    assert rule in {one.rule for one in judge(made())}


def test_every_limit_has_a_token_and_one_is_left_to_be_issued() -> None:
    assert len({limits.why for limits in LIMITED.values()}) == len(LIMITED)
    assert ISSUED not in LIMITED
    states = {limits.state for limits in LIMITED.values()}
    assert states == set(TokenState)
