"""Plays with a restart in the middle of each of the others."""

from switch.engine.ports import Verdict
from switch.engine.states import State
from tests.support.playbook import DEADLINE_MS, PAUSES, Play

_UNDONE = "undo tea 91 JW: restart"


def test_a_request_in_flight_is_declined_and_reversed() -> None:
    play = Play()
    play.request("tea")
    play.restarts()
    play.passes(ms=0)
    play.sees("forward tea", _UNDONE, "send 0420 tea")
    play.request("tea")
    play.acknowledges("tea")
    play.request("tea")
    play.sees("repeat tea 91", "settle tea 00", "repeat tea 91")
    play.ends()


def test_a_request_whose_leg_may_not_have_left_is_reversed_all_the_same() -> None:
    play = Play()
    play.journal_stalls()
    play.request("tea")
    play.restarts()
    play.passes(ms=0)
    play.sees("forward tea", _UNDONE, "send 0420 tea")
    play.ends(owed=1)


def test_an_answer_to_what_was_in_flight_before_is_unknown() -> None:
    play = Play()
    play.request("tea")
    txn = play.engine.find(1)
    assert txn is not None
    play.restarts()
    play.remembers(txn)
    play.reply("tea", "00")
    play.sees("forward tea", _UNDONE)
    assert play.counts["unknown"] == 1
    play.ends(owed=1)


def test_numbers_go_on_above_those_before() -> None:
    play = Play()
    play.request("one")
    play.reply("one")
    one = play.engine.next_txn
    before = play.gate.banks[11].matcher.window
    pair = (before.time_s, before.stan)
    play.restarts()
    play.request("two")
    after = play.gate.banks[11].matcher.window
    assert play.engine.next_txn == one + 1
    assert (after.time_s, after.stan) > pair
    play.reply("two")
    play.sees("forward one", "answer one 00", "forward two", "answer two 00")
    play.ends()


def test_what_was_only_claimed_never_was() -> None:
    play = Play(verifying=True)
    play.verify_says(Verdict.PENDING)
    play.request("tap")
    play.restarts()
    play.verify_says(Verdict.PLAIN)
    play.forgets("tap")
    play.request("tap")
    play.reply("tap")
    play.sees("forward tap", "answer tap 00")
    play.ends()


def test_a_time_out_whose_reversal_was_never_sent_goes_on_as_a_repeat() -> None:
    play = Play()
    play.request("tea")
    play.bank_down()
    play.restarts()
    assert play.state("tea") is State.REVERSING
    play.bank_up()
    play.sees("forward tea", "conclude tea 91 IW, owes a reversal: link lost", "send 0421 tea")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_reversal_under_way_goes_on_with_the_same_numbers() -> None:
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    numbers = (play.gate.owed[1, 0].stan, play.gate.owed[1, 0].time)
    play.restarts()
    play.passes(ms=0)
    assert (play.gate.owed[1, 0].stan, play.gate.owed[1, 0].time) == numbers
    play.passes(ms=PAUSES[0])
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        "send 0421 tea",
        "send 0421 tea",
    )
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_parked_reversal_is_taken_up_again() -> None:
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    for _ in range(4):
        play.passes(ms=PAUSES[3])
    assert play.state("tea") is State.PARKED
    play.restarts()
    play.passes(ms=PAUSES[3])
    assert play.state("tea") is State.PARKED
    play.bank_up()
    play.acknowledges("tea")
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        *["send 0421 tea"] * 3,
        "settle tea parked",
        "note delivery_parked tea",
        "send 0421 tea",
        "settle tea 00",
    )
    play.ends()


def test_a_settled_reversal_stays_settled() -> None:
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    play.acknowledges("tea")
    play.restarts()
    play.passes(ms=60_000)
    play.request("tea")
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        "settle tea 00",
        "repeat tea 91",
    )
    play.ends()


def test_a_restart_between_reversal_and_answer() -> None:
    play = Play()
    play.request("tea")
    play.reversal("back", of="tea")
    play.restarts()
    play.passes(ms=0)
    play.reversal("back", of="tea")
    play.acknowledges("tea")
    play.sees(
        "forward tea",
        "accept back: suppress tea",
        _UNDONE,
        "send 0420 tea",
        "repeat back 00",
        "settle tea 00",
    )
    play.ends()


def test_a_restart_after_the_reversal_of_an_approval() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.restarts()
    play.passes(ms=0)
    play.request("tea")
    play.reversal("back", of="tea")
    play.acknowledges("tea")
    play.sees(
        "forward tea",
        "answer tea 00",
        "accept back: reverse tea",
        "send 0421 tea",
        "refuse tea 94 DR",
        "repeat back 00",
        "settle tea 00",
    )
    play.restarts()
    play.reversal("again", of="tea")
    play.sees("accept again: nothing tea")
    play.ends()


def test_a_restart_between_an_approval_and_its_reversal() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.restarts()
    play.reversal("back", of="tea")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.sees(
        "forward tea",
        "answer tea 00",
        "accept back: reverse tea",
        "send 0420 tea",
        "settle tea 00",
    )
    play.ends()


def test_a_tombstone_outlives_a_restart() -> None:
    play = Play()
    play.reversal("back", of="tea")
    play.restarts()
    play.request("tea")
    play.reversal("back", of="tea")
    play.sees("accept back: tombstone", "refuse tea 94 DR", "repeat back 00")
    play.ends()


def test_an_undeliverable_approval_outlives_a_restart_as_a_decline() -> None:
    play = Play(reverse_undelivered=True)
    play.request("tea")
    play.acquirer_gone()
    play.reply("tea", "00")
    play.restarts()
    play.request("tea")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.sees(
        "forward tea",
        "conclude tea 91 AB, owes a reversal: undeliverable",
        "repeat tea 91",
        "send 0421 tea",
        "settle tea 00",
    )
    play.ends()


def test_own_declines_outlive_a_restart() -> None:
    play = Play()
    play.bank_down()
    play.request("tea")
    play.restarts()
    play.request("tea")
    play.sees("decline tea 91 IR", "repeat tea 91")
    play.ends()


def test_recovering_twice_is_as_good_as_once() -> None:
    play = Play()
    play.request("tea")
    play.request("cake")
    play.passes(ms=DEADLINE_MS)
    play.restarts()
    play.restarts()
    play.passes(ms=0)
    assert play.engine.owed_count == 2
    play.sees(
        "forward tea",
        "forward cake",
        "conclude tea 91 TW, owes a reversal: timeout",
        "conclude cake 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        "send 0420 cake",
        "send 0421 tea",
        "send 0421 cake",
    )
    play.ends(owed=2)
