"""A simulator as a process: its loop, its ledger, its orders, and its end."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import uvloop

from switch.client.acquirer import Acquirer, Policy
from switch.crypto.keyfile import open_keys
from switch.crypto.masters import CardMasters, open_masters
from switch.errors import KeyFileError, OperatorError
from switch.settings.load import load
from switch.sim.cards import Mixture, Wallet
from switch.sim.devices import Pocket
from switch.sim.issuer import Issuer, IssuerPlan
from switch.sim.ledger import Ledger
from switch.sim.steering import die_with_parent, load_dialect, steer
from switch.sim.terminal import Fleet, FleetPlan

__all__ = ["Devices", "run_fleet", "run_issuer"]


class Devices(msgspec.Struct, frozen=True):
    """With what a fleet's customers tap."""

    tokens: Path
    """Token file."""
    node: Path
    """Configuration of the node whose card masters, under demo keys, the devices are made of."""
    part: tuple[int, int] = (0, 1)
    """Every second of these tokens, from the first of these on: fleets share a file."""
    counter: int = 0
    """Last transaction counter that the devices used before."""


def run_issuer(
    plan: IssuerPlan, dialect: Path | None, ledger: Path, seed: int | None, *, steered: bool
) -> None:
    """One bank until it is stopped. Raises OperatorError for what it cannot open or listen on."""
    compiled = load_dialect(dialect)

    async def main(lines: Ledger) -> None:
        issuer = Issuer(plan, compiled, lines, Random(seed))
        try:
            await issuer.start()
        except OSError as error:
            raise OperatorError(f"cannot listen at {plan.listen}: {error.strerror}") from error
        ready = {"role": "issuer", "name": plan.name, "listen": issuer.address}
        await steer(issuer.status, {"heal": issuer.heal}, ready, steered=steered)
        await issuer.stop()

    _run(main, ledger, steered=steered)


def run_fleet(
    plan: FleetPlan,
    policy: Policy,
    addresses: Sequence[tuple[str, int]],
    purchases: tuple[Sequence[str], Mixture],
    devices: Devices | None,
    dialect: Path | None,
    ledger: Path,
    seed: int | None,
    *,
    steered: bool,
) -> None:
    """One fleet until it is stopped. It begins to sell when its connections are signed on.

    `purchases` is card prefixes and mixture. Raises UnreachableError when the switch is not there,
    and OperatorError for what is no token file or no demo keys.
    """
    compiled = load_dialect(dialect)
    masters = _masters(devices.node) if devices else None

    async def main(lines: Ledger) -> None:
        rng = Random(seed)
        acquirer = Acquirer(compiled, addresses, plan.institution_code, policy, rng)
        pocket = None
        if devices is not None and masters is not None:
            pocket = Pocket(masters, devices.tokens, rng, devices.part, devices.counter)
        fleet = Fleet(plan, acquirer, Wallet(*purchases, rng, pocket), lines, rng)
        acquirer.start()
        await acquirer.ready()
        fleet.start()
        orders = {"pause": fleet.pause, "resume": fleet.resume}
        ready = {"role": "terminal", "name": plan.acquirer}
        await steer(fleet.status, orders, ready, steered=steered)
        await fleet.stop()
        await acquirer.stop()

    _run(main, ledger, steered=steered)


def _masters(node: Path) -> CardMasters:
    """The card masters of a node with demo keys."""
    settings = load(node)
    if settings.tokens is None:
        raise OperatorError("there is no table [tokens]", file=settings.file)
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    if not keys.demo:
        raise KeyFileError(
            "devices in software are made of demo keys only",
            file=settings.keys.file,
            help="whoever may make devices of real keys can pay with anybody's",
        )
    return open_masters(settings.tokens.card_masters_file, keys)


def _run(main: Callable[[Ledger], Coroutine[Any, Any, None]], path: Path, *, steered: bool) -> None:
    if steered:
        die_with_parent()
    try:
        lines = Ledger(path)
    except OSError as error:
        raise OperatorError(f"cannot make the ledger: {error.strerror}", file=str(path)) from error
    with lines, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(lines))
