"""A simulated issuing bank: a process that talks TCP like anyone else and keeps books of its own.

It accepts the switch's connections, or dials in; answers network management; decides requests by
`switch.sim.bank`, and misbehaves where the magic table says so. Reversals and advices are
acknowledged at once, also by a bank that is silent on requests. Every event is in its ledger before
its consequence leaves.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from random import Random
from typing import Any, Final

import msgspec

from switch.client.connection import Connection
from switch.model.kind import Kind
from switch.sim.bank import Bank, Decision, Original
from switch.sim.ledger import Booking, Effect, Ledger, Saw
from switch.sim.magic import Act
from switch.sim.steering import Recent
from switch.wire import Dialect, Message

__all__ = ["Issuer", "IssuerPlan"]

REQUESTS: Final = {
    "0100": "0110", "0101": "0110", "0200": "0210", "0201": "0210",
}  # fmt: skip
ADVICES: Final = {"0120": "0130", "0121": "0130", "0220": "0230", "0221": "0230"}
REVERSALS: Final = {"0400": "0410", "0401": "0410", "0420": "0430", "0421": "0430"}
ECHOES: Final = (
    "pan", "processing_code", "amount", "transmission_time", "stan", "local_time", "local_date",
    "acquirer_code", "forwarder_code", "rrn", "terminal_id", "merchant_id", "currency",
)  # fmt: skip
"""What the bank's answers give back."""

NETWORK_ECHOES: Final = (
    "transmission_time",
    "stan",
    "acquirer_code",
    "forwarder_code",
    "network_code",
)
MOVING: Final = frozenset(
    {
        Kind.AUTHORISATION,
        Kind.PURCHASE,
        Kind.PREAUTHORISATION,
        Kind.COMPLETION,
    }
)
"""What takes money, or puts it aside."""
SIGN_ON: Final = "001"
SIGN_OFF: Final = "002"


class IssuerPlan(msgspec.Struct, frozen=True):
    """What makes one bank. Times in milliseconds, money in minor units."""

    name: str
    institution_code: str
    prefixes: tuple[str, ...]
    listen: tuple[str, int] | None = None
    """Where it accepts the switch; port 0 for any free one."""
    dial: tuple[str, int] | None = None
    """Where it dials in, when it does not listen."""
    connections: int = 2
    """How many connections it dials."""
    sign_on: bool = True
    """True: a request on a connection that is not signed on is refused with 91."""
    fast_ms: tuple[float, float] = (5, 40)
    slow_share: float = 0.02
    """Share of ordinary answers that take up to `slow_ms`."""
    slow_ms: float = 600
    late_ms: float = 3000
    """When a late answer comes; must lie beyond the switch's deadline."""
    opening_balance: int = 100_000_000
    tls: ssl.SSLContext | None = None
    """Of the side that the bank is on; None: plain."""
    tls_name: str | None = None
    """The switch's name, when the bank dials; None: the host."""


