"""Plays of banks that are silent, late or gone, and of reversals that are ours."""

from switch.engine.states import State
from tests.support.playbook import DEADLINE_MS, PAUSES, RETRY_MAX_MS, Play

_TIMED_OUT = "conclude tea 91 TW, owes a reversal: timeout"


def _timed_out(play: Play) -> None:
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    play.sees("forward tea", _TIMED_OUT, "send 0420 tea")


def test_a_silent_bank_is_declined_and_reversed() -> None:
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS - 1)
    play.sees("forward tea")
    play.passes(ms=1)
    play.sees(_TIMED_OUT, "send 0420 tea")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.passes(ms=60_000)
    play.ends()


def test_a_request_whose_record_is_not_durable_in_time_never_leaves() -> None:
    play = Play()
    play.journal_stalls()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    play.journal_syncs()
    play.sees("forward tea", "conclude tea 91 TQ")
    play.ends()


def test_the_repeat_of_a_timed_out_request_gets_its_decline() -> None:
    play = Play()
    _timed_out(play)
    play.request("tea")
    play.request("tea", amount="000000000001")
    play.acknowledges("tea")
    play.request("tea")
    play.request("tea", amount="000000000001")
    play.sees(
        "repeat tea 91", "refuse tea 94 DR", "settle tea 00", "repeat tea 91", "refuse tea 94 DR"
    )
    play.ends()


def test_a_late_approval_only_marks_the_reversal() -> None:
    play = Play()
    _timed_out(play)
    play.reply("tea", "00")
    play.sees("note late_approved tea")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_late_answer_is_recognised_once() -> None:
    play = Play()
    _timed_out(play)
    play.reply("tea", "51")
    play.reply("tea", "51")
    play.sees("note late_declined tea")
    assert play.counts["late"] == 1
    play.ends(owed=1)


def test_a_late_answer_before_the_reversal_was_sent() -> None:
    for code, note in (("00", "late_approved"), ("51", "late_declined"), ("X9", "late_unusable")):
        play = Play()
        play.request("tea")
        play.bank_down()
        play.reply("tea", code)
        play.sees(
            "forward tea",
            "conclude tea 91 IW, owes a reversal: link lost",
            f"note {note} tea",
        )
        play.ends(owed=1)


def test_late_answers_while_reversing_and_after() -> None:
    for code, note in (("00", "late_approved"), ("51", "late_declined"), ("X9", "late_unusable")):
        play = Play()
        _timed_out(play)
        play.reply("tea", code)
        play.sees(f"note {note} tea")
        play = Play()
        _timed_out(play)
        play.acknowledges("tea")
        play.reply("tea", code)
        play.sees("settle tea 00", f"note {note} tea")
        play.ends()


def test_a_reply_read_after_its_deadline_is_late_even_before_the_timer() -> None:
    play = Play()
    play.request("tea")
    play.now_ns += DEADLINE_MS * 1_000_000
    play.reply("tea", "00")
    play.sees("forward tea", _TIMED_OUT, "note late_approved tea")
    play.ends(owed=1)


def test_the_reversal_is_repeated_as_0421_with_growing_pauses() -> None:
    """Not before the bank has had its time to answer, and then within a pause that doubles."""
    play = Play()
    _timed_out(play)
    stan = play.gate.owed[1, 0].stan
    for pause in PAUSES[:2]:
        play.passes(ms=DEADLINE_MS - 1)
        play.sees()
        play.passes(ms=pause - DEADLINE_MS + 1)
        play.sees("send 0421 tea")
    assert play.gate.owed[1, 0].stan == stan
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_code_that_is_not_final_keeps_the_repeats_going() -> None:
    play = Play()
    _timed_out(play)
    play.acknowledges("tea", "96")
    play.sees("note delivery_rejected tea")
    play.passes(ms=PAUSES[0])
    play.acknowledges("tea", "25")
    play.sees("send 0421 tea", "settle tea 25")
    play.ends()


def test_a_second_acknowledgement_changes_nothing() -> None:
    play = Play()
    _timed_out(play)
    play.acknowledges("tea")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    assert play.counts["delivery_unknown"] == 1
    play.ends()


def test_a_reversal_that_is_never_acknowledged_is_parked_and_never_lost() -> None:
    play = Play()
    _timed_out(play)
    play.passes(ms=PAUSES[0])
    play.passes(ms=PAUSES[1])
    play.passes(ms=PAUSES[2])
    play.sees("send 0421 tea", "send 0421 tea", "send 0421 tea")
    play.passes(ms=PAUSES[3])
    play.sees("settle tea parked", "note delivery_parked tea")
    play.passes(ms=10 * RETRY_MAX_MS)
    play.request("tea")
    play.request("tea", amount="000000000001")
    play.acknowledges("tea", "96")
    play.sees("repeat tea 91", "refuse tea 94 DR", "note delivery_rejected tea")
    play.ends(owed=1, parked=1)
    play.bank_up()
    play.sees("send 0421 tea")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_parked_reversal_may_still_be_acknowledged() -> None:
    for code, note in (("00", "late_approved"), ("51", "late_declined"), ("X9", "late_unusable")):
        play = Play()
        _timed_out(play)
        for _ in range(4):
            play.passes(ms=PAUSES[3])
        assert play.state("tea") is State.PARKED
        play.reply("tea", code)
        play.acknowledges("tea")
        play.sees(
            *["send 0421 tea"] * 3,
            "settle tea parked",
            "note delivery_parked tea",
            f"note {note} tea",
            "settle tea 00",
        )
        play.ends()


