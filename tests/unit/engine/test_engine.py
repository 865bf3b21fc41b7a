"""The engine where a playbook cannot look: bugs of ours, ids, and what the hot pair returns."""

import re
from pathlib import Path

from switch.engine.effects import NOTES, NOTHING, Answer, Decline, Forward, Note, Refuse
from switch.engine.engine import GONE_MAX
from switch.engine.events import Event
from switch.engine.forward import conclude, late
from switch.engine.perform import perform
from switch.engine.states import State
from switch.engine.transaction import Transaction
from switch.model.state import KeyState, ReversalEffect
from tests.support.gate import FakeEntry, FakeOwed, FakeRecovered
from tests.support.message import PURCHASE, message, reply_to
from tests.support.playbook import ACQ, BANK, Play

ENGINE_FILES = sorted((Path(__file__).parents[3] / "switch" / "engine").glob("*.py"))


def _txn(state: State) -> Transaction:
    return Transaction(7, message("0200", PURCHASE), ACQ, 1, BANK, state, 10**12)


def test_the_hot_pair_returns_the_one_empty_tuple() -> None:
    play = Play()
    request = message("0200", PURCHASE, play.now_ns)
    assert play.engine.request(request, 1, ACQ, play.now_ns, 0) is NOTHING
    txn = play.engine.find(1)
    assert txn is not None
    reply = reply_to(request, txn.out_stan, txn.out_time, "00")
    assert play.engine.reply(txn, reply, play.now_ns) is NOTHING
    assert play.engine.request(request, 1, ACQ, play.now_ns, 0) is NOTHING
    assert play.engine.find(1) is None


def test_ids_count_up_and_refusals_take_none() -> None:
    play = Play()
    play.request("one")
    play.odd("odd", without="terminal_id")
    play.request("two")
    play.request("two", amount="000000000001")
    assert play.engine.next_txn == 3


def test_a_key_in_flight_that_nobody_knows_is_our_own_fault() -> None:
    play = Play()
    play.request("tea")
    txn = play.engine.find(1)
    assert txn is not None
    play.engine.bank_lost([txn])
    request = message("0200", {**PURCHASE, "stan": "000001"}, play.now_ns)
    play.duplicates.by_txn[1].state = KeyState.IN_FLIGHT
    assert play.engine.request(request, 1, ACQ, play.now_ns, 0) == [
        Note("impossible", 1),
        Refuse(request, 1, "96", "DR"),
    ]
    play.gate.effects.clear()
    fields = {name: PURCHASE[name] for name in ("pan", "amount", "acquirer_code", "terminal_id")}
    fields |= {
        "processing_code": "000000",
        "merchant_id": PURCHASE["merchant_id"],
        "currency": "156",
        "stan": "000900",
        "transmission_time": "1123170001",
        "original_data": "0200000001" + PURCHASE["transmission_time"] + "00000010001" + "0" * 11,
    }
    perform(
        play.engine,
        play.gate,
        play.engine.request(message("0420", fields), 1, ACQ, play.now_ns, 0),
        play.now_ns,
    )
    play._names[2] = "back"
    assert [type(effect).__name__ for effect in play.gate.effects] == ["Note", "Decline"]


def test_an_event_that_cannot_be_is_noted_and_moves_nothing() -> None:
    txn = _txn(State.SUPPRESSED)
    assert conclude(txn, Event.LEG_UNSENT) == [Note("impossible", 7)]
    assert txn.state is State.SUPPRESSED
    assert late(State.APPROVED, Event.APPROVED, 7) == [Note("impossible", 7)]


def test_an_approval_that_cannot_be_found_again_is_an_alarm() -> None:
    """00 has been recorded for the acquirer, so a reversal that the gate cannot build must be
    seen."""

    class Forgetful:
        def accept_reversal(self, *_: object) -> None:
            return None

        def note(self, what: str, txn: int) -> None:
            noted.append((what, txn))

    noted: list[tuple[str, int]] = []
    play = Play()
    play.request("tea")
    play.reply("tea")
    play.reversal("back", of="tea")
    accept = next(e for e in play.gate.effects if type(e).__name__ == "AcceptReversal")
    assert accept.effect is ReversalEffect.REVERSE  # type: ignore[union-attr]
    perform(play.engine, Forgetful(), [accept], 0)  # type: ignore[arg-type]
    assert noted == [("impossible", 1)]


