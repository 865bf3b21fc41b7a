"""A fleet of simulated terminals at one acquirer: an open loop of sales, and the habits of real
terminals.

Sales arrive by a Poisson schedule that answers never influence. Each terminal counts its own trace
numbers, so two of them often share one. Terminals repeat, send twice, lose patience, and let
customers change their mind; what they do not know the outcome of they reverse until it is
acknowledged. Every step is in the ledger before its consequence leaves.

Most customers of a fleet that has devices tap with one; the device proves the issuer's answer.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping
from enum import StrEnum, unique
from random import Random
from typing import Any, Final

import msgspec

from switch.client.acquirer import (
    Acquirer,
    Answer,
    ConnectionBrokenError,
    Exchange,
    repeat_mti,
    reversal_values,
)
from switch.client.clock import Moment, next_stan
from switch.crypto.profiles import Tapped
from switch.sim.cards import Purchase, Wallet, mask
from switch.sim.devices import Device
from switch.sim.ledger import Did, Ledger, Sale
from switch.sim.magic import Trick
from switch.sim.steering import Recent

__all__ = ["HABITS", "HARSH_HABITS", "Fleet", "FleetPlan", "Habit"]


@unique
class Habit(StrEnum):
    """What a terminal does beside paying."""

    PLAIN = "plain"
    REPEAT = "repeat"
    """Asks again under the repeat MTI: when the answer is slow, or because the answer was lost on
    the way.
    """
    DUPLICATE = "duplicate"
    """Sends an identical copy at once."""
    IMPATIENT = "impatient"
    """Gives up soon, and reverses while the request may still be in flight."""
    CANCEL = "cancel"
    """The customer changes his mind after the approval: it is reversed."""
    OVERTAKE = "overtake"
    """Its reversal arrives before the request, which must then be refused."""


HABITS: Final[Mapping[Habit, float]] = {
    Habit.REPEAT: 0.01,
    Habit.DUPLICATE: 0.005,
    Habit.IMPATIENT: 0.01,
    Habit.CANCEL: 0.01,
    Habit.OVERTAKE: 0.002,
}
"""Share of each habit in the demonstration; the rest is plain."""

HARSH_HABITS: Final[Mapping[Habit, float]] = dict.fromkeys(HABITS, 0.06)

IMPATIENCE: Final = (0.005, 0.2)
"""Seconds after which an impatient terminal gives up."""
EXPIRY: Final = "3012"
"""Of every plain card; devices have their own."""
REPEAT_AFTER: Final = 0.25
"""Seconds without an answer after which a repeating terminal asks again."""


class FleetPlan(msgspec.Struct, frozen=True):
    """What makes one fleet. Times in seconds."""

    acquirer: str
    institution_code: str
    lane: str
    """One character, different for each terminal process: it keeps reference numbers apart."""
    rate: float = 50.0
    """Sales a second; 0 offers nothing until ordered otherwise."""
    terminals: int = 500
    patience: float = 5.0
    """How long a terminal waits for an answer before it reverses."""
    habits: Mapping[Habit, float] = msgspec.field(default_factory=lambda: HABITS)
    authorisation_share: float = 0.1
    """Share of sales sent as 0100 instead of 0200."""
    currency: str = "156"


class _Terminal(msgspec.Struct, gc=False):
    number: str
    merchant: str
    stan: int = 0


class _Tap(msgspec.Struct, gc=False):
    """One tap of a sale."""

    device: Device
    tapped: Tapped
    trick: Trick
    """As it was when the device signed."""


class Fleet:
    """Terminals of one acquirer at work on the running loop."""

    def __init__(
        self, plan: FleetPlan, acquirer: Acquirer, wallet: Wallet, ledger: Ledger, rng: Random
    ) -> None:
        self.plan = plan
        self._acquirer = acquirer
        self._wallet = wallet
        self._ledger = ledger
        self._rng = rng
        self._idle = deque(
            _Terminal(f"T{number:07d}", f"M{number % 97:014d}")
            for number in range(1, plan.terminals + 1)
        )
        self._habits = list(plan.habits)
        self._shares = list(plan.habits.values())
        self._plain = 1 - sum(self._shares)
        self._offering = asyncio.Event()
        self._offering.set()
        self._work: set[asyncio.Task[None]] = set()
        self._began_s = time.monotonic()
        self._schedule: asyncio.Task[None] | None = None
        # The minute (again after three years) and a counter: other runs have other numbers.
        self._reference_prefix = f"{plan.lane}{_base36(int(time.time()) // 60 % 36**4):0>4}"
        self._reference = 0
        self._counts = dict.fromkeys(
            (
                "offered",
                "unsent",
                "skipped",
                "approved",
                "cancelled",
                "unknown",
                "repeats",
                "late",
                "differing",
                "reversed",
                "taps",
                "unexpected",
            ),
            0,
        )
        self._declined: Counter[str] = Counter()
        self._tricks: Counter[str] = Counter()
        self._proofs: Counter[str] = Counter()
        self._owed = 0
        self._round_trips = Recent()

    def start(self) -> None:
        """Begins to offer sales."""
        self._schedule = asyncio.create_task(self._offer())

    def pause(self) -> None:
        """Offers nothing new; sales under way and reversals owed go on."""
        self._offering.clear()

    def resume(self) -> None:
        self._offering.set()

    async def drained(self) -> None:
        """Waits until no sale and no reversal is under way."""
        while self._work:
            await asyncio.wait(set(self._work))

    async def stop(self) -> None:
        """Drops everything at once; what was under way stays unknown in the ledger."""
        tasks = [task for task in (self._schedule, *self._work) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> Mapping[str, Any]:
        p50, p99 = self._round_trips.take()
        return {
            "role": "terminal",
            "name": self.plan.acquirer,
            **self._counts,
            "declined": dict(self._declined),
            "tricks": dict(self._tricks),
            "proofs": dict(self._proofs),
            "in_flight": len(self._work),
            "owed": self._owed,
            "connected": self._acquirer.connected,
            "strays": self._acquirer.strays,
            "mismatches": self._acquirer.mismatches,
            "offering": self._offering.is_set(),
            "at_s": time.monotonic() - self._began_s,
            "p50_us": p50,
            "p99_us": p99,
        }

    # The schedule.

    async def _offer(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not self._offering.is_set() or self.plan.rate <= 0:
                await self._offering.wait() if self.plan.rate > 0 else await asyncio.sleep(3600)
                due = loop.time()
            due += self._rng.expovariate(self.plan.rate)
            # Behind its schedule it catches up without sleeping, but lets the loop turn.
            await asyncio.sleep(max(0.0, due - loop.time()))
            if self._offering.is_set():
                self._begin()

    def _begin(self) -> None:
        if not self._idle:
            self._counts["skipped"] += 1
            return
        terminal = self._idle.popleft()
        task = asyncio.get_running_loop().create_task(self._serve(terminal))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _serve(self, terminal: _Terminal) -> None:
        try:
            await self._sell(terminal)
        finally:
            self._idle.append(terminal)

    # One sale.

    async def _sell(self, terminal: _Terminal) -> None:
        rng = self._rng
        habit = (
            Habit.PLAIN
            if rng.random() < self._plain
            else rng.choices(self._habits, self._shares)[0]
        )
        mti = "0100" if rng.random() < self.plan.authorisation_share else "0200"
        values, tap = self._request(terminal)
        if habit is Habit.OVERTAKE:
            await self._reverse(terminal, mti, values, "overtake")
        exchange = self._invoke(mti, values, tap)
        if exchange is None:
            return
        exchange.on_extra = lambda answer: self._extra(exchange, answer)
        try:
            answer = await self._wait(exchange, habit, tap)
            if answer is None:
                await self._reverse(terminal, mti, values, "time-out")
            elif habit is Habit.CANCEL and answer.approved:
                await asyncio.sleep(rng.uniform(0.0, 0.3))
                await self._reverse(terminal, mti, values, "cancel")
        finally:
            exchange.close()

    def _request(self, terminal: _Terminal) -> tuple[dict[str, str | bytes], _Tap | None]:
        moment = self._acquirer.calendar.now()
        terminal.stan = next_stan(terminal.stan)
        self._reference += 1
        purchase = self._wallet.draw()
        values: dict[str, str | bytes] = {
            "pan": purchase.pan,
            "processing_code": "000000",
            "amount": f"{purchase.amount:012d}",
            "transmission_time": moment.transmission,
            "stan": f"{terminal.stan:06d}",
            "local_time": moment.local_time,
            "local_date": moment.local_date,
            "expiry": EXPIRY,
            "mcc": "5411",
            "entry_mode": "071",
            "condition_code": "00",
            "acquirer_code": self.plan.institution_code,
            "rrn": f"{self._reference_prefix}{self._reference:07d}",
            "terminal_id": terminal.number,
            "merchant_id": terminal.merchant,
            "currency": self.plan.currency,
        }
        if purchase.device is None:
            return values, None
        tap = self._tap(purchase, purchase.device, moment)
        values |= {
            "expiry": purchase.device.expiry,
            "card_sequence": f"{purchase.device.sequence:03d}",
            "icc": tap.tapped.field,
        }
        return values, tap

    def _tap(self, purchase: Purchase, device: Device, moment: Moment) -> _Tap:
        trick = device.trick
        date = int(time.strftime("%y", time.localtime(moment.second)) + moment.local_date)
        tapped = device.tap(purchase.amount, int(self.plan.currency), date, self._rng)
        self._counts["taps"] += 1
        if trick is not Trick.NOTHING:
            self._tricks[trick] += 1
        return _Tap(device, tapped, trick)

    def _invoke(
        self, mti: str, values: Mapping[str, str | bytes], tap: _Tap | None
    ) -> Exchange | None:
        self._counts["offered"] += 1
        self._write(
            Did.INVOKE,
            values,
            mti=mti,
            rrn=str(values["rrn"]),
            merchant=str(values["merchant_id"]),
            amount=int(values["amount"]),
            card=mask(str(values["pan"])),
            tap=tap.trick if tap else "",
        )
        exchange = self._acquirer.open(mti, values)
        if exchange is None:
            self._counts["unsent"] += 1
            self._write(Did.UNSENT, values)
        return exchange

    async def _wait(self, exchange: Exchange, habit: Habit, tap: _Tap | None) -> Answer | None:
        """The sale's answer, written down; None when it stays unknown."""
        began = time.monotonic_ns()
        patience = (
            self._rng.uniform(*IMPATIENCE) if habit is Habit.IMPATIENT else self.plan.patience
        )
        try:
            if habit is Habit.DUPLICATE:
                self._again(exchange, exchange.mti)
            if habit is Habit.REPEAT:
                answer = await self._wait_and_repeat(exchange, patience)
            else:
                answer = await exchange.answer(patience)
        except (TimeoutError, ConnectionBrokenError) as error:
            exchange.give_up()
            self._counts["unknown"] += 1
            self._write(
                Did.INFO,
                exchange.values,
                why="time-out" if isinstance(error, TimeoutError) else "connection",
            )
            return None
        self._round_trips.add((time.monotonic_ns() - began) // 1000)
        if answer.approved:
            self._counts["approved"] += 1
        else:
            self._declined[answer.code] += 1
        self._write(
            Did.OK if answer.approved else Did.FAIL,
            exchange.values,
            mti=answer.mti,
            code=answer.code,
            proof=self._prove(answer, tap, habit) if tap else "",
        )
        if habit is Habit.REPEAT:
            # Its first answer got lost between socket and paper: it must get the same one again.
            self._again(exchange, repeat_mti(exchange.mti))
            await asyncio.sleep(REPEAT_AFTER)
        return answer

    def _prove(self, answer: Answer, tap: _Tap, habit: Habit) -> str:
        """What the device finds in the answer; counted, as is an answer that the table of tricks
        does not foresee."""
        proof = tap.tapped.check(answer.icc, answer.code)
        self._proofs[proof] += 1
        if proof == "genuine" and tap.trick is Trick.NOTHING:
            tap.device.proved(tap.tapped)
        magic = tap.device.magic
        foreseen = tap.trick is Trick.NOTHING or magic is None or answer.code == magic.code
        # A reversal that overtook the tap refuses it for its own reason.
        self._counts["unexpected"] += not foreseen and habit is not Habit.OVERTAKE
        return proof

    async def _wait_and_repeat(self, exchange: Exchange, patience: float) -> Answer:
        try:
            return await exchange.answer(REPEAT_AFTER)
        except TimeoutError:
            self._again(exchange, repeat_mti(exchange.mti))
            return await exchange.answer(patience)

    def _again(self, exchange: Exchange, mti: str) -> None:
        self._counts["repeats"] += 1
        self._write(Did.REPEAT, exchange.values, mti=mti)
        exchange.again(mti)

    def _extra(self, exchange: Exchange, answer: Answer) -> None:
        """A further answer: after the first one it must agree with it, after giving up it has no
        effect.
        """
        first = exchange.first
        if first is None:
            self._counts["late"] += 1
        elif first.code != answer.code:
            self._counts["differing"] += 1
        self._write(
            Did.LATE if first is None else Did.AGAIN,
            exchange.values,
            mti=answer.mti,
            code=answer.code,
        )

    async def _reverse(
        self, terminal: _Terminal, mti: str, values: Mapping[str, str | bytes], why: str
    ) -> None:
        terminal.stan = next_stan(terminal.stan)
        numbers = (f"{terminal.stan:06d}", self._acquirer.calendar.now().transmission)
        self._owed += 1
        answer = await self._acquirer.reverse(
            reversal_values(mti, values, *numbers),
            lambda copy: self._write(Did.REVERSE, values, mti=copy, why=why),
        )
        self._owed -= 1
        self._counts["reversed"] += 1
        self._counts["cancelled"] += why == "cancel"
        self._write(Did.REVERSED, values, mti=answer.mti, code=answer.code, why=why)

    def _write(self, did: Did, values: Mapping[str, str | bytes], **more: Any) -> None:
        self._ledger.write(
            Sale(
                did,
                time.time_ns() // 1_000_000,
                self.plan.institution_code,
                str(values["terminal_id"]),
                str(values["stan"]),
                str(values["transmission_time"]),
                **more,
            )
        )


def _base36(number: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text or "0"
