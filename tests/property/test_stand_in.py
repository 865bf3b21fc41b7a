"""Whatever was approved in a bank's name, declined and checkpointed, on whatever days, and whenever
the process was killed: a card never gets more than its allowance, and never less."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.engine.ports import StandIn
from switch.model.state import Cause, Duty
from switch.native import walk
from tests.support.tap import CARD, Taps, open_taps, word
from tests.support.walk import NOW_S, OUT_TIME, restarted

COUNT, SUM, BANK_SUM = 4, 3_000, 9_000
DAYS = ("20261122", "20261123", "20261124")
CARDS = (CARD, "6299001234567891", "6299001234567883")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["token", "plain", "timeout"]),
        st.integers(0, len(CARDS) - 1),
        st.integers(1, 1_600),
    ),
    st.tuples(st.sampled_from(["checkpoint", "restart", "next day"]), st.just(0), st.just(0)),
)


class Play:
    """Approvals as the plainest model keeps them: a list."""

    def __init__(self, taps: Taps) -> None:
        self.taps = taps
        self.day = 0
        self.stan = 0
        self.approved: list[tuple[int, str, int]] = []

    def wanted(self, card: str, amount: int) -> StandIn:
        today = [(one, spent) for day, one, spent in self.approved if day == self.day]
        mine = [spent for one, spent in today if one == card]
        if len(mine) >= COUNT:
            return StandIn.COUNT
        if sum(mine) + amount > SUM:
            return StandIn.SUM
        if sum(spent for _, spent in today) + amount > BANK_SUM:
            return StandIn.BANK_SUM
        return StandIn.STOOD

    def attempt(self, what: str, card: str, amount: int) -> None:
        taps, world = self.taps, self.taps.world
        self.stan += 1
        if what == "token":
            # The token stands for the first card.
            card, amount = CARD, 1_234
            request = taps.message(self.stan, taps.device.tags())
        else:
            request = world.purchase(self.stan, pan=card, amount=f"{amount:012d}", expiry="3012")
        txn, cause = world.next_txn(), Cause.NONE
        assert world.claim(request, txn) == 0
        if what == "token":
            assert word(taps.verifier.check(request, NOW_S)) == "genuine"
        if what == "timeout":
            cause = Cause.TIMEOUT
            world.gate.forward(
                request, world.host, txn, world.acquirer, world.bank, world.next_stan(), OUT_TIME,
                world.wall_ms, DAYS[self.day],
            )  # fmt: skip
            world.flow()
        fit, owed = world.gate.stand_in(
            request, world.terminal, txn, world.acquirer, world.bank, "any", "circuit",
            (COUNT, SUM, BANK_SUM), (world.next_stan(), OUT_TIME), world.wall_ms, DAYS[self.day],
            cause, (world.next_stan(), OUT_TIME) if cause else None,
        )  # fmt: skip
        assert fit == self.wanted(card, amount)
        if fit == StandIn.STOOD:
            self.approved.append((self.day, card, amount))
            assert [one.duty for one in owed][-1] == Duty.ADVICE
        elif cause:
            world.gate.conclude(
                request, world.terminal, txn, "91", "TW", world.wall_ms, cause, world.next_stan(),
                OUT_TIME,
            )  # fmt: skip
        else:
            world.gate.decline(
                request, world.terminal, txn, world.acquirer, "91", "IR", world.wall_ms
            )
        world.flow()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40))
def test_allowances_survive_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory, open_taps(Path(directory)) as taps:
        run(Play(taps), steps)


def run(play: Play, steps: list[tuple[str, int, int]]) -> None:
    """Plays on; a restart plays the rest in the process that comes after."""
    taps = play.taps
    for place, (what, card, amount) in enumerate(steps):
        if what == "checkpoint":
            taps.world.gate.checkpoint(taps.world.wall_ms)
            taps.world.flow()
        elif what == "next day":
            play.day = min(play.day + 1, len(DAYS) - 1)
        elif what == "restart":
            before = taps.world
            with restarted(before, capacity=8_000) as (world, recovered):
                assert not recovered.in_doubt
                assert advices(recovered) == len(play.approved)
                taps.verifier, taps.world = None, world  # type: ignore[assignment]
                taps.verifier = taps.open_verifier()
                world._txn, world._stan = before._txn, before._stan
                run(play, steps[place + 1 :])
                taps.verifier = None  # type: ignore[assignment]
            return
        else:
            play.attempt(what, CARDS[card], amount)
    assert taps.world.findings() == []
    today = [spent for day, _, spent in play.approved if day == play.day]
    world = taps.world
    total = world.duplicates.stand_in(world.bank, "156", DAYS[play.day])
    assert total == (len(today), sum(today))


def advices(recovered: walk.Recovered) -> int:
    """Nothing is delivered here: each approval still owes its advice."""
    return sum(one.duty == Duty.ADVICE for one in recovered.owed)
