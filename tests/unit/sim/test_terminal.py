"""A fleet against a bank, without a switch between: every habit ends with both ledgers equal."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from switch.client.acquirer import Policy
from switch.sim.cards import APPROVING, DEMO, Mixture, Wallet
from switch.sim.devices import Pocket
from switch.sim.ledger import Did, Ledger, Sale, Saw, read_sales
from switch.sim.magic import Act, Trick
from switch.sim.terminal import HABITS, Fleet, FleetPlan, Habit
from tests.support.bank import ACQUIRER_CODE, PREFIX, Bench, bench
from tests.support.devices import pocket


async def sell(
    tmp_path: Path,
    habits: Mapping[Habit, float],
    mixture: Mixture = APPROVING,
    seconds: float = 0.5,
    patience: float = 0.2,
    devices: Pocket | None = None,
) -> tuple[list[Sale], Bench, Mapping[str, object]]:
    """One terminal sells one sale after the other, as fast as the bank answers; then all rest.

    One only: without a switch between, two terminals' equal numbers would meet at the bank.
    """
    path = tmp_path / "sales.jsonl"
    plan = FleetPlan(
        "ACQ01", ACQUIRER_CODE, "A", rate=2000, terminals=1, patience=patience, habits=habits
    )
    policy = Policy(connections=2, reversal_retry=0.1, reconnect_min=0.01)
    async with bench(tmp_path, policy, late_ms=300.0) as both:
        with Ledger(path) as ledger:
            rng = Random(3)
            fleet = Fleet(plan, both.acquirer, Wallet([PREFIX], mixture, rng, devices), ledger, rng)
            fleet.start()
            await asyncio.sleep(seconds)
            fleet.pause()
            both.issuer.heal()
            async with asyncio.timeout(5):
                await fleet.drained()
            status = fleet.status()
            await fleet.stop()
    return list(read_sales(path)), both, status


def net_approvals(lines: list[Sale]) -> dict[str, int]:
    """Reference number to amount of what the terminal holds at the end."""
    held: dict[tuple[str, str, str, str], int] = {}
    names: dict[tuple[str, str, str, str], tuple[str, int]] = {}
    for line in lines:
        if line.did is Did.INVOKE:
            names[line.key] = (line.rrn, line.amount)
        elif line.did is Did.OK:
            held[line.key] = 1
        elif line.did is Did.REVERSED:
            held[line.key] = 0
    return {names[key][0]: names[key][1] for key, one in held.items() if one}


def net_holds(both: Bench) -> dict[str, int]:
    """Reference number to the money that the bank holds at the end."""
    held: Counter[str] = Counter()
    for line in both.bookings():
        if line.saw in (Saw.REQUEST, Saw.REVERSAL):
            held[line.rrn] += line.held - line.released
    return {rrn: amount for rrn, amount in held.items() if amount}


@pytest.mark.parametrize("habit", Habit)
async def test_each_habit_ends_with_equal_ledgers(tmp_path: Path, habit: Habit) -> None:
    habits: dict[Habit, float] = {} if habit is Habit.PLAIN else {habit: 1.0}
    lines, both, status = await sell(tmp_path, habits, seconds=1.0)
    did = Counter(line.did for line in lines)
    assert did[Did.INVOKE] >= 3
    assert net_approvals(lines) == net_holds(both)
    expected = {
        Habit.PLAIN: Did.OK,
        Habit.REPEAT: Did.REPEAT,
        Habit.DUPLICATE: Did.AGAIN,
        Habit.IMPATIENT: Did.OK,
        Habit.CANCEL: Did.REVERSED,
        Habit.OVERTAKE: Did.REVERSED,
    }[habit]
    assert did[expected] >= 3
    assert did[Did.REVERSED] == status["reversed"]
    assert status["in_flight"] == status["owed"] == status["differing"] == 0
    if habit is Habit.OVERTAKE:
        assert did[Did.OK] == 0


async def test_an_impatient_terminal_reverses_what_it_gave_up(tmp_path: Path) -> None:
    habits = {Habit.IMPATIENT: 1.0}
    lines, both, status = await sell(tmp_path, habits, {}, seconds=0.5, patience=0.2)
    assert status["unknown"] == sum(line.did is Did.INFO for line in lines)
    given_up = {line.key for line in lines if line.did is Did.INFO}
    reversed_ = {line.key for line in lines if line.did is Did.REVERSED}
    assert given_up <= reversed_
    assert net_approvals(lines) == net_holds(both)


async def test_the_whole_mixture_ends_with_equal_ledgers(tmp_path: Path) -> None:
    # An unknown code is for the switch to reverse; here there is none.
    mixture = dict.fromkeys(DEMO.keys() - {Act.UNKNOWN_CODE}, 0.07)
    habits: dict[Habit, float] = dict.fromkeys(HABITS, 0.08)
    lines, both, _ = await sell(tmp_path, habits, mixture, seconds=3, patience=0.1)
    assert net_approvals(lines) == net_holds(both)
    assert {line.did for line in lines} >= {Did.OK, Did.FAIL, Did.INFO, Did.REVERSE, Did.REVERSED}


async def test_cards_are_masked_and_numbers_differ(tmp_path: Path) -> None:
    lines, _, status = await sell(tmp_path, {}, seconds=0.3)
    invoked = [line for line in lines if line.did is Did.INVOKE]
    assert len({line.rrn for line in invoked}) == len({line.key for line in invoked})
    assert len(invoked) == status["offered"]
    assert all(line.card[6:12] == "******" for line in invoked)
    assert all(len(line.rrn) == 12 and line.rrn.startswith("A") for line in invoked)


async def test_a_busy_fleet_skips_instead_of_queueing(tmp_path: Path) -> None:
    _, _, status = await sell(tmp_path, {}, seconds=0.5)
    skipped, offered = status["skipped"], status["offered"]
    assert isinstance(skipped, int)
    assert isinstance(offered, int)
    assert skipped > 0
    assert 500 < skipped + offered < 1500


async def test_a_sale_without_a_connection_is_written_as_unsent(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        await both.acquirer.stop()
        with Ledger(tmp_path / "sales.jsonl") as ledger:
            plan = FleetPlan("ACQ01", ACQUIRER_CODE, "A", rate=500, terminals=5, habits={})
            rng = Random(1)
            fleet = Fleet(plan, both.acquirer, Wallet([PREFIX], {}, rng), ledger, rng)
            fleet.start()
            await asyncio.sleep(0.1)
            fleet.pause()
            await fleet.drained()
            status = fleet.status()
            await fleet.stop()
        did = Counter(line.did for line in read_sales(ledger.path))
        assert did[Did.UNSENT] == did[Did.INVOKE] == status["unsent"] > 0


async def test_devices_tap_and_notice_that_nobody_proves_the_answer(tmp_path: Path) -> None:
    devices, _, _ = pocket(tmp_path, token_range=PREFIX)
    lines, both, status = await sell(tmp_path, HABITS, DEMO, 1.0, devices=devices)
    taps = [line for line in lines if line.did is Did.INVOKE and line.tap]
    assert len(taps) == status["taps"]
    assert {line.tap for line in taps} >= {Trick.NOTHING}
    answered = [line for line in lines if line.did in (Did.OK, Did.FAIL)]
    tapped = {line.key for line in taps}
    # A bank that gets the tap itself has no key and says nothing to the device.
    assert {line.proof for line in answered if line.key in tapped} == {"absent"}
    assert {line.proof for line in answered if line.key not in tapped} <= {""}
    proofs = status["proofs"]
    assert isinstance(proofs, dict)
    assert proofs == {"absent": sum(line.key in tapped for line in answered)}
    assert net_approvals(lines) == net_holds(both)
