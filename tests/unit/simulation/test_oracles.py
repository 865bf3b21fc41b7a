"""Each rule is broken by ledgers made for it: an oracle that is blind fails here."""

from typing import Any

import pytest

from switch.model.state import KeyState, ReversalEffect
from switch.simulation.oracles import Broken, Evidence, chief, judge
from tests.unit.simulation.ledgers import (
    CARD,
    KEY,
    OUT,
    OWED,
    accepted,
    answered,
    bank,
    body,
    declined,
    evidence,
    held,
    reversal,
    seen,
    settled,
    slot,
    told,
    undoing,
)

SECOND = 1_000_000_000


def rules(given: Evidence) -> set[str]:
    """What does not hold."""
    return {one.rule for one in judge(given)}


def reversed_by_acquirer(effect: int = ReversalEffect.REVERSE, **more: Any) -> Evidence:
    """A purchase that its acquirer took back after it was approved: sound in all."""
    one = body()
    owed = {"reversal_stan": int(OWED[0]), "reversal_time": OWED[1]}
    records = [
        accepted(), answered(), reversal(effect=effect) | owed, settled(lsn=4),
    ]  # fmt: skip
    at_bank = bank(held(held=0, undone=True, effects=1, reversals=[seen()]))
    return evidence(records, slot(one, undoings=[undoing(one)]), at_bank, **more)


def timed_out(**more: Any) -> Evidence:
    """A purchase that was declined for a time-out and reversed: sound in all."""
    records = [accepted(), declined(), settled()]
    at_bank = bank(held(held=0, undone=True, effects=1, reversals=[seen()]))
    return evidence(records, slot(body(told=[told("91")])), at_bank, **more)


@pytest.mark.parametrize("sound", [evidence, reversed_by_acquirer, timed_out])
def test_sound_ledgers_break_no_rule(sound: Any) -> None:
    assert judge(sound(standing=frozenset({1}))) == []


def at_the_bank(**changes: Any) -> Evidence:
    return evidence(at_bank=bank(held(**changes)))


def reversals(*messages: Any) -> Evidence:
    given = timed_out()
    given.banks["BANK00"].books[OUT].reversals = list(messages)
    return given


