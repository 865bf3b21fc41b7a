"""Stories of stand-in: who is approved in a bank's name, and what the bank is told of it."""

import msgspec

from switch.engine.ports import Forwarding, StandIn, Verdict
from switch.engine.stand_in import StandInRule, Why
from switch.model.kind import Kind
from tests.support.playbook import DEADLINE_MS, Play

RULE = StandInRule(
    name="small",
    when=frozenset(Why),
    kinds=frozenset({int(Kind.PURCHASE)}),
    currency="156",
    amount_minor_max=2_000,
    count_max=3,
    sum_minor_max=5_000,
    plain=True,
)
NEVER_SENT = "stand in tea by small, unreachable: owes an advice"
TOO_LATE = "stand in tea by small, timeout: owes a reversal: timeout, and an advice"


def play(**more: bool) -> Play:
    return Play(stand_in=[RULE], **more)


# -- the three cases ------------------------------------------------------------------------------


def test_no_line_approved_and_the_bank_is_told_when_it_is_back() -> None:
    p = play()
    p.bank_down()
    p.request("tea")
    p.sees(NEVER_SENT)
    p.passes(ms=1_000)
    p.bank_up()
    p.sees("send 0220 tea")
    p.knows("tea")
    p.sees("settle tea advice 00")
    p.ends()


def test_circuit_open_approved_without_a_leg() -> None:
    p = play()
    p.gate.refusal = Forwarding.OPEN
    p.request("tea")
    p.sees("stand in tea by small, circuit: owes an advice")
    p.passes(ms=0)
    p.sees("send 0220 tea")
    p.knows("tea")
    p.sees("settle tea advice 00")
    p.ends()


def test_time_out_first_the_reversal_then_the_advice() -> None:
    p = play()
    p.request("tea")
    p.sees("forward tea")
    p.passes(ms=DEADLINE_MS)
    p.sees(TOO_LATE, "send 0420 tea")
    p.passes(ms=0)
    p.sees()
    p.acknowledges("tea")
    p.passes(ms=0)
    p.sees("settle tea 00", "send 0220 tea")
    p.knows("tea")
    p.sees("settle tea advice 00")
    p.ends()


def test_line_lost_with_the_request_on_it_is_reversed_before_the_advice() -> None:
    p = play()
    p.request("tea")
    p.sees("forward tea")
    p.bank_down()
    p.sees("stand in tea by small, unreachable: owes a reversal: link lost, and an advice")
    p.bank_up()
    p.sees("send 0420 tea")
    p.acknowledges("tea")
    p.passes(ms=0)
    p.sees("settle tea 00", "send 0220 tea")
    p.knows("tea")
    p.sees("settle tea advice 00")
    p.ends()


def test_line_lost_before_the_leg_left_owes_no_reversal() -> None:
    p = play()
    p.journal_stalls()
    p.request("tea")
    p.sees("forward tea")
    p.bank_down()
    p.sees(NEVER_SENT)
    p.bank_up()
    p.sees("send 0220 tea")
    p.knows("tea")
    p.sees("settle tea advice 00")
    p.ends()


# -- never ----------------------------------------------------------------------------------------


def test_a_full_bank_is_no_case() -> None:
    p = play()
    p.gate.refusal = Forwarding.FULL
    p.request("tea")
    p.sees("decline tea 91 RW")
    p.ends()


def test_after_an_online_decline_its_repeat_gets_it_again_whatever_became_of_the_bank() -> None:
    p = play()
    p.request("tea")
    p.reply("tea", "51")
    p.bank_down()
    p.request("tea")
    p.sees("forward tea", "answer tea 51", "repeat tea 51")
    p.ends()


def test_an_answer_read_after_the_deadline_leaves_no_question() -> None:
    for code in ("51", "91", "zz"):
        _read_late(code)


