"""A failure tells what all three ledgers have of its transactions, and no card."""

from types import SimpleNamespace
from typing import Any

from switch.simulation.fold import fold
from switch.simulation.history import history, suspects
from switch.simulation.ledgers import Asked
from switch.simulation.oracles import Broken
from switch.simulation.ports import START_NS
from tests.unit.simulation.ledgers import (
    CARD,
    KEY,
    accepted,
    bank,
    body,
    declined,
    held,
    seen,
    settled,
    slot,
    told,
)

MS = 1_000_000


def world() -> Any:
    """A purchase that timed out: read, not run."""
    records = [accepted(), declined(), settled()]
    asked = slot(
        body(sent=[(START_NS + 1 * MS, 7)], told=[told("91", START_NS + 300 * MS, link=7)])
    )
    reversal = seen(at_ns=START_NS + 301 * MS, code="00")
    request = seen("0200", at_ns=START_NS + 2 * MS, stan="000002", time=KEY[3], original=None)
    request.act = "silent"
    one = bank(held(held=0, undone=True, reversals=[reversal]), seen=[request, reversal])
    one.name = "BANK00"
    return SimpleNamespace(
        asked=Asked(slots={KEY: asked}),
        recorded=fold(records),
        records=records,
        banks={"BANK00": one},
        node=SimpleNamespace(marks=[(START_NS + 1 * MS, 1), (START_NS + 300 * MS, 3)]),
        loop=SimpleNamespace(now_ns=START_NS + 900 * MS),
    )


def test_all_three_ledgers_in_the_order_of_time() -> None:
    lines = history(world(), [Broken("M2", "x", KEY)])
    whole = "\n".join(lines)
    steps = (
        "transaction of acquirer 10000, terminal T0000000, STAN 000007",
        "acquirer  sends 0200 purchase of 2.50, RRN 000000700250 on 7",
        "journal   has durable LSN 1 ACCEPTED",
        "BANK00    gets 0200 of 2.50, STAN 000002 on 1, says nothing (it is silent)",
        "acquirer  is told 0210 code 91 of RRN 000000700250 on 7",
        "BANK00    gets 0420 of 2.50, STAN 000004 on 1, says 00",
        "in the end  acquirer  was told 91 of RRN 000000700250",
        "in the end  journal   transaction 0-0-1, RRN 000000700250: code 91",
        "in the end  BANK00    holds 0.00, undone",
    )
    places = [whole.find(step) for step in steps]
    assert -1 not in places, steps[places.index(-1)]
    assert places == sorted(places)
    assert CARD not in whole


def test_the_first_few_transactions_and_how_many_more() -> None:
    others = [Broken("M2", "x", (*KEY[:2], f"{n:06d}", *KEY[3:])) for n in range(5)]
    lines = history(world(), [Broken("J1", "no key"), *others])
    assert sum(line.startswith("transaction of") for line in lines) == 3
    assert lines[-1] == "and 2 more transactions"
    assert history(world(), [Broken("J1", "no key")]) == []


def test_suspects_are_the_numbers_of_the_transactions_named() -> None:
    assert suspects(world(), [Broken("J1", "x"), Broken("M2", "x", KEY)]) == (7,)
    assert suspects(world(), [Broken("J1", "x")]) == ()
