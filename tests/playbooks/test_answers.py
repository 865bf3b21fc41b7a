"""Plays of requests that are answered: by the bank, or by ourselves before a bank is asked."""

from collections.abc import Sequence

from switch.engine.authorise import TAPS
from switch.engine.effects import Effect
from switch.engine.engine import Engine
from switch.engine.ports import Forwarding, Verdict
from switch.engine.states import State
from switch.wire import Message
from tests.support.playbook import DEADLINE_MS, OTHER_ACQ, PIN_BLOCK, SILENT_ROUTE, Play


def test_an_approval_goes_back_to_who_asked() -> None:
    play = Play()
    play.request("tea")
    play.sees("forward tea")
    play.reply("tea", "00")
    play.sees("answer tea 00")
    play.ends()


def test_a_decline_of_the_bank_passes_with_its_code() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "51")
    play.sees("forward tea", "answer tea 51")
    play.ends()


def test_a_technical_answer_of_the_bank_passes_with_its_code() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "91")
    play.sees("forward tea", "answer tea 91")
    play.ends()


def test_a_partial_approval_is_declined_and_reversed() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "10", amount="000000000400")
    play.sees("forward tea", "conclude tea 91 IB, owes a reversal: unusable answer")
    play.passes(ms=0)
    play.acknowledges("tea")
    play.sees("send 0420 tea", "settle tea 00")
    play.ends()


def test_an_unknown_code_is_declined_and_reversed() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "X9")
    play.sees("forward tea", "conclude tea 91 IB, owes a reversal: unusable answer")
    play.ends(owed=1)


def test_an_answer_without_a_code_is_declined_and_reversed() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", None)
    play.sees("forward tea", "conclude tea 91 IB, owes a reversal: unusable answer")
    play.ends(owed=1)


def test_an_approval_of_another_amount_is_declined_and_reversed() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00", amount="000000009900")
    play.sees("forward tea", "conclude tea 91 IB, owes a reversal: unusable answer")
    play.ends(owed=1)


def test_an_answer_that_the_acquirers_dialect_cannot_carry_is_declined_and_reversed() -> None:
    play = Play()
    play.gate.unbuildable = True
    play.request("tea")
    play.reply("tea", "00", usable=False)
    play.request("cake", slot=2)
    play.acquirer_gone(2)
    play.reply("cake", "51", usable=False)
    play.sees(
        "forward tea",
        "conclude tea 91 IB, owes a reversal: unusable answer",
        "forward cake",
        "conclude cake 91 IB, owes a reversal: unusable answer",
    )
    play.ends(owed=2)


def test_an_answer_that_disagrees_changes_nothing() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "00", terminal_id="TERM0002")
    play.reply("tea", "00", transmission_time="1123165959")
    play.sees("forward tea")
    assert play.counts["disagreeing"] == 2
    play.reply("tea", "51")
    play.sees("answer tea 51")
    play.ends()


def test_a_second_answer_changes_nothing() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea", "51")
    play.reply("tea", "00")
    play.sees("forward tea", "answer tea 51")
    assert play.counts["duplicate"] == 1
    play.ends()


def test_an_unknown_route_is_declined() -> None:
    play = Play()
    play.request("tea", pan=SILENT_ROUTE + "0000000002")
    play.sees("decline tea 92 SR")
    play.request("tea")
    play.sees("repeat tea 92")
    play.ends()


def test_a_bank_that_is_down_is_declined_at_once() -> None:
    play = Play()
    play.bank_down()
    play.request("tea")
    play.sees("decline tea 91 IR")
    play.ends()


def test_the_cap_of_a_bank_sheds_with_91() -> None:
    play = Play()
    for name in ("one", "two", "three", "four"):
        play.request(name)
    play.sees("forward one", "forward two", "forward three", "decline four 91 RW")
    for name in ("one", "two", "three"):
        play.reply(name)
    play.sees("answer one 00", "answer two 00", "answer three 00")
    play.ends()


def test_what_the_gate_cannot_take_is_our_own_fault() -> None:
    play = Play()
    play.gate.refusal = Forwarding.UNFIT
    play.request("tea")
    play.gate.refusal = Forwarding.UNRECORDED
    play.request("cake")
    play.sees("decline tea 96 IV", "decline cake 96 JV")
    play.ends()