class Issuer:
    """One bank at work on the running loop."""

    def __init__(self, plan: IssuerPlan, dialect: Dialect, ledger: Ledger, rng: Random) -> None:
        self.plan = plan
        self.bank = Bank(plan.prefixes, plan.opening_balance)
        self.address: tuple[str, int] | None = None
        """Where it listens, once started."""
        self._dialect = dialect
        self._ledger = ledger
        self._rng = rng
        self._connections: list[Connection] = []
        self._server: asyncio.Server | None = None
        self._dialers: list[asyncio.Task[None]] = []
        self._waiting = 0
        self._auth_code = 0
        self._counts = dict.fromkeys(
            (
                "requests",
                "approved",
                "declined",
                "quiet",
                "reversals",
                "advices",
                "released",
                "copies",
                "refused",
            ),
            0,
        )
        self._thinking = Recent()

    async def start(self) -> None:
        """Listens, or begins to dial."""
        loop = asyncio.get_running_loop()
        if self.plan.listen is not None:
            host, port = self.plan.listen
            self._server = await loop.create_server(self._connection, host, port, ssl=self.plan.tls)
            self.address = self._server.sockets[0].getsockname()[:2]
        elif self.plan.dial is not None:
            self._dialers = [
                asyncio.create_task(self._dial(*self.plan.dial))
                for _ in range(self.plan.connections)
            ]

    async def stop(self) -> None:
        for dialer in self._dialers:
            dialer.cancel()
        await asyncio.gather(*self._dialers, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()

    def heal(self) -> None:
        """From now on every request is answered plainly and soon."""
        self.bank.healed = True

    def status(self) -> Mapping[str, Any]:
        p50, p99 = self._thinking.take()
        return {
            "role": "issuer",
            "name": self.plan.name,
            **self._counts,
            "connections": len(self._connections),
            "signed_on": sum(connection.signed_on for connection in self._connections),
            "waiting": self._waiting,
            "holds": self.bank.holds,
            "held_amount": self.bank.held_amount,
            "undecodable": sum(connection.undecodable for connection in self._connections),
            "healed": self.bank.healed,
            "p50_us": p50,
            "p99_us": p99,
        }

    # Connections.

    def _connection(self) -> Connection:
        connection = Connection(self._dialect, self._received, self._connections.remove)
        self._connections.append(connection)
        return connection

    async def _dial(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            gone = asyncio.Event()

            def lost(connection: Connection, gone: asyncio.Event = gone) -> None:
                self._connections.remove(connection)
                gone.set()

            connection = Connection(self._dialect, self._received, lost)
            try:
                await loop.create_connection(
                    lambda c=connection: c,
                    host,
                    port,
                    ssl=self.plan.tls,
                    server_hostname=self.plan.tls_name if self.plan.tls else None,
                )
            except OSError:
                await asyncio.sleep(self._rng.uniform(0.02, 0.2))
                continue
            self._connections.append(connection)
            try:
                await gone.wait()
            finally:
                connection.close()

    def _received(self, connection: Connection, message: Message) -> None:
        mti = message.mti
        if mti in REQUESTS:
            self._request(connection, message)
        elif mti in ADVICES:
            self._advice(connection, message)
        elif mti in REVERSALS:
            self._reversal(connection, message)
        elif mti == "0800":
            self._network(connection, message)

    def _network(self, connection: Connection, message: Message) -> None:
        code = message.get("network_code")
        if code == SIGN_ON:
            connection.signed_on = True
        elif code == SIGN_OFF:
            connection.signed_on = False
        values = _echoes(message, NETWORK_ECHOES)
        connection.send(self._dialect.encode("0810", values | {"response_code": "00"}))

    # Money.

    def _request(self, connection: Connection, message: Message) -> None:
        stan, when = message.get("stan") or "", message.get("transmission_time") or ""
        values = _echoes(message, ECHOES)
        answer = REQUESTS[message.mti]
        self._counts["requests"] += 1
        if self.plan.sign_on and not connection.signed_on:
            self._counts["refused"] += 1
            connection.send(self._dialect.encode(answer, values | {"response_code": "91"}))
            return
        original = _original(message)
        moving = message.kind in MOVING
        decision = self.bank.request((stan, when), original, holds=moving)
        self._counts["copies"] += decision.copy
        self._ledger.write(
            Booking(
                Saw.COPY if decision.copy else Saw.REQUEST,
                _now_ms(),
                stan,
                when,
                message.mti,
                original.rrn,
                original.acquirer,
                original.terminal,
                original.merchant,
                original.amount,
                message.masked_pan(),
                decision.magic.act,
                decision.code,
                held=0 if decision.copy else decision.held,
            )
        )
        if message.kind == Kind.BALANCE and decision.code == "00":
            values["additional_amounts"] = self._balance(message, original.pan)
        self._plan_answer(connection, answer, values, decision)

    def _advice(self, connection: Connection, message: Message) -> None:
        """Word of what was decided without us: booked once, and acknowledged at once."""
        stan, when = message.get("stan") or "", message.get("transmission_time") or ""
        told = _original(message)
        decision = self.bank.advise((stan, when), told)
        self._counts["advices"] += 1
        self._counts["copies"] += decision.copy
        self._ledger.write(
            Booking(
                Saw.ADVICE,
                _now_ms(),
                stan,
                when,
                message.mti,
                told.rrn,
                told.acquirer,
                told.terminal,
                told.merchant,
                told.amount,
                message.masked_pan(),
                code=decision.code,
                held=decision.held,
            )
        )
        values = _echoes(message, ECHOES) | {"response_code": decision.code}
        self._send(connection, self._dialect.encode(ADVICES[message.mti], values))

    def _balance(self, message: Message, pan: str) -> str:
        """Field 54: what is available, of the account that the processing code names."""
        account = (message.get("processing_code") or "")[2:4]
        currency = message.get("currency") or "156"
        return f"{account}02{currency}C{self.bank.available(pan):012d}"

    def _plan_answer(
        self, connection: Connection, mti: str, values: dict[str, str], decision: Decision
    ) -> None:
        """What is answered, when, how often, and with which fault."""
        act = Act.ORDINARY if self.bank.healed else decision.magic.act
        if act in (Act.SILENT, Act.LOST, Act.DEAF):
            self._counts["quiet"] += 1
            return
        if act is Act.HANG_UP:
            self._counts["quiet"] += 1
            connection.close()
            return
        answer = values | {"response_code": decision.code, "settlement_date": time.strftime("%m%d")}
        if decision.code in ("00", "10"):
            self._auth_code = self._auth_code % 999_999 + 1
            answer["auth_code"] = f"{self._auth_code:06d}"
            if "amount" in values and decision.held:
                answer["amount"] = f"{decision.held:012d}"
            self._counts["approved"] += 1
        else:
            self._counts["declined"] += 1
        if act is Act.WRONG_STAN:
            answer["stan"] = f"{(int(values['stan']) + 500_000) % 1_000_000:06d}"
        elif act is Act.WRONG_TERMINAL:
            answer["terminal_id"] = "NOBODY99"
        delay = self._delay(act)
        self._thinking.add(int(delay * 1e6))
        frame = self._dialect.encode(mti, answer)
        for copy in range(2 if act is Act.DUPLICATE else 1):
            self._waiting += 1
            asyncio.get_running_loop().call_later(
                delay + copy * 0.01,
                self._answer,
                connection,
                frame,
                mti,
                values["stan"],
                values["transmission_time"],
                decision.code,
            )

    def _delay(self, act: Act) -> float:
        """Seconds until the answer: mostly quick, sometimes slow, late when asked to be."""
        plan = self.plan
        if act in (Act.LATE, Act.LATE_DECLINE):
            return plan.late_ms / 1000
        if act is Act.SLOW:
            return plan.slow_ms / 1000
        low, high = plan.fast_ms
        if not self.bank.healed and self._rng.random() < plan.slow_share:
            return self._rng.uniform(high, plan.slow_ms) / 1000
        # Squared, so that most answers are near the quick end.
        return (low + (high - low) * self._rng.random() ** 2) / 1000

    def _answer(
        self, connection: Connection, frame: bytes, mti: str, stan: str, when: str, code: str
    ) -> None:
        self._waiting -= 1
        self._ledger.write(Booking(Saw.ANSWER, _now_ms(), stan, when, mti, code=code))
        self._send(connection, frame)

    def _send(self, connection: Connection, frame: bytes) -> None:
        """On its own connection, or on another one of this bank when that has gone."""
        for candidate in (connection, *self._connections):
            if candidate.send(frame):
                return

    def _reversal(self, connection: Connection, message: Message) -> None:
        stan = message.get("original_data.stan") or ""
        when = message.get("original_data.transmission_time") or ""
        reversal = _original(message)
        booked = self.bank.reverse((stan, when), reversal)
        self._counts["reversals"] += 1
        self._counts["released"] += booked.effect is Effect.RELEASED
        self._ledger.write(
            Booking(
                Saw.REVERSAL,
                _now_ms(),
                stan,
                when,
                message.mti,
                reversal.rrn,
                reversal.acquirer,
                reversal.terminal,
                reversal.merchant,
                reversal.amount,
                message.masked_pan(),
                released=booked.released,
                effect=booked.effect,
                problem=booked.problem,
            )
        )
        if booked.acknowledge:
            values = _echoes(message, ECHOES)
            self._send(
                connection,
                self._dialect.encode(REVERSALS[message.mti], values | {"response_code": "00"}),
            )


def _original(message: Message) -> Original:
    return Original(
        message.reveal("pan") or "",
        max(message.amount_minor, 0),
        message.get("terminal_id") or "",
        message.get("merchant_id") or "",
        message.get("acquirer_code") or "",
        message.get("rrn") or "",
    )


def _echoes(message: Message, names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name in names if (value := message.reveal(name)) is not None}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