def _read_late(code: str) -> None:
    p = play()
    p.request("tea")
    p.now_ns += DEADLINE_MS * 1_000_000
    p.reply("tea", code)
    note = "note late_unusable tea" if code == "zz" else "note late_declined tea"
    p.sees("forward tea", "conclude tea 91 TW, owes a reversal: timeout", note)
    p.passes(ms=0)
    p.sees("send 0420 tea")
    p.acknowledges("tea")
    p.sees("settle tea 00")
    p.ends()


def test_an_unusable_answer_is_an_answer() -> None:
    p = play()
    p.request("tea")
    p.reply("tea", "zz")
    p.sees("forward tea", "conclude tea 91 IB, owes a reversal: unusable answer")
    p.passes(ms=0)
    p.acknowledges("tea")
    p.sees("send 0420 tea", "settle tea 00")
    p.ends()


def test_what_no_rule_covers_is_declined() -> None:
    p = play()
    p.bank_down()
    p.request("tea", amount="000000002001")
    p.request("cup", currency="840")
    p.request("pot", mcc="5411")
    p.sees("decline tea 91 IR", "decline cup 91 IR", NEVER_SENT.replace("tea", "pot"))
    p.ends(owed=1)


def test_a_plain_card_where_only_tokens_are_covered() -> None:
    rule = msgspec.structs.replace(RULE, plain=False)
    p = Play(stand_in=[rule], verifying=True)
    p.bank_down()
    p.verify_says(Verdict.PLAIN)
    p.request("tea")
    p.verify_says(Verdict.GENUINE)
    p.request("tap")
    p.sees("decline tea 91 IR", NEVER_SENT.replace("tea", "tap"))
    p.ends(owed=1)


def test_a_tap_that_is_refused_is_never_approved() -> None:
    p = play(verifying=True)
    p.bank_down()
    p.verify_says(Verdict.REFUSED)
    p.request("tap")
    (line,) = [p._line(effect) for effect in p.gate.effects]
    assert line.startswith("decline tap")


def test_nobody_left_to_be_told() -> None:
    p = play()
    p.request("tea")
    p.acquirer_gone()
    p.passes(ms=DEADLINE_MS)
    p.sees("forward tea", "conclude tea 91 TW, owes a reversal: timeout", "send 0420 tea")
    p.acknowledges("tea")
    p.sees("settle tea 00")
    p.ends()


def test_taken_back_in_flight_is_never_approved() -> None:
    p = play()
    p.request("tea")
    p.reversal("undo", of="tea")
    p.passes(ms=DEADLINE_MS)
    p.sees(
        "forward tea",
        "accept undo: suppress tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
    )
    p.acknowledges("tea")
    p.sees("settle tea 00")
    p.ends()


def test_a_disk_that_stands_still_is_no_case() -> None:
    p = play()
    p.journal_stalls()
    p.request("tea")
    p.passes(ms=DEADLINE_MS)
    p.sees("forward tea", "conclude tea 91 TQ")
    p.ends()


# -- limits ---------------------------------------------------------------------------------------


def test_what_does_not_fit_ends_as_it_would_have_without() -> None:
    for fit in set(StandIn) - {StandIn.STOOD}:
        _does_not_fit(fit)


def _does_not_fit(fit: StandIn) -> None:
    p = play()
    p.request("tea")
    p.gate.fit = fit
    p.passes(ms=DEADLINE_MS)
    p.sees("forward tea", "conclude tea 91 TW, owes a reversal: timeout", "send 0420 tea")
    p.acknowledges("tea")
    p.bank_down()
    p.request("cup")
    p.sees("settle tea 00", "decline cup 91 IR")
    reason = f"stand_in_{fit.name.lower()}"
    assert getattr(p.gate.effects[-1], "reason", "") == reason
    p.ends()


# -- what comes after -----------------------------------------------------------------------------


def test_repeats_get_the_stored_approval_and_who_waits_gets_it_too() -> None:
    p = play()
    p.request("tea")
    p.request("tea", slot=2)
    p.passes(ms=DEADLINE_MS)
    p.sees("forward tea", TOO_LATE, "repeat tea 00 on 2", "send 0420 tea")
    p.request("tea")
    p.request("tea", amount="000000000500")
    p.sees("repeat tea 00", "refuse tea 94 DR")
    p.acknowledges("tea")
    p.passes(ms=0)
    p.knows("tea")
    p.request("tea")
    p.sees("settle tea 00", "send 0220 tea", "settle tea advice 00", "repeat tea 00")
    p.ends()