def test_a_request_that_waited_past_its_deadline_is_not_forwarded() -> None:
    play = Play()
    request = Engine.request

    def after_a_stall(
        message: Message, slot: int, acquirer: int, now_ns: int, now_s: int
    ) -> Sequence[Effect]:
        return request(
            play.engine, message, slot, acquirer, now_ns + DEADLINE_MS * 1_000_000, now_s
        )

    play.hands_in_with(after_a_stall)
    play.request("tea")
    play.sees("decline tea 91 TQ")
    play.ends()


def test_static_checks_are_answered_before_anything_else() -> None:
    play = Play()
    play.odd("format", without="terminal_id")
    play.odd("kind", "0220", processing_code="200000")
    play.odd("cash", processing_code="010000")
    play.sees("refuse format 30 SV", "refuse kind 12 SV", "refuse cash 12 SV")
    play.ends()


def test_an_amount_of_zero_is_declined_and_remembered() -> None:
    play = Play()
    play.odd("zero", amount="000000000000")
    play.odd("zero", amount="000000000000")
    play.sees("decline zero 13 SV", "repeat zero 13")
    play.ends()


def test_a_pin_is_declined_and_never_forwarded() -> None:
    play = Play()
    play.odd("pin", pin_block=PIN_BLOCK)
    play.odd("pin", pin_block=PIN_BLOCK)
    play.sees("decline pin 57 SV", "repeat pin 57")
    play.ends()


def test_a_kind_that_is_none_of_ours_is_refused_even_when_sound() -> None:
    play = Play()
    play.odd("network", "0800", network_code="301")
    play.odd("answer", "0210", response_code="00")
    play.sees("refuse network 12 SV", "refuse answer 12 SV")
    play.ends()


def test_two_acquirers_with_the_same_numbers_do_not_meet() -> None:
    play = Play()
    play.request("mine")
    play.request("yours", acquirer=OTHER_ACQ, stan="000001", rrn="000000000001")
    play.sees("forward mine", "forward mine")
    assert play.engine.in_flight == 2
    play.reply("mine")
    play.reply("yours", "51")
    play.sees("answer mine 00", "answer mine 51")
    play.ends()


def test_a_verdict_that_comes_later_lets_the_request_go() -> None:
    play = Play(verifying=True)
    play.verify_says(Verdict.PENDING)
    play.request("tap")
    assert play.state("tap") is State.VERIFYING
    play.request("tap")
    play.request("tap", amount="000000000001")
    play.sees("refuse tap 94 DR")
    play.verdict("tap", Verdict.GENUINE)
    play.reply("tap")
    play.sees("forward tap", "answer tap 00", "repeat tap 00")
    play.verdict("tap", Verdict.REFUSED)
    play.sees("note ignored tap")
    play.ends()


def test_a_verdict_of_no_is_declined_and_no_bank_is_asked() -> None:
    for place, (reason, (code, end)) in enumerate(TAPS.items()):
        play = Play(verifying=True)
        play.verify_says(Verdict.REFUSED + place)
        play.request("now")
        play.request("now")
        play.verify_says(Verdict.PENDING)
        play.request("later")
        play.verdict("later", Verdict.REFUSED + place)
        play.sees(f"decline now {code} {end}", f"repeat now {code}", f"decline later {code} {end}")
        assert reason in repr(play.gate.effects[0])
        play.verify_says(Verdict.PLAIN)
        play.request("plain")
        play.reply("plain")
        play.sees("forward plain", "answer plain 00")
        play.ends()


def test_a_verdict_for_a_card_without_route_or_bank() -> None:
    play = Play(verifying=True)
    play.verify_says(Verdict.PENDING)
    play.request("nowhere", pan=SILENT_ROUTE + "0000000002")
    play.verdict("nowhere", Verdict.GENUINE)
    play.request("down")
    play.bank_down()
    play.verdict("down", Verdict.GENUINE)
    play.sees("decline nowhere 92 SR", "decline down 91 IR")
    play.ends()


def test_a_verdict_that_never_comes_is_a_decline_in_time() -> None:
    play = Play(verifying=True)
    play.verify_says(Verdict.PENDING)
    play.request("tap")
    play.request("tap")
    play.passes(ms=DEADLINE_MS)
    play.sees("decline tap 91 TQ", "repeat tap 91")
    play.request("slow")
    play.now_ns += DEADLINE_MS * 1_000_000
    play.verdict("slow", Verdict.GENUINE)
    play.sees("decline slow 91 TQ")
    play.ends()
