"""Whatever the gate did, and whenever it was killed: replay finds the state that it had."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.model.state import Cause, KeyState, ReversalEffect
from switch.native import codec, walk
from tests.support.walk import NOW_S, OUT_TIME, World, open_world, restarted

REQUESTS = 3
ACTS = (
    "purchase", "approve", "decline", "time out", "refuse", "reverse", "settle",
    "checkpoint step", "checkpoint",
)  # fmt: skip


class Play:
    """Random acts on a few requests, each made only where the engine could make it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flying: dict[int, tuple[codec.Message, int, bytes]] = {}
        self.approved: dict[int, int] = {}
        self.owed: dict[int, walk.Original] = {}
        self.taken: set[int] = set()
        self.numbers = 100_000

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def act(self, what: str, stan: int) -> None:
        world = self.world
        match what:
            case "purchase" if stan not in self.taken:
                self.taken.add(stan)
                request, txn, frame = world.purchase_to_bank(stan)
                self.flying[stan] = request, txn, frame
            case "refuse" if stan not in self.taken:
                self.taken.add(stan)
                request, txn = world.purchase(stan), world.next_txn()
                world.claim(request, txn)
                world.gate.decline(
                    request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms
                )
            case "approve" | "decline" if stan in self.flying:
                request, txn, frame = self.flying.pop(stan)
                reply = world.reply_to(frame, "00" if what == "approve" else "51")
                world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
                if what == "approve":
                    self.approved[stan] = txn
            case "time out" if stan in self.flying:
                request, txn, _ = self.flying.pop(stan)
                owed = world.gate.conclude(
                    request, world.terminal, txn, "91", "TW", world.wall_ms,
                    Cause.TIMEOUT, self.number(), OUT_TIME,
                )  # fmt: skip
                assert owed is not None
                self.owed[txn] = owed
            case "reverse" if stan in self.approved:
                self.reverse(stan)
            case "settle" if self.owed:
                _, owed = self.owed.popitem()
                world.gate.settle(owed, "00", world.wall_ms)
            case "checkpoint step":
                world.gate.checkpoint(world.wall_ms)
            case "checkpoint":
                while not world.gate.checkpoint(world.wall_ms):
                    pass
        world.flow()

    def reverse(self, stan: int) -> None:
        world, original = self.world, self.approved.pop(stan)
        message, txn = world.reversal_of(stan, 100 + stan), world.next_txn()
        world.claim(message, txn)
        owed = world.gate.reversal(
            message, world.terminal, txn, world.acquirer, original, ReversalEffect.REVERSE,
            world.wall_ms, NOW_S, self.number(), OUT_TIME,
        )  # fmt: skip
        assert owed is not None
        self.owed[original] = owed


def seen(world: World) -> list[tuple[int, int, str] | None]:
    """State, transaction and stored code of every request and of every reversal's own key."""
    messages = [world.purchase(stan) for stan in range(REQUESTS)]
    messages += [world.reversal_of(stan, 100 + stan) for stan in range(REQUESTS)]
    entries = [world.duplicates.look(m, world.acquirer, NOW_S) for m in messages]
    return [e and (e.state, e.txn, e.response_code) for e in entries]


@given(
    st.lists(
        st.tuples(st.sampled_from(ACTS), st.integers(0, REQUESTS - 1)), min_size=20, max_size=60
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_replay_finds_the_state_that_was(acts: list[tuple[str, int]]) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        open_world(Path(directory), capacity=64) as world,
    ):
        play = Play(world)
        for what, stan in acts:
            play.act(what, stan)
        with restarted(world, capacity=64) as (second, found):
            assert seen(second) == seen(world)
            flying = sorted(txn for _, txn, _ in play.flying.values())
            assert [o.txn for o in found.in_doubt] == flying
            assert [o.txn for o in found.owed] == sorted(play.owed)
            for before, after in zip(sorted(play.owed.items()), found.owed, strict=True):
                assert after.stan == before[1].stan
                assert after.out_stan == before[1].out_stan
            for doubtful in found.in_doubt:
                second.gate.undo(
                    doubtful.txn, "91", "JW", second.wall_ms, Cause.RESTART,
                    play.number(), OUT_TIME,
                )  # fmt: skip
            states = {entry[0] for entry in seen(second) if entry}
            assert KeyState.IN_FLIGHT not in states
            assert second.findings() == []