def test_a_late_answer_changes_nothing_and_is_counted() -> None:
    _answered_late("00", "late_approved")
    _answered_late("51", "stand_in_declined_late")
    _answered_late("91", "stand_in_declined_late")
    _answered_late("zz", "late_unusable")


def _answered_late(code: str, note: str) -> None:
    p = play()
    p.request("tea")
    p.passes(ms=DEADLINE_MS)
    p.reply("tea", code)
    p.sees("forward tea", TOO_LATE, "send 0420 tea", f"note {note} tea")
    p.acknowledges("tea")
    p.passes(ms=0)
    p.knows("tea")
    p.sees("settle tea 00", "send 0220 tea", "settle tea advice 00")
    p.ends()


def test_the_acquirer_s_reversal_follows_the_advice() -> None:
    p = play()
    p.bank_down()
    p.request("tea")
    p.reversal("undo", of="tea")
    p.sees(NEVER_SENT, "accept undo: reverse tea")
    p.bank_up()
    p.sees("send 0220 tea")
    p.passes(ms=0)
    p.sees()
    p.knows("tea")
    p.passes(ms=0)
    p.sees("settle tea advice 00", "send 0420 tea withdrawal")
    p.takes_back("tea")
    p.request("tea")
    p.sees("settle tea withdrawal 00", "refuse tea 94 DR")
    p.ends()


def test_a_reversal_of_another_amount_is_refused() -> None:
    p = play()
    p.bank_down()
    p.request("tea")
    p.reversal("undo", of="tea", amount="000000000999")
    p.sees(NEVER_SENT, "decline undo 94 SV")
    p.ends(owed=1)


def test_after_a_restart_what_is_owed_goes_in_its_order_and_as_a_repeat() -> None:
    p = play()
    p.request("tea")
    p.passes(ms=DEADLINE_MS)
    p.sees("forward tea", TOO_LATE, "send 0420 tea")
    p.restarts()
    p.passes(ms=0)
    p.sees("send 0421 tea")
    p.request("tea")
    p.reversal("undo", of="tea")
    p.sees("repeat tea 00", "accept undo: reverse tea")
    p.acknowledges("tea")
    p.passes(ms=0)
    p.sees("settle tea 00", "send 0221 tea")
    p.knows("tea")
    p.passes(ms=0)
    p.sees("settle tea advice 00", "send 0420 tea withdrawal")
    p.takes_back("tea")
    p.sees("settle tea withdrawal 00")
    p.ends()


def test_in_doubt_after_a_restart_is_declined_and_not_approved() -> None:
    p = play()
    p.request("tea")
    p.restarts()
    p.sees("forward tea", "undo tea 91 JW: restart")
    p.passes(ms=0)
    p.acknowledges("tea")
    p.sees("send 0420 tea", "settle tea 00")
    p.ends()


# -- the verdict comes later ----------------------------------------------------------------------


def test_a_verdict_that_comes_while_the_bank_is_away() -> None:
    p = play(verifying=True)
    p.verify_says(Verdict.PENDING)
    p.request("tap")
    p.bank_down()
    p.verify_says(Verdict.GENUINE)
    p.verdict("tap", Verdict.GENUINE)
    p.sees(NEVER_SENT.replace("tea", "tap"))
    p.ends(owed=1)


def test_a_verdict_that_comes_while_the_bank_is_away_and_the_day_is_used_up() -> None:
    p = play(verifying=True)
    p.verify_says(Verdict.PENDING)
    p.request("tap")
    p.bank_down()
    p.gate.fit = StandIn.SUM
    p.verdict("tap", Verdict.GENUINE)
    p.sees("decline tap 91 IR")
    p.ends()
