"""The gateway of a world: real vault and index, in virtual time, killed anywhere."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any

import pytest

from switch.native import hook, simulation
from switch.simulation.gateway import Gateway, LostError
from switch.simulation.ground import Shared, shared
from switch.simulation.loop import VirtualLoop
from switch.simulation.network import Network, Weather
from switch.simulation.ports import START_NS
from switch.simulation.vault import left_of
from switch.simulation.wallet import TOKEN_PREFIX, token_of
from switch.tokens.orders import By, Reindex, Resume, Show, Suspend

BY = By(actor="tester", reason="a test")
TOKEN = token_of(0, 1)


class Bench:
    """A gateway and its loop, without a worker."""

    def __init__(self, ground: Shared) -> None:
        self.ground = ground
        self.told: list[str] = []
        self.loop = VirtualLoop(START_NS, self._advanced, self._raised, self._after)
        self.loop.plug(Network(self.loop, Random(1), Weather()))
        self.gateway = Gateway(
            self.loop, ground.tokens.copy(), TOKEN_PREFIX, ground.keys, lambda: 1_790_000_000_000,
            lambda: 0.001, lambda: 0.1, self.told.append,
        )  # fmt: skip

    def _advanced(self, now_ns: int) -> None:
        simulation.set_now(now_ns, now_ns)

    def _raised(self, context: dict[str, Any]) -> None:
        assert isinstance(context.get("exception"), hook.Crashed), context

    def _after(self) -> None:
        if hook.reached():
            hook.arm("")
            self.gateway.kill()

    def run(self, work: Callable[["Bench"], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            self.gateway.start()
            await self.again()
            await work(self)

        self.loop.run_until_complete(main())

    async def again(self) -> None:
        while not self.gateway.sound:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)

    def state(self) -> tuple[int, object]:
        """In the vault, and in the index."""
        left = left_of(self.gateway.directory, self.ground.keys)
        return {row[0]: row[1] for row in left.rows}[TOKEN], left.index[TOKEN]["state"]


@pytest.fixture
def bench() -> Iterator[Bench]:
    ground = shared()
    simulation.begin(1, START_NS, START_NS)
    made = Bench(ground)
    yield made
    made.gateway.clear()
    made.loop.close()
    hook.arm("")
    simulation.end()


def test_an_order_takes_virtual_time_and_stands_in_vault_and_index(bench: Bench) -> None:
    async def work(bench: Bench) -> None:
        before = bench.loop.time()
        shown: Any = await bench.gateway.ask(Suspend(by=BY, token=TOKEN))
        assert shown.state == "suspended"
        assert 0.005 < bench.loop.time() - before < 0.1
        assert bench.state() == (3, 3)

    bench.run(work)


@pytest.mark.parametrize(
    ("point", "durable"),
    [
        ("vault.commit.before:1", False),
        ("vault.commit.after:1", True),
        ("index.write.after:1", True),
        ("vault.commit.before:2", True),
    ],
)
def test_killed_between_its_steps_an_order_is_completed_or_never_was(
    bench: Bench, point: str, durable: bool
) -> None:
    async def work(bench: Bench) -> None:
        hook.arm(point)
        with pytest.raises(LostError) as lost:
            await bench.gateway.ask(Suspend(by=BY, token=TOKEN))
        assert lost.value.begun
        await bench.again()
        wanted = 3 if durable else 2
        shown: Any = await bench.gateway.ask(Show(by=BY, token=TOKEN))
        assert shown.state == ("suspended" if durable else "active")
        assert bench.state() == (wanted, wanted)
        assert bench.gateway.lives == 2

    bench.run(work)


def test_nobody_is_asked_while_there_is_no_gateway_and_a_rebuild_is_told_of(bench: Bench) -> None:
    async def work(bench: Bench) -> None:
        bench.gateway.kill()
        with pytest.raises(LostError) as lost:
            await bench.gateway.ask(Resume(by=BY, token=TOKEN))
        assert not lost.value.begun
        await bench.again()
        spans = len(bench.gateway.tending)
        await bench.gateway.ask(Reindex(by=BY), rebuilds=True)
        begin, end = bench.gateway.tending[spans]
        assert end > begin
        assert bench.state() == (2, 2)

    bench.run(work)
