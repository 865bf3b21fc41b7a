"""Plays of requests that are not purchases: what is taken back, and what is not."""

from typing import Final

from switch.engine.events import Event
from switch.engine.forward import classify
from tests.support.message import reply_to
from tests.support.playbook import DEADLINE_MS, Play

BALANCE: Final = {"processing_code": "310000"}
COMPLETION: Final = {"condition_code": "06"}


def test_a_balance_of_a_silent_bank_is_declined_and_not_reversed() -> None:
    play = Play()
    play.odd("how much", without="amount", **BALANCE)
    play.passes(ms=DEADLINE_MS)
    play.sees("forward how much", "conclude how much 91 TW")
    play.passes(ms=60_000)
    play.ends()


def test_a_late_answer_to_a_balance_that_lapsed_changes_nothing_and_is_no_fault() -> None:
    # Found by `tapswitch simulate --seed 26`: it was counted as impossible.
    play = Play()
    for name, code in (("one", "00"), ("two", "51"), ("three", "ZZ")):
        play.odd(name, without="amount", **BALANCE)
        play.passes(ms=DEADLINE_MS)
        play.reply(name, code)
    play.sees(
        "forward one", "conclude one 91 TW", "note late_approved one",
        "forward two", "conclude two 91 TW", "note late_declined two",
        "forward three", "conclude three 91 TW", "note late_unusable three",
    )  # fmt: skip
    play.ends()


def test_a_balance_is_asked_at_most_once_and_its_repeat_gets_the_answer() -> None:
    play = Play()
    play.odd("how much", without="amount", **BALANCE)
    play.reply("how much")
    play.sees("forward how much", "answer how much 00")
    play.odd("how much", without="amount", **BALANCE)
    play.sees("repeat how much 00")
    play.ends()


def test_a_balance_in_doubt_at_a_restart_is_not_reversed() -> None:
    play = Play()
    play.odd("how much", without="amount", **BALANCE)
    play.sees("forward how much")
    play.restarts()
    play.sees("undo how much 91 JW: none")
    play.passes(ms=60_000)
    play.ends()


MOVING: Final = (
    ("0100", {"processing_code": "030000", "condition_code": "06"}),
    ("0100", {"processing_code": "200000", "condition_code": "06"}),
    ("0200", COMPLETION),
    ("0200", {"processing_code": "200000", "condition_code": "06"}),
)


def test_what_moves_money_is_reversed_when_its_bank_is_silent() -> None:
    for mti, changes in MOVING:
        play = Play()
        play.odd("hotel", mti, **changes)
        play.passes(ms=DEADLINE_MS)
        owed = "conclude hotel 91 TW, owes a reversal: timeout"
        play.sees("forward hotel", owed, "send 0420 hotel")
        play.acknowledges("hotel")
        play.sees("settle hotel 00")
        play.ends()


def test_a_balance_cannot_be_taken_back() -> None:
    play = Play()
    play.odd("told", "0200", **BALANCE)
    play.reply("told")
    play.sees("forward told", "answer told 00")
    play.reversal("back", of="told", processing_code="000000")
    play.sees("decline back 12 SV")
    play.ends()


def test_an_amount_of_zero_is_none_where_none_was_asked() -> None:
    play = Play()
    play.odd("how much", without="amount", **BALANCE)
    txn = play.engine.find(1)
    assert txn is not None
    zero = {"amount": "000000000000"}
    assert classify(txn, reply_to(txn.request, 1, "1123170000", "00", **zero)) is Event.APPROVED
    other = {"amount": "000000000001"}
    assert classify(txn, reply_to(txn.request, 1, "1123170000", "00", **other)) is Event.UNUSABLE
    play.sees("forward how much")