def test_a_bank_that_goes_gets_its_reversals_when_it_is_back() -> None:
    play = Play()
    play.request("tea")
    play.bank_down()
    play.sees("forward tea", "conclude tea 91 IW, owes a reversal: link lost")
    play.passes(ms=0)
    play.passes(ms=PAUSES[3])
    play.request("tea")
    play.request("tea", amount="000000000001")
    play.sees("repeat tea 91", "refuse tea 94 DR")
    assert play.state("tea") is State.OWED
    play.bank_up()
    play.sees("send 0420 tea")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_bank_that_goes_between_repeats_gets_the_0421_when_it_is_back() -> None:
    play = Play()
    _timed_out(play)
    play.bank_down()
    play.passes(ms=PAUSES[0])
    play.sees()
    play.bank_up()
    play.sees("send 0421 tea")
    play.bank_up()
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_leg_that_never_left_is_declined_without_a_reversal() -> None:
    play = Play()
    play.journal_stalls()
    play.request("held")
    play.bank_down()
    play.sees("forward held", "conclude held 91 IR")
    play.ends()


def test_an_answer_whose_terminal_has_gone_is_kept_for_its_repeat() -> None:
    play = Play()
    play.request("tea")
    play.acquirer_gone()
    play.reply("tea", "00")
    play.sees("forward tea", "answer tea 00 to nobody")
    play.request("tea", slot=2)
    play.sees("repeat tea 00 on 2")
    play.ends()


def test_a_terminal_that_came_back_in_the_meantime_gets_the_one_answer() -> None:
    play = Play()
    play.request("tea")
    play.acquirer_gone()
    play.request("tea", slot=2)
    play.reply("tea", "00")
    play.sees("forward tea", "answer tea 00 to nobody", "repeat tea 00 on 2")
    play.ends()


def test_an_answer_whose_terminal_has_gone_is_reversed_where_the_setting_says_so() -> None:
    play = Play(reverse_undelivered=True)
    play.request("tea")
    play.acquirer_gone()
    play.reply("tea", "00")
    play.passes(ms=0)
    play.sees("forward tea", "conclude tea 91 AB, owes a reversal: undeliverable", "send 0420 tea")
    play.request("tea", slot=2)
    play.sees("repeat tea 91 on 2")
    play.acknowledges("tea")
    play.sees("settle tea 00")
    play.ends()


def test_a_decline_whose_terminal_has_gone_is_kept_whatever_the_setting() -> None:
    play = Play(reverse_undelivered=True)
    play.request("tea")
    play.acquirer_gone()
    play.reply("tea", "51")
    play.sees("forward tea", "answer tea 51 to nobody")
    play.ends()


def test_a_waiting_repeat_keeps_the_approval_whatever_the_setting() -> None:
    play = Play(reverse_undelivered=True)
    play.request("tea")
    play.request("tea", slot=2)
    play.request("tea", slot=3)
    play.acquirer_gone(1)
    play.acquirer_gone(3)
    play.reply("tea", "00")
    play.sees("forward tea", "answer tea 00 to nobody", "repeat tea 00 on 2")
    play.ends()


def test_an_approval_of_which_no_byte_left() -> None:
    play = Play()
    play.request("kept")
    play.reply("kept")
    play.undelivered("kept")
    play.sees("forward kept", "answer kept 00", "note undelivered_kept kept")
    play.ends()

    play = Play(reverse_undelivered=True)
    play.request("tea")
    play.reply("tea")
    play.undelivered("tea")
    play.passes(ms=0)
    play.sees("forward tea", "answer tea 00", "undo tea 91 AB: undeliverable", "send 0420 tea")
    play.request("tea")
    play.acknowledges("tea")
    play.sees("repeat tea 91", "settle tea 00")
    play.ends()


def test_a_bank_that_is_no_member_any_more_leaves_its_delivery_parked() -> None:
    play = Play()
    play.request("tea")
    play.bank_down()
    play.restarts()
    play.bank_is_removed()
    play.sees("forward tea", "conclude tea 91 IW, owes a reversal: link lost")
    play.passes(ms=0)
    play.sees("settle tea parked", "note delivery_parked tea")
    play.ends(owed=1, parked=1)


def test_a_removed_bank_whose_reversal_was_never_sent() -> None:
    play = Play()
    play.request("tea")
    play.bank_down()
    play.bank_is_removed()
    play.passes(ms=0)
    play.sees(
        "forward tea",
        "conclude tea 91 IW, owes a reversal: link lost",
        "settle tea parked",
        "note delivery_parked tea",
    )
    play.ends(owed=1, parked=1)
