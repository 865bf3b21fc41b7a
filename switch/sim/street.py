"""A street of Chinese POS terminals at one acquirer of a node with demo keys: each signs on, pays
now and then, asks balances, reserves and completes, and takes back what it does not know of."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from switch.crypto.keyfile import open_keys
from switch.crypto.links import Parameters
from switch.crypto.terminals import PAGE, Registry, TerminalRow, open_registry
from switch.errors import KeyFileError, OperatorError
from switch.model.pan import luhn_digit
from switch.settings.load import load
from switch.sim.pos import Card, Heard, PosTerminal, SilentError
from switch.wire import Dialect

__all__ = ["Street", "StreetPlan", "open_street"]


class StreetPlan(msgspec.Struct, frozen=True):
    """Times in seconds."""

    acquirer: str
    address: str
    terminals: int = 10
    pause: float = 0.5
    """Mean pause of a terminal between two customers."""
    patience: float = 5.0
    prefix: str = "629900"
    """Of the cards that are used."""


class Street:
    """Runs until it is stopped; `status` tells what came of it."""

    def __init__(self, plan: StreetPlan, terminals: list[PosTerminal], rng: Random) -> None:
        self._plan = plan
        self._terminals = terminals
        self._rng = rng
        self._counts: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._work: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Every terminal begins its day."""
        self._work = [asyncio.create_task(self._day(one)) for one in self._terminals]

    async def stop(self) -> None:
        """Ends the day: what is owed is settled first, then everybody signs off."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for terminal in self._terminals:
            try:
                self._counts["owed"] += not await terminal.settle()
                await terminal.sign_off()
            except SilentError:
                self._counts["silent"] += 1
            terminal.close()

    def status(self) -> Mapping[str, Any]:
        """What happened so far: kinds of asking, answers by code, what was not proved."""
        return {
            "role": "pos",
            "name": self._plan.acquirer,
            "terminals": len(self._terminals),
            **self._counts,
            "codes": dict(self._codes),
        }

    async def _day(self, terminal: PosTerminal) -> None:
        rng = self._rng
        while True:
            try:
                await terminal.connect(self._plan.address)
                if (await terminal.sign_on(rng.choice(("001", "003", "004")))).code != "00":
                    self._counts["refused"] += 1
                    await asyncio.sleep(1.0)
                    continue
                self._counts["signed_on"] += 1
                while True:
                    await asyncio.sleep(rng.expovariate(1 / self._plan.pause))
                    if (await self._customer(terminal)).sign_on_again:
                        break
            except (SilentError, OSError):
                self._counts["silent"] += 1
                await asyncio.sleep(0.2)
            except KeyFileError:
                self._counts["bad_keys"] += 1

    async def _customer(self, terminal: PosTerminal) -> Heard:
        rng = self._rng
        body = f"{self._plan.prefix}{rng.randrange(10**9):09d}"
        card, amount = Card(body + luhn_digit(body)), rng.randrange(100, 50_000)
        kind = rng.choices(("purchase", "balance", "preauthorise"), (0.7, 0.15, 0.15))[0]
        if kind == "purchase":
            heard = await terminal.purchase(card, amount)
        elif kind == "balance":
            heard = await terminal.balance(card)
        else:
            heard = await terminal.preauthorise(card, amount)
        self._note(kind, heard)
        if kind == "preauthorise" and heard.approved:
            code = heard.message.get("auth_code") or ""
            original = f"{heard.message.stan:06d}"
            if rng.random() < 0.5:
                heard = await terminal.complete(card, amount, code, original)
                self._note("complete", heard)
            else:
                heard = await terminal.cancel(card, amount, code, original)
                self._note("cancel", heard)
        return heard

    def _note(self, kind: str, heard: Heard) -> None:
        self._counts[kind] += 1
        self._codes[heard.code] += 1
        self._counts["unproved"] += not heard.proved


def open_street(plan: StreetPlan, node: Path, rng: Random) -> Street:
    """Terminals of the node's registry. Raises: OperatorError, KeyFileError."""
    settings = load(node)
    macs = settings.macs()
    if settings.terminals is None or plan.acquirer not in macs:
        raise OperatorError(
            f"{plan.acquirer} is no acquirer whose terminals have keys of their own",
            file=settings.file,
            help='[acquirers.mac] with keys = "terminal", and [terminals]',
        )
    name = next(one.dialect for one in settings.acquirers if one.id == plan.acquirer)
    dialect = Dialect.compile(settings.dialect_text(name), settings.dialects[name])
    mac = macs[plan.acquirer][1]
    codes = Parameters(mac.algorithm, mac.cipher, mac.chain, mac.form, mac.code_bytes)
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    registry = open_registry(settings.terminals.file, keys)
    terminals = [
        PosTerminal(
            dialect,
            registry.device(keys, row.acquirer, row.terminal_id),
            codes,
            row.terminal_id,
            row.merchant_id,
            timeout=plan.patience,
        )
        for row in _some(registry, plan)
    ]
    if not terminals:
        raise KeyFileError(f"{plan.acquirer} has no terminals", file=settings.terminals.file)
    return Street(plan, terminals, rng)


def _some(registry: Registry, plan: StreetPlan) -> list[TerminalRow]:
    found: list[TerminalRow] = []
    for start in range(0, len(registry), PAGE):
        rows = msgspec.convert(registry.rows(start, PAGE), list[TerminalRow])
        found += [row for row in rows if row.acquirer == plan.acquirer and not row.retired_s]
        if len(found) >= plan.terminals:
            break
    return found[: plan.terminals]
