"""Plays of acquirers' reversals: before, during and after their original."""

from tests.support.playbook import DEADLINE_MS, OTHER_ACQ, PAUSES, PIN_BLOCK, Play


def test_a_reversal_of_an_approval_is_acknowledged_and_the_bank_reversed() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.sees("forward tea", "answer tea 00", "accept back: reverse tea")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.sees("send 0420 tea", "settle tea 00")
    play.ends()


def test_a_reversal_request_is_taken_like_an_advice() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea", mti="0400")
    play.sees("forward tea", "answer tea 00", "accept back: reverse tea")
    play.ends(owed=1)


def test_a_repeated_reversal_gets_the_same_answer_and_no_second_effect() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.reversal("back", of="tea")
    play.passes(ms=0)
    play.reversal("back", of="tea")
    play.acknowledges("tea")
    play.reversal("back", of="tea")
    play.sees(
        "forward tea",
        "answer tea 00",
        "accept back: reverse tea",
        "repeat back 00",
        "send 0420 tea",
        "repeat back 00",
        "settle tea 00",
        "repeat back 00",
    )
    play.ends()


def test_another_reversal_of_what_is_reversed_has_no_second_effect() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.reversal("again", of="tea")
    play.passes(ms=0)
    play.reversal("and again", of="tea")
    play.acknowledges("tea")
    play.reversal("once more", of="tea")
    play.sees(
        "forward tea",
        "answer tea 00",
        "accept back: reverse tea",
        "accept again: nothing tea",
        "send 0420 tea",
        "accept and again: nothing tea",
        "settle tea 00",
        "accept once more: nothing tea",
    )
    play.ends()


def test_the_original_again_after_its_reversal_is_refused() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.request("tea")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.request("tea")
    play.sees(
        "forward tea",
        "answer tea 00",
        "accept back: reverse tea",
        "refuse tea 94 DR",
        "send 0420 tea",
        "settle tea 00",
        "refuse tea 94 DR",
    )
    play.ends()


def test_a_reversal_of_a_decline_causes_no_bank_traffic() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "51")
    play.reversal("back", of="tea")
    play.passes(ms=60_000)
    play.sees("forward tea", "answer tea 51", "accept back: nothing tea")
    play.ends()


def test_a_reversal_of_a_time_out_has_no_second_effect() -> None:
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    play.reversal("back", of="tea")
    play.acknowledges("tea")
    play.reversal("again", of="tea")
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        "accept back: nothing tea",
        "settle tea 00",
        "accept again: nothing tea",
    )
    play.ends()


def test_a_reversal_of_what_is_parked_has_no_second_effect() -> None:
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    for _ in range(4):
        play.passes(ms=PAUSES[3])
    play.reversal("back", of="tea")
    play.reversal("wrong", of="tea", amount="000000000001")
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        *["send 0421 tea"] * 3,
        "settle tea parked",
        "note delivery_parked tea",
        "accept back: nothing tea",
        "decline wrong 94 SV",
    )
    play.ends(owed=1, parked=1)


def test_a_reversal_before_its_original_leaves_a_tombstone() -> None:
    play = Play()
    play.reversal("back", of="tea")
    play.sees("accept back: tombstone")
    play.request("tea")
    play.request("tea")
    play.sees("refuse tea 94 DR", "refuse tea 94 DR")
    play.reversal("back", of="tea")
    play.reversal("again", of="tea")
    play.request("tea", amount="000000000001")
    play.sees("repeat back 00", "accept again: nothing tea", "refuse tea 94 DR")
    play.ends()


def test_a_reversal_in_flight_suppresses_the_approval_and_reverses_the_bank() -> None:
    play = Play()
    play.request("tea")
    play.reversal("back", of="tea")
    play.sees("forward tea", "accept back: suppress tea")
    play.reply("tea", "00")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.sees("conclude tea 91 AB, owes a reversal: acquirer", "send 0420 tea", "settle tea 00")
    play.request("tea")
    play.sees("repeat tea 91")
    play.ends()


def test_a_reversal_in_flight_of_what_the_bank_declines_needs_no_bank_traffic() -> None:
    play = Play()
    play.request("tea")
    play.reversal("back", of="tea")
    play.reply("tea", "51")
    play.passes(ms=60_000)
    play.sees("forward tea", "accept back: suppress tea", "answer tea 51")
    play.ends()


def test_a_reversal_in_flight_of_what_the_bank_answers_oddly_or_never() -> None:
    play = Play()
    play.request("odd")
    play.reversal("back", of="odd")
    play.reply("odd", "10")
    play.sees(
        "forward odd",
        "accept back: suppress odd",
        "conclude odd 91 IB, owes a reversal: unusable answer",
    )
    play.request("silent")
    play.reversal("back 2", of="silent")
    play.passes(ms=DEADLINE_MS)
    play.sees(
        "forward silent",
        "accept back 2: suppress silent",
        "conclude silent 91 TW, owes a reversal: timeout",
        "send 0420 odd",
        "send 0420 silent",
    )
    play.ends(owed=2)


