"""A well-behaved acquirer in a box: connects, signs on, sends, matches, repeats, reverses its own
time-outs.

It stands outside the switch and shares none of its matching: an answer belongs to the exchange of
the same terminal, STAN and transmission time, and must echo amount and reference. A request that
was handed to a socket is never sent again under new numbers; whoever gets no answer in time owes a
reversal, which is repeated under its own unchanged numbers until it is acknowledged.
"""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from switch.client.clock import Calendar, next_stan
from switch.client.connection import Connection
from switch.client.messages import Values, answer_mti, repeat_mti, reversal_values
from switch.errors import UnreachableError
from switch.wire import Dialect, Message

__all__ = [
    "Acquirer",
    "Answer",
    "ConnectionBrokenError",
    "Exchange",
    "Policy",
    "answer_mti",
    "repeat_mti",
    "reversal_values",
]

ECHOED: Final = ("amount", "rrn", "merchant_id", "currency")
"""Fields that an answer must carry as the request did, when it carries them."""


class ConnectionBrokenError(Exception):
    """The connection that carried a request has gone before its answer: the outcome is unknown."""


class Policy(msgspec.Struct, frozen=True):
    """How the box behaves on its connections. Times in seconds."""

    connections: int = 4
    sign_on: bool = True
    sign_on_timeout: float = 5.0
    reconnect_min: float = 0.05
    reconnect_max: float = 2.0
    reversal_retry: float = 1.0
    """Pause before an unacknowledged reversal is repeated."""
    tls: ssl.SSLContext | None = None
    """None: plain TCP."""
    tls_name: str | None = None
    """The switch's name in its certificate; None: the host."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What an acquirer may act on."""

    code: str
    mti: str
    auth_code: str = ""
    icc: bytes = b""
    """Field 55: what the issuer says to the device."""

    @property
    def approved(self) -> bool:
        """Only 00 is money; a partial approval never reaches an acquirer."""
        return self.code == "00"


class Exchange:
    """One request on its way. The first answer settles it; later ones go to `on_extra`."""

    __slots__ = (
        "_answered",
        "_box",
        "_frame",
        "connection",
        "first",
        "key",
        "mti",
        "on_extra",
        "values",
    )

    def __init__(self, box: "Acquirer", mti: str, values: Values, frame: bytes) -> None:
        self._box = box
        self._frame = frame
        self._answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.mti = mti
        self.values = values
        self.key = (
            answer_mti(mti),
            values["terminal_id"],
            values["stan"],
            values["transmission_time"],
        )
        self.connection: Connection | None = None
        self.first: Answer | None = None
        """The answer that settled it."""
        self.on_extra: Callable[[Answer], None] | None = None

    async def answer(self, timeout: float) -> Answer:
        """The first answer. Raises TimeoutError, or ConnectionBrokenError when its connection goes
        first.
        """
        async with asyncio.timeout(timeout):
            # Shielded, so that a time-out leaves the future for a later wait of the same exchange.
            return await asyncio.shield(self._answered)

    def again(self, mti: str = "") -> bool:
        """Sends it once more: an identical copy, or under its repeat MTI. False when nothing could
        carry it.
        """
        frame = self._box.dialect.encode(mti, self.values) if mti else self._frame
        return self._box._dispatch(self, frame)

    def take(self, answer: Answer) -> None:
        if not self._answered.done():
            self.first = answer
            self._answered.set_result(answer)
        elif self.on_extra is not None:
            self.on_extra(answer)

    def give_up(self) -> None:
        """Stops waiting for good: whatever comes now is extra."""
        self._answered.cancel()

    def broken(self) -> None:
        if not self._answered.done():
            self._answered.set_exception(ConnectionBrokenError())
            # Nobody may be waiting any more; that is no error of the loop.
            self._answered.exception()

    def close(self) -> None:
        """Forgets it: what still comes is a stray."""
        self._box._forget(self)