BROKEN: dict[str, tuple[str, Any]] = {
    "told of 250, the bank holds nothing": ("M1", lambda: at_the_bank(held=0)),
    "the bank holds half": ("M1", lambda: at_the_bank(held=125)),
    "declined to the terminal, held at the bank": (
        "M2",
        lambda: evidence([accepted(), declined(), settled()], slot(body(told=[told("91")]))),
    ),
    "reversed by the acquirer, still held": (
        "M2",
        lambda: evidence(
            [accepted(), answered(), reversal()], slot(one := body(), undoings=[undoing(one)])
        ),
    ),
    "the bank got it twice": ("M3", lambda: at_the_bank(requests=2)),
    "undone twice": ("M3", lambda: at_the_bank(effects=2)),
    "a reversal under other numbers": ("M3", lambda: reversals(seen(stan="000009"))),
    "a repeated reversal that does not say so": ("M3", lambda: reversals(seen(), seen())),
    "approved and reversed by us": (
        "M4",
        lambda: evidence(
            [accepted(), answered(cause=1, reversal_stan=4, reversal_time=OWED[1]), settled()]
        ),
    ),
    "approved although it was withdrawn": (
        "M4",
        lambda: evidence(
            [accepted(), reversal(lsn=2, effect=ReversalEffect.SUPPRESS), answered(lsn=3)]
        ),
    ),
    "an approval that no record has": ("M5", lambda: evidence([])),
    "a reversal acknowledged that no record has": (
        "M5",
        lambda: evidence(asked=slot(one := body(), undoings=[undoing(one)])),
    ),
    "the bank got what no record has": (
        "M6",
        lambda: evidence(at_bank=bank(held(), held(stan="000099"))),
    ),
    "the bank got what nobody asked": ("M6", lambda: at_the_bank(rrn="999999999999")),
    "another amount at the bank": ("M7", lambda: at_the_bank(amount=251)),
    "another card at the bank": ("M7", lambda: at_the_bank(card="6299010000000000005")),
    "another terminal at the bank": ("M7", lambda: at_the_bank(terminal="NOBODY99")),
    "a reversal of another amount at the bank": ("M7", lambda: reversals(seen(amount=1))),
    "a token's number at the bank": (
        "E6",
        lambda: evidence(asked=slot(body(card="6299770000000001", token="6299770000000001"))),
    ),
    "a bank holds for another acquirer": ("M9", lambda: at_the_bank(acquirer="10001")),
    "another business date": (
        "M10",
        lambda: evidence([accepted(business_date="20261122"), answered()]),
    ),
    "accepted twice": (
        "D1",
        lambda: evidence(
            [accepted(), answered(), accepted(2, lsn=3, out_stan=5), answered(2, lsn=4)]
        ),
    ),
    "two answers for one request": (
        "D1",
        lambda: evidence(asked=slot(body(told=[told(), told("51", 3_000)]))),
    ),
    "an answer with another reference": (
        "D1",
        lambda: evidence(asked=slot(body(told=[told(rrn="x")]))),
    ),
    "told something else than is recorded": (
        "D1",
        lambda: evidence([accepted(), answered(code="11")]),
    ),
    "answered twice, asked once": (
        "D1",
        lambda: evidence(asked=slot(body(told=[told(), told()])), standing=frozenset({1})),
    ),
    "turned away, then approved": (
        "D1",
        lambda: evidence(asked=slot(body(told=[told("96", 1_500), told()])), no_room=True),
    ),
    "two bodies under one key approved": (
        "D2",
        lambda: evidence(asked=slot(body(), body(amount=999, rrn="000000700999"))),
    ),
    "approved after its reversal was acknowledged": (
        "D3",
        lambda: evidence(
            [accepted(), answered(), reversal()],
            slot(one := body(told=[told(at_ns=9_000)]), undoings=[undoing(one)]),
        ),
    ),
    "a reversal answered in two ways": (
        "D4",
        lambda: evidence(
            asked=slot(one := body(), undoings=[undoing(one, told=[told("00"), told("12")])])
        ),
    ),
    "a lie that had an effect": (
        "D4",
        lambda: evidence(
            [accepted(), answered(), reversal(amount=257)],
            slot(one := body(), undoings=[undoing(one, amount=250, lie=True)]),
        ),
    ),
    "approved long after the deadline": (
        "D5",
        lambda: evidence([accepted(), answered(at_ms=accepted()["at_ms"] + 60_000)]),
    ),
    "an answer that nobody asked for": ("D6", lambda: evidence(odd=["10000: 0210"])),
    "an answer on another connection": (
        "D6",
        lambda: evidence(asked=slot(body(told=[told(stray=True)]))),
    ),
    "a reversal answered on another connection": (
        "D6",
        lambda: evidence(
            asked=slot(one := body(), undoings=[undoing(one, told=[told(stray=True)])])
        ),
    ),
    "one number for two messages": (
        "D7",
        lambda: evidence(at_bank=bank(held(), seen=[seen("0200", original=None, rrn="a"), seen()])),
    ),
    "a number of an 0800 once more": (
        "D7",
        lambda: evidence(at_bank=bank(held(), seen=[seen()], network_seen=[OWED])),
    ),
    "one number in two records": (
        "D7",
        lambda: evidence([accepted(), declined(reversal_stan=2, reversal_time=OUT[1]), settled()]),
    ),
    "a reversal that no record owes": (
        "D9",
        lambda: evidence(at_bank=bank(held(reversals=[seen()]))),
    ),
    "an approval that its bank never gave": ("D10", lambda: at_the_bank(sound=[])),
    "one counter accepted twice": (
        "E1",
        lambda: evidence(
            [
                accepted(atc=7, card="h", token_sequence=1),
                answered(),
                accepted(2, lsn=3, stan=8, out_stan=5, atc=7, card="h", token_sequence=1),
                answered(2, lsn=4),
            ]
        ),
    ),
    "a forged tap approved": (
        "E2",
        lambda: evidence(asked=slot(body(token="6299770000000001", forged=True))),
    ),
    "a gap between records": ("J1", lambda: evidence([accepted(), answered(lsn=3)])),
    "an answer to nothing": ("J1", lambda: evidence([answered(lsn=1)])),
    "a finding of journal verify": (
        "J1",
        lambda: evidence(findings=[{"rule": "walk.2", "problem": "x", "lsn": 2}]),
    ),
    "accepted, and never an outcome": ("L1", lambda: evidence([accepted()])),
    "asked and not answered on a standing connection": (
        "L1",
        lambda: evidence(asked=slot(body(told=[])), standing=frozenset({1})),
    ),
    "told 96 without need": (
        "L1",
        lambda: evidence(asked=slot(body(told=[told("96")]))),
    ),
    "told 96 long after there was room again": (
        "L1",
        lambda: evidence(
            asked=slot(body(told=[told("96"), told("96", 20 * SECOND)])),
            no_room=True,
            room_ns=SECOND,
        ),
    ),
    "a reversal still owed": ("L2", lambda: evidence([accepted(), declined()])),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_notices_what_it_is_for(name: str) -> None:
    rule, made = BROKEN[name]
    assert rule in rules(made())


def test_every_rule_of_this_list_has_ledgers_that_break_it() -> None:
    wanted = "M1 M2 M3 M4 M5 M6 M7 M9 M10 D1 D2 D3 D4 D5 D6 D7 D9 D10 E1 E2 E6 J1 L1 L2"
    assert {rule for rule, _ in BROKEN.values()} == set(wanted.split())


def test_what_was_declined_by_the_bank_moves_nothing() -> None:
    records = [accepted(), answered(outcome=KeyState.DECLINED, code="51", auth_code="")]
    given = evidence(records, slot(body(told=[told("51")])), bank(held(held=0, sound=[("51", "")])))
    assert judge(given) == []


def test_a_repeat_gets_the_same_answer_again() -> None:
    twice = body(sent=[(1_000, 1), (5_000, 1)], told=[told(), told(at_ns=6_000)])
    assert judge(evidence(asked=slot(twice), standing=frozenset({1}))) == []


def test_after_a_restart_nobody_remembers_who_was_turned_away() -> None:
    given = evidence(
        asked=slot(body(told=[told("96", 1_500), told()])), no_room=True, starts_ns=[1_800]
    )
    assert judge(given) == []


def test_a_stepped_clock_says_nothing_of_deadlines() -> None:
    late = [accepted(), answered(at_ms=accepted()["at_ms"] + 60_000)]
    assert judge(evidence(late, stepped=True)) == []


def test_a_failure_is_called_by_the_rule_that_says_most() -> None:
    vague, clear = Broken("J1", "x"), Broken("M4", "y", KEY)
    assert chief([vague, clear]) is clear
    assert chief([vague]) is vague


def test_what_is_broken_names_its_transaction_and_no_card() -> None:
    for _, made in BROKEN.values():
        for one in judge(made()):
            assert one.key is None or one.key == KEY or one.key[2] == "000008"
            assert CARD not in one.text