def test_a_reversal_in_flight_and_the_bank_goes() -> None:
    play = Play()
    play.request("tea")
    play.reversal("back", of="tea")
    play.bank_down()
    play.reversal("again", of="tea")
    play.reversal("wrong", of="tea", pan="6299000000000012")
    play.sees(
        "forward tea",
        "accept back: suppress tea",
        "conclude tea 91 IW, owes a reversal: link lost",
        "accept again: nothing tea",
        "decline wrong 94 SV",
    )
    play.ends(owed=1)


def test_repeats_of_both_while_suppressed() -> None:
    play = Play()
    play.request("tea")
    play.reversal("back", of="tea")
    play.reversal("back", of="tea")
    play.reversal("again", of="tea")
    play.request("tea", slot=2)
    play.request("tea", amount="000000000001")
    play.reversal("wrong", of="tea", amount="000000000001")
    play.sees(
        "forward tea",
        "accept back: suppress tea",
        "repeat back 00",
        "accept again: nothing tea",
        "refuse tea 94 DR",
        "decline wrong 94 SV",
    )
    play.reply("tea", "00")
    play.sees("conclude tea 91 AB, owes a reversal: acquirer", "repeat tea 91 on 2")
    play.ends(owed=1)


def test_a_reversal_before_the_bank_leg_left_cancels_it() -> None:
    play = Play()
    play.journal_stalls()
    play.request("tea")
    play.request("tea", slot=2)
    play.reversal("back", of="tea")
    play.journal_syncs()
    play.passes(ms=60_000)
    play.sees(
        "forward tea", "accept back: cancel unsent tea", "conclude tea 91 AB", "repeat tea 91 on 2"
    )
    play.ends()


def test_a_reversal_while_the_verdict_is_pending_cancels_the_request() -> None:
    from switch.engine.ports import Verdict

    play = Play(verifying=True)
    play.verify_says(Verdict.PENDING)
    play.request("tap")
    play.reversal("wrong", of="tap", amount="000000000001")
    play.reversal("back", of="tap")
    play.verdict("tap", Verdict.GENUINE)
    play.sees(
        "decline wrong 94 SV",
        "accept back: cancel unsent tap",
        "decline tap 91 AB",
        "note ignored tap",
    )
    play.ends()


def test_a_reversal_with_another_card_or_amount_is_refused_without_effect() -> None:
    play = Play()
    play.request("tea")
    play.reversal("early", of="tea", amount="000000000001")
    play.reply("tea", "00")
    play.reversal("amount", of="tea", amount="000000000999")
    play.reversal("card", of="tea", pan="6299000000000012")
    play.reversal("card", of="tea", pan="6299000000000012")
    play.sees(
        "forward tea",
        "decline early 94 SV",
        "answer tea 00",
        "decline amount 94 SV",
        "decline card 94 SV",
        "repeat card 94",
    )
    play.request("no")
    play.reply("no", "51")
    play.reversal("not no", of="no", amount="000000000999")
    play.sees("forward no", "answer no 51", "decline not no 94 SV")
    play.reversal("back", of="tea")
    play.reversal("late", of="tea", amount="000000000001")
    play.passes(ms=0)
    play.reversal("later", of="tea", amount="000000000001")
    play.acknowledges("tea")
    play.reversal("latest", of="tea", amount="000000000001")
    play.sees(
        "accept back: reverse tea",
        "decline late 94 SV",
        "send 0420 tea",
        "decline later 94 SV",
        "settle tea 00",
        "decline latest 94 SV",
    )
    play.ends()


def test_a_reversal_with_another_body_under_its_own_key_is_refused() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.reversal("back", of="tea", amount="000000000001")
    play.sees("forward tea", "answer tea 00", "accept back: reverse tea", "refuse back 94 DR")
    play.ends(owed=1)


def test_another_institution_cannot_reverse() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("theirs", of="tea", acquirer=OTHER_ACQ)
    play.request("tea")
    play.sees("forward tea", "answer tea 00", "accept theirs: tombstone", "repeat tea 00")
    play.ends()


def test_a_malformed_reversal_is_refused_and_one_with_a_pin_is_not() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00")
    play.reversal("odd", of="tea", without="original_data")
    play.reversal("pin", of="tea", pin_block=PIN_BLOCK)
    play.sees("forward tea", "answer tea 00", "refuse odd 30 SV", "accept pin: reverse tea")
    play.ends(owed=1)


def test_an_acquirer_reverses_what_it_was_never_told() -> None:
    play = Play()
    play.request("tea")
    play.acquirer_gone()
    play.reply("tea", "00")
    play.reversal("back", of="tea")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.sees(
        "forward tea",
        "answer tea 00 to nobody",
        "accept back: reverse tea",
        "send 0420 tea",
        "settle tea 00",
    )
    play.ends()
