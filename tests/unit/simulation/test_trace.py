"""A world as it happens: messages at both ends, faults, crashes, syncs; one transaction of it."""

from collections.abc import Iterator
from xml.etree import ElementTree

import msgspec
import pytest

from switch.simulation.case import Case
from switch.simulation.chance import Choice
from switch.simulation.picture import picture
from switch.simulation.plan import Aim, Plan, Script, draw
from switch.simulation.swarm import Pool, Result
from switch.simulation.trace import Event, follow, shown

FIRST, SECOND = "000000100250", "000000200999"


def plain() -> Plan:
    """Two purchases: the bank answers the first late, the power goes behind the second."""
    return draw(1, 2).without(
        script=(
            Script(1, 0, 0, "purchase", 0, 0, 250),
            Script(2, 0, 20_000, "purchase", 0, 1, 999),
        ),
        choices=(Choice("bank/00000100250/020/0", "late", (300.0, 0.9, 0.5)),),
        aims=(Aim("approval_sent", 1, 0, power=True),),
        acquirers=1,
        links=1,
        banks=1,
        bank_links=1,
        accepts=False,
        deadline_ms=300,
        timeout_ms=700,
        taps=0.0,
        faults={},
        latency_us=(100, 100),
        stand_in=(),
        still=True,
    )


@pytest.fixture(scope="module")
def result() -> Iterator[Result]:
    with Pool(1) as pool:
        yield pool.one(Case(1, 2, plan=plain()), trace=True)


def test_the_world_is_sound(result: Result) -> None:
    assert result.outcome.broken == []


def test_a_world_that_is_told_ends_as_the_drawn_one_did() -> None:
    seeds = range(1, 9)
    with Pool(1) as pool:
        drawn = [pool.one(Case(seed, 80), trace=True) for seed in seeds]
        told = [pool.one(Case(one.case.seed, 80, plan=one.plan)) for one in drawn]
    assert all(one.plan is not None and one.plan.choices for one in drawn)
    assert [one.outcome for one in told] == [one.outcome for one in drawn]


def test_every_message_is_seen_where_it_leaves_and_where_it_arrives(result: Result) -> None:
    way = [
        (one.node, one.what, one.peer, one.mti, one.code)
        for one in result.events
        if one.rrn == SECOND and one.what in {"sends", "gets"} and one.mti in {"0200", "0210"}
    ]
    assert way[:8] == [
        ("ACQ00", "sends", "switch", "0200", ""),
        ("switch", "gets", "ACQ00", "0200", ""),
        ("switch", "sends", "BANK00", "0200", ""),
        ("BANK00", "gets", "switch", "0200", ""),
        ("BANK00", "sends", "switch", "0210", "00"),
        ("switch", "gets", "BANK00", "0210", "00"),
        ("switch", "sends", "ACQ00", "0210", "00"),
        ("ACQ00", "gets", "switch", "0210", "00"),
    ]


def test_faults_cuts_syncs_and_recoveries_are_there(result: Result) -> None:
    lines = [shown(one) for one in result.events]
    for wanted in (
        "fault: late at bank/00000100250/020/0",
        "power cut 0 us after approval_sent",
        "life 1 is killed, and the power cut",
        "life 2 starts",
        "life 2 is up:",
        "journal: synced to LSN",
        "begins: transaction 1: purchase",
        "healed",
    ):
        assert any(wanted in line for line in lines), wanted


def test_time_never_goes_back_and_no_card_is_shown(result: Result) -> None:
    times = [one.at_ns for one in result.events]
    assert times == sorted(times)
    text = "\n".join(shown(one) for one in result.events)
    assert "629900******" in text
    assert "6299000000000000" not in text
    assert "6299000000000000" not in msgspec.json.encode(result.events).decode()


def test_one_transaction_is_followed_by_any_of_its_numbers(result: Result) -> None:
    mine = follow(result.events, FIRST)
    assert {one.rrn for one in mine if one.what in {"sends", "gets"}} == {FIRST}
    assert {"0200", "0210", "0420", "0430"} <= {one.mti for one in mine}
    assert any("is killed" in one.text for one in mine)
    stan = next(one.stan for one in mine if one.node == "switch" and one.peer == "BANK00")
    assert follow(result.events, stan.lstrip("0")) == follow(result.events, FIRST) or stan in {
        one.stan for one in result.events if one.rrn == SECOND
    }
    assert follow(result.events, "999999999999") == []


def test_of_syncs_only_the_first_behind_each_message_is_followed() -> None:
    def sync(at: int) -> Event:
        return Event(at, "switch", "journal", "synced")

    message = Event(5, "switch", "gets", mti="0200", rrn=FIRST, stan="000001")
    events = [sync(1), message, sync(6), sync(7)]
    assert [one.at_ns for one in follow(events, FIRST)] == [5, 6]


def test_a_picture_has_a_lane_for_each_and_a_cross_for_what_was_lost(result: Result) -> None:
    drawn = picture(follow(result.events, FIRST), FIRST)
    for name in ("ACQ00", "switch", "BANK00"):
        assert f">{name}</text>" in drawn
    assert drawn.count('class="way"') >= 6
    assert 'class="lost"' not in drawn
    lost = [Event(5, "switch", "sends", peer="BANK00", link=1, mti="0200", rrn=FIRST, stan="1")]
    assert 'class="lost"' in picture(lost, FIRST)
    assert "629900" not in drawn


def test_a_picture_is_whole_whatever_stands_in_it() -> None:
    odd = [Event(5, "switch", "note", 'a < b & "c"'), Event(6, "BANK00", "sends", peer="switch")]
    ElementTree.fromstring(picture(odd, "<1>"))  # noqa: S314 - it is our own
