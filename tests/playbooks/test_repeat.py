"""Plays of requests that come twice."""

from switch.engine.authorise import WAITERS_MAX
from tests.support.playbook import DEADLINE_MS, Play


def test_a_repeat_after_the_answer_gets_the_stored_one() -> None:
    for code in ("00", "51"):
        play = Play()
        play.request("tea")
        play.reply("tea", code)
        play.request("tea")
        play.request("tea", slot=2)
        play.sees(
            "forward tea", f"answer tea {code}", f"repeat tea {code}", f"repeat tea {code} on 2"
        )
        play.ends()


def test_a_repeat_in_flight_waits_for_the_one_answer() -> None:
    play = Play()
    play.request("tea")
    play.request("tea", slot=2)
    play.sees("forward tea")
    play.reply("tea", "00")
    play.sees("answer tea 00", "repeat tea 00 on 2")
    play.ends()


def test_a_repeat_in_flight_gets_the_decline_of_a_time_out() -> None:
    play = Play()
    play.request("tea")
    play.request("tea", slot=2)
    play.passes(ms=DEADLINE_MS)
    play.sees(
        "forward tea",
        "conclude tea 91 TW, owes a reversal: timeout",
        "repeat tea 91 on 2",
        "send 0420 tea",
    )
    play.ends(owed=1)


def test_only_so_many_repeats_wait() -> None:
    play = Play()
    play.request("tea")
    for _ in range(WAITERS_MAX + 1):
        play.request("tea")
    play.sees("forward tea", "note waiters_full tea")
    play.reply("tea")
    play.sees("answer tea 00", *["repeat tea 00"] * WAITERS_MAX)
    play.ends()


def test_another_body_under_the_key_is_refused_and_changes_nothing() -> None:
    play = Play()
    play.request("tea")
    play.request("tea", amount="000000009900")
    play.sees("forward tea", "refuse tea 94 DR")
    play.reply("tea", "00")
    play.request("tea", amount="000000009900")
    play.request("tea", pan="6299000000000012")
    play.sees("answer tea 00", "refuse tea 94 DR", "refuse tea 94 DR")
    play.request("cake")
    play.reply("cake", "51")
    play.request("cake", amount="000000009900")
    play.sees("forward cake", "answer cake 51", "refuse cake 94 DR")
    play.ends()


def test_a_completion_is_no_repeat_of_the_purchase_whose_numbers_it_bears() -> None:
    play = Play()
    play.request("tea")
    play.request("tea", condition_code="06")
    play.sees("forward tea", "refuse tea 94 DR")
    play.reply("tea", "00")
    play.request("tea", condition_code="06")
    play.sees("answer tea 00", "refuse tea 94 DR")
    play.restarts()
    play.request("tea", condition_code="06")
    play.request("tea")
    play.sees("refuse tea 94 DR", "repeat tea 00")
    play.ends()


def test_a_repeat_after_a_restart_gets_the_stored_answer() -> None:
    play = Play()
    for name, code in (("yes", "00"), ("no", "51")):
        play.request(name)
        play.reply(name, code)
    play.restarts()
    play.request("yes")
    play.request("no")
    play.request("yes", amount="000000000001")
    play.sees(
        "forward yes",
        "answer yes 00",
        "forward no",
        "answer no 51",
        "repeat yes 00",
        "repeat no 51",
        "refuse yes 94 DR",
    )
    play.ends()
