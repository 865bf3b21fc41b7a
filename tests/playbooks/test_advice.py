"""Plays of what an acquirer tells: accepted at once, and told to the bank however long it takes."""

from switch.engine.ports import Verdict
from tests.support.playbook import DEADLINE_MS, PAUSES, SILENT_ROUTE, Play


def test_an_advice_is_accepted_at_once_and_delivered() -> None:
    play = Play()
    play.advice("trip")
    play.sees("accept trip, owes an advice")
    play.passes(ms=0)
    play.sees("send 0220 trip")
    play.knows("trip")
    play.sees("settle trip advice 00")
    play.ends()


def test_an_advice_waits_for_a_bank_that_is_down() -> None:
    play = Play()
    play.bank_down()
    play.advice("trip")
    play.passes(ms=10_000)
    play.sees("accept trip, owes an advice")
    play.bank_up()
    play.sees("send 0220 trip")
    play.knows("trip")
    play.sees("settle trip advice 00")
    play.ends()


def test_a_repeated_advice_gets_its_answer_again_and_is_owed_once() -> None:
    play = Play()
    play.advice("trip")
    play.advice("trip", "0221")
    play.sees("accept trip, owes an advice", "repeat trip 00")
    play.ends(owed=1)


def test_an_advice_without_an_answer_is_sent_again_as_a_repeat() -> None:
    play = Play()
    play.advice("trip")
    play.passes(ms=0)
    play.passes(ms=PAUSES[0])
    play.sees("accept trip, owes an advice", "send 0220 trip", "send 0221 trip")
    play.knows("trip", "91")
    play.sees("note delivery_rejected trip")
    play.passes(ms=PAUSES[1])
    play.knows("trip", "94")
    play.sees("send 0221 trip", "settle trip advice 94")
    play.ends()


def test_an_advice_that_its_bank_declines_is_a_dead_letter() -> None:
    play = Play()
    play.advice("trip")
    play.passes(ms=0)
    play.knows("trip", "51")
    play.sees(
        "accept trip, owes an advice",
        "send 0220 trip",
        "settle trip advice dead",
        "note delivery_dead trip",
    )
    play.knows("trip", "51")
    play.passes(ms=100 * PAUSES[-1])
    play.bank_up()
    play.ends(owed=1)
    assert play.engine.deliveries.dead == 1


def test_an_advice_is_owed_over_a_restart() -> None:
    play = Play()
    play.advice("trip")
    play.sees("accept trip, owes an advice")
    play.restarts()
    play.passes(ms=0)
    play.sees("send 0221 trip")
    play.knows("trip")
    play.sees("settle trip advice 00")
    play.ends()


def test_an_advice_cannot_be_taken_back() -> None:
    play = Play()
    play.advice("trip")
    play.reversal("back", of="trip")
    play.sees("accept trip, owes an advice", "decline back 12 SV")
    play.ends(owed=1)


def test_an_advice_without_a_route_is_refused() -> None:
    play = Play()
    play.advice("trip", pan=SILENT_ROUTE + "0000000003")
    play.sees("decline trip 92 SR")
    play.ends()


def test_an_advice_is_checked_before_it_is_taken() -> None:
    play = Play(verifying=True)
    play.verify_says(Verdict.PENDING)
    play.advice("trip")
    play.verdict("trip", Verdict.GENUINE)
    play.sees("accept trip, owes an advice")
    play.advice("fare")
    play.verdict("fare", Verdict.REFUSED)
    play.passes(ms=DEADLINE_MS)
    play.sees("decline fare 96 RN", "send 0220 trip")
    play.knows("trip")
    play.sees("settle trip advice 00")
    play.ends()


def test_what_cannot_be_said_to_a_bank_is_a_dead_letter_and_stops_nothing() -> None:
    play = Play()
    play.gate.unspeakable = True
    play.advice("trip")
    play.passes(ms=0)
    play.sees("accept trip, owes an advice", "settle trip advice dead", "note delivery_dead trip")
    play.gate.unspeakable = False
    play.advice("fare")
    play.passes(ms=0)
    play.sees("accept fare, owes an advice", "send 0220 fare")
    play.knows("fare")
    play.sees("settle fare advice 00")
    play.ends(owed=1)


def test_an_advice_of_a_request_that_came_to_nothing_is_accepted_under_its_numbers() -> None:
    """The bank did not answer, the acquirer stood in for it and tells so: the bank has to learn
    it, and the request stays reversed."""
    play = Play()
    play.request("tea")
    play.passes(ms=DEADLINE_MS)
    play.passes(ms=0)
    play.acknowledges("tea")
    play.advice("told", **play.numbers_of("tea"))
    play.advice("told", "0221")
    play.passes(ms=0)
    play.knows("told")
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "send 0420 tea",
        "settle tea 00",
        "accept tea, owes an advice",
        "repeat tea 00",
        "send 0220 told",
        "settle told advice 00",
    )
    play.request("tea")
    play.sees("repeat tea 91")
    play.ends()


def test_an_advice_of_what_its_bank_approved_is_known_already() -> None:
    play = Play()
    play.request("tea")
    play.reply("tea")
    play.odd("told", "0220", **play.numbers_of("tea"))
    play.sees("forward tea", "answer tea 00", "refuse tea 94 DR")
    play.advice("tip", **{**play.numbers_of("tea"), "amount": "000000009900"})
    play.sees("accept tea, owes an advice")
    play.ends(owed=1)


def test_an_advice_of_what_its_bank_may_still_answer_is_to_be_told_again() -> None:
    play = Play()
    play.request("tea")
    play.odd("soon", "0220", **play.numbers_of("tea"))
    play.reply("tea", "51")
    play.advice("told", "0221", **play.numbers_of("tea"))
    play.sees("forward tea", "refuse tea 09 DR", "answer tea 51", "accept tea, owes an advice")
    play.ends(owed=1)