class Acquirer:
    """A pool of connections to one switch under one institution code."""

    def __init__(
        self,
        dialect: Dialect,
        addresses: Sequence[tuple[str, int]],
        institution_code: str,
        policy: Policy | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not addresses:
            raise UnreachableError("an acquirer needs an address to connect to")
        self.dialect = dialect
        self.institution_code = institution_code
        self.policy = policy or Policy()
        self.calendar = Calendar()
        self.on_stray: Callable[[Message], None] = lambda message: None
        """Called with answers that belong to no exchange."""
        self.strays = 0
        self.mismatches = 0
        """Answers whose echoes differ from their request: never acted on."""
        self.connects = 0
        self._addresses = list(addresses)
        self._rng = rng or random.Random()
        self._pending: dict[tuple[object, ...], Exchange] = {}
        self._ready: list[Connection] = []
        self._next = 0
        self._keepers: list[asyncio.Task[None]] = []
        self._lost: dict[Connection, asyncio.Event] = {}
        self._stan = 0

    # Connections.

    @property
    def connected(self) -> int:
        """Connections that are signed on now."""
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def start(self) -> None:
        """Begins to connect and sign on; returns at once. Broken connections come back by
        themselves.
        """
        self._keepers = [
            asyncio.create_task(self._keep(index)) for index in range(self.policy.connections)
        ]

    async def ready(self, timeout: float = 10.0) -> None:
        """Waits until every connection is signed on. Raises UnreachableError."""
        deadline = time.monotonic() + timeout
        while self.connected < self.policy.connections:
            if time.monotonic() > deadline:
                where = ", ".join(f"{host}:{port}" for host, port in self._addresses)
                raise UnreachableError(
                    f"{self.connected} of {self.policy.connections} are signed on at {where}"
                )
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Signs off and closes. Pending exchanges end as ConnectionBrokenError."""
        if self.policy.sign_on:
            await asyncio.gather(
                *(self._network(connection, "002") for connection in list(self._ready))
            )
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for exchange in list(self._pending.values()):
            exchange.broken()

    async def _keep(self, index: int) -> None:
        pause = self.policy.reconnect_min
        loop = asyncio.get_running_loop()
        while True:
            host, port = self._addresses[index % len(self._addresses)]
            connection = Connection(self.dialect, self._received, self._gone)
            gone = self._lost[connection] = asyncio.Event()
            try:
                await loop.create_connection(
                    lambda c=connection: c,
                    host,
                    port,
                    ssl=self.policy.tls,
                    server_hostname=self.policy.tls_name if self.policy.tls else None,
                )
                self.connects += 1
                if not self.policy.sign_on or await self._network(connection, "001"):
                    connection.signed_on = True
                    self._ready.append(connection)
                    pause = self.policy.reconnect_min
                    await gone.wait()
            except OSError:
                pass
            finally:
                connection.close()
                self._lost.pop(connection, None)
            # Full jitter: a thousand boxes must not come back in step.
            await asyncio.sleep(self._rng.uniform(0, pause))
            pause = min(pause * 2, self.policy.reconnect_max)

    def _gone(self, connection: Connection) -> None:
        if connection in self._ready:
            self._ready.remove(connection)
        for exchange in [one for one in self._pending.values() if one.connection is connection]:
            exchange.broken()
        if (event := self._lost.get(connection)) is not None:
            event.set()

    async def _network(self, connection: Connection, code: str) -> bool:
        """One network management exchange on this connection; True when it was answered 00."""
        self._stan = next_stan(self._stan)
        values = {
            "transmission_time": self.calendar.now().transmission,
            "stan": f"{self._stan:06d}",
            "acquirer_code": self.institution_code,
            "network_code": code,
            # No terminal speaks here: the key of an exchange wants one, the frame does not.
            "terminal_id": "",
        }
        frame = self.dialect.encode(
            "0800", {name: value for name, value in values.items() if value}
        )
        exchange = Exchange(self, "0800", values, frame)
        exchange.connection = connection
        self._pending[exchange.key] = exchange
        try:
            if not connection.send(frame):
                return False
            return (await exchange.answer(self.policy.sign_on_timeout)).code == "00"
        except (TimeoutError, ConnectionBrokenError):
            return False
        finally:
            exchange.close()

    async def echo(self) -> bool:
        """One echo test on some connection; True when it was answered 00."""
        return bool(self._ready) and await self._network(self._rng.choice(self._ready), "301")

    # Exchanges.

    def open(self, mti: str, values: Values) -> Exchange | None:
        """Sends a request and returns its exchange; None when no connection is signed on: nothing
        was sent.
        """
        exchange = Exchange(self, mti, values, self.dialect.encode(mti, values))
        self._pending[exchange.key] = exchange
        if self._dispatch(exchange, exchange._frame):
            return exchange
        exchange.close()
        return None

    async def reverse(self, values: Values, sent: Callable[[str], None] | None = None) -> Answer:
        """Delivers a reversal advice: 0420, then 0421 with the same numbers, until it is
        acknowledged.

        `sent` is told the MTI of each copy just before it leaves. Ends only with an acknowledgement
        or by cancellation.
        """
        mti = "0420"
        exchange: Exchange | None = None
        try:
            while True:
                if not self._ready:
                    await asyncio.sleep(min(0.1, self.policy.reversal_retry))
                    continue
                if sent is not None:
                    sent(mti)
                if exchange is not None:
                    exchange.close()
                # A new exchange of the same numbers: on another connection when its own has gone.
                exchange = self.open(mti, values)
                mti = "0421"
                with contextlib.suppress(TimeoutError):
                    if exchange is not None:
                        with contextlib.suppress(ConnectionBrokenError):
                            return await exchange.answer(self.policy.reversal_retry)
                    # A connection that is ending, which the loop must turn to notice.
                    await asyncio.sleep(min(0.1, self.policy.reversal_retry))
        finally:
            if exchange is not None:
                exchange.close()

    def _dispatch(self, exchange: Exchange, frame: bytes) -> bool:
        """On the connection that carries it already, else on the next one in turn."""
        if exchange.connection is not None and exchange.connection.open:
            return exchange.connection.send(frame)
        ready = self._ready
        for _ in range(len(ready)):
            self._next = (self._next + 1) % len(ready)
            connection = ready[self._next]
            if connection.send(frame):
                exchange.connection = connection
                return True
        return False

    def _forget(self, exchange: Exchange) -> None:
        if self._pending.get(exchange.key) is exchange:
            del self._pending[exchange.key]

    def _received(self, connection: Connection, message: Message) -> None:
        mti = message.mti
        if mti == "0800":
            self._answer_network(connection, message)
            return
        key = (
            mti,
            message.get("terminal_id") or "",
            message.get("stan"),
            message.get("transmission_time"),
        )
        exchange = self._pending.get(key)
        if exchange is None:
            self.strays += 1
            self.on_stray(message)
            return
        values = exchange.values
        for name in ECHOED:
            if (value := message.get(name)) is not None and value != values.get(name, value):
                self.mismatches += 1
                return
        exchange.take(
            Answer(
                message.get("response_code") or "",
                mti,
                message.get("auth_code") or "",
                bytes.fromhex(message.reveal("icc") or "") if message.has("icc") else b"",
            )
        )

    def _answer_network(self, connection: Connection, message: Message) -> None:
        """The peer's own echo or sign-on is answered 00."""
        names = ("transmission_time", "stan", "acquirer_code", "forwarder_code", "network_code")
        values = {name: value for name in names if (value := message.get(name)) is not None}
        connection.send(self.dialect.encode("0810", values | {"response_code": "00"}))