def test_nobody_is_answered_on_a_lost_slot() -> None:
    play = Play()
    for slot in (1, 2, 1):
        play.request("mine", slot=slot)
    play.request("other", slot=3)
    assert play.engine.acquirer_lost(1) is NOTHING
    play.reply("mine")
    play.reply("other")
    play.sees(
        "forward mine",
        "forward other",
        "answer mine 00 to nobody",
        "repeat mine 00 on 2",
        "answer other 00",
    )
    play.request("late", slot=1)
    play.request("late", slot=2)
    play.engine.acquirer_lost(2)
    play.passes(ms=2_000)
    play.sees("forward late", "conclude late 91 TW, owes a reversal: timeout", "send 0420 late")


def test_lost_slots_that_nothing_refers_to_are_forgotten() -> None:
    play = Play()
    play.request("first", slot=1)
    play.request("first", slot=2)
    for slot in range(1, GONE_MAX + 10):
        play.engine.acquirer_lost(slot)
    assert len(play.engine._gone) <= 10
    play.reply("first")
    play.sees("forward first", "answer first 00 to nobody")


def test_what_the_gate_cannot_resolve_after_a_restart_is_an_alarm() -> None:
    play = Play()
    play.duplicates.by_txn[9] = FakeEntry(9, KeyState.DECLINED, (), "", -1)
    doubtful = FakeRecovered([FakeOwed(9, 77, 0, "")], [])
    perform(play.engine, play.gate, play.engine.recover(doubtful, 0, 0), 0)
    assert play.gate.effects[-1] == Note("still_in_doubt", 9)


def test_recovering_again_adds_nothing() -> None:
    play = Play()
    owed = FakeOwed(5, BANK, 1, "1123170000")
    recovered = FakeRecovered([], [owed])
    assert play.engine.recover(recovered, 0, 0) == []
    assert play.engine.recover(recovered, 0, 0) == []
    assert play.engine.owed_count == 1


def test_state_of_a_transaction_follows_its_reversal() -> None:
    play = Play()
    play.request("tea")
    txn = play.engine.find(1)
    assert txn is not None
    assert play.engine.state(txn) is State.AWAITING
    play.passes(ms=2_000)
    assert play.engine.state(txn) is State.REVERSING
    play.acknowledges("tea")
    assert play.engine.state(txn) is State.REVERSED


def test_all_notes_are_in_the_bounded_set() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in ENGINE_FILES)
    used = set(re.findall(r'(?:Note|note)\(\s*"(\w+)"', text))
    assert used <= set(NOTES)
    assert {note for note in NOTES if f'"{note}"' in text} == set(NOTES)


def test_the_hot_pair_is_never_done_from_a_list() -> None:
    play = Play()
    txn = _txn(State.AWAITING)
    answer = reply_to(txn.request, 1, "1123170000", "00")
    perform(play.engine, play.gate, [Forward(txn), Answer(txn, answer)], 0)
    assert play.gate.effects == [Note("impossible", 7)] * 2


def test_a_request_with_too_little_time_left_for_its_bank_is_declined() -> None:
    play = Play()
    deadline_ns = play.engine._deadline_ns[BANK]
    play.engine.expect(BANK, deadline_ns // 4)
    waited = message("0200", PURCHASE, play.now_ns)
    later_ns = play.now_ns + deadline_ns * 3 // 4
    assert play.engine.request(waited, 1, ACQ, later_ns, 0) is NOTHING
    assert play.engine.in_flight == 0
    (declined,) = play.gate.effects
    assert isinstance(declined, Decline)
    assert (declined.code, declined.end) == ("91", "TR")
    fresh = message("0200", {**PURCHASE, "stan": "000002", "rrn": "000000000002"}, play.now_ns)
    assert play.engine.request(fresh, 1, ACQ, play.now_ns, 0) is NOTHING
    assert play.engine.in_flight == 1


def test_a_bank_that_has_been_silent_is_asked_again() -> None:
    """However long its answers took, a request that has not waited goes to it."""
    play = Play()
    play.engine.expect(BANK, 10**15)
    request = message("0200", PURCHASE, play.now_ns)
    assert play.engine.request(request, 1, ACQ, play.now_ns, 0) is NOTHING
    assert play.engine.in_flight == 1
