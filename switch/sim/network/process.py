"""The faulty network as a process of its own, steered like the other simulators."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import uvloop

from switch.errors import OperatorError
from switch.sim.network.relay import Relay
from switch.sim.network.rule import Rule
from switch.sim.steering import die_with_parent, steer
from switch.wire.source import Source

__all__ = ["run_network"]


def run_network(
    listen: tuple[str, int],
    to: tuple[str, int],
    rules: Sequence[Rule],
    dialect: Path | None,
    seed: int | None,
    *,
    steered: bool,
) -> None:
    """Until it is stopped. Orders: ``heal``, ``cut`` (reset all), ``refuse`` (down until healed)
    and ``fail`` (the rules of the command line again).

    Raises: OperatorError, DialectError.
    """
    if steered:
        die_with_parent()

    async def main() -> None:
        source = _source(dialect) if dialect is not None else None
        relay = Relay(to, rules, source=source, rng=Random(seed))
        try:
            address = await relay.start(*listen)
        except OSError as error:
            raise OperatorError(f"cannot listen at {listen}: {error.strerror}") from error
        orders = {
            "heal": relay.heal,
            "cut": relay.cut,
            "refuse": relay.refuse,
            "fail": lambda: relay.put(*rules),
        }
        ready = {"role": "network", "listen": address, "to": "{}:{}".format(*to)}
        await steer(relay.status, orders, ready, steered=steered)
        await relay.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _source(path: Path) -> Source:
    try:
        return Source(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OperatorError(f"cannot read the dialect: {error.strerror}", file=str(path)) from error
