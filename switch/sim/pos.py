"""A Chinese POS terminal in software: one connection, one question at a time, as real ones ask.

It signs on, checks and keeps its work keys, counts trace numbers within its batch, makes and proves
message codes, and owes a reversal for whatever got no answer: that goes first, under its own
unchanged numbers, before anything else is asked.

**Source:** the dialect `pos-cn` (config/dialects/pos-cn.toml), and captures named there.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from switch.crypto.links import Parameters
from switch.crypto.profiles import Tapped
from switch.crypto.terminals import Device
from switch.errors import FramingError, MacError
from switch.wire import Dialect, Framer, Guard, Message

__all__ = ["SIGN_ON_TYPES", "Card", "Heard", "PosTerminal", "SilentError"]

STAN_MAX: Final = 999_999
REVERSAL_ATTEMPTS: Final = 3
"""After so many a terminal prints that it could not reverse, and goes on."""
SIGN_ON_TYPES: Final = ("001", "003", "004")
_CURRENCY: Final = "156"
_KEPT: Final = (
    "pan", "processing_code", "amount", "stan", "entry_mode", "card_sequence", "condition_code",
    "terminal_id", "merchant_id", "currency", "reserved_private_60", "reserved_private_61",
)  # fmt: skip
"""What a reversal repeats of its original."""

Values = dict[str, str | bytes]


class SilentError(Exception):
    """No answer in time, or the connection went before it came."""


class Card(msgspec.Struct, frozen=True):
    """What is held to the reader; with `tapped`, a device signed this very amount."""

    number: str
    sequence: str = "001"
    entry_mode: str = "071"
    tapped: Tapped | None = None


class Heard(msgspec.Struct, frozen=True):
    """An answer, and whether its code was proved (True where it carries none by its kind)."""

    message: Message
    proved: bool

    @property
    def code(self) -> str:
        """Field 39."""
        return self.message.get("response_code") or ""

    @property
    def approved(self) -> bool:
        """Only a proved 00 is money."""
        return self.proved and self.code == "00"

    @property
    def sign_on_again(self) -> bool:
        """The header asks for it."""
        return self.message.header.get("header.processing_request") == "3"


class PosTerminal(asyncio.Protocol):
    """One terminal. Times in seconds."""

    def __init__(
        self,
        dialect: Dialect,
        device: Device,
        codes: Parameters,
        terminal_id: str,
        merchant_id: str,
        *,
        batch: int = 1,
        timeout: float = 5.0,
    ) -> None:
        self.dialect = dialect
        self.terminal_id = terminal_id
        self.merchant_id = merchant_id
        self.batch = batch
        self.timeout = timeout
        self.stan = 0
        self.owed: Values | None = None
        """A reversal that no answer has come to yet."""
        self.heard: list[Heard] = []
        """Everything that came, in order."""
        self._device = device
        self._codes = codes
        self._guard: Guard | None = None
        self._framer = Framer(dialect)
        self._transport: asyncio.Transport | None = None
        self._arrived: asyncio.Future[Heard] | None = None

    # -- connection --------------------------------------------------------------------------------

    async def connect(self, address: str) -> None:
        """Dials ``host:port``; work keys outlive a connection."""
        host, _, port = address.rpartition(":")
        await asyncio.get_running_loop().create_connection(lambda: self, host, int(port))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._framer = Framer(self.dialect, guard=self._guard)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_exception(SilentError("the connection has gone"))

    def data_received(self, data: bytes) -> None:
        try:
            items = self._framer.feed(data, time.monotonic_ns())
        except FramingError:
            self.close()
            return
        for item in items:
            if isinstance(item, Message):
                heard = Heard(item, True)
            elif isinstance(item, MacError):
                heard = Heard(item.message, False)
            else:
                continue
            self.heard.append(heard)
            waiting = self._arrived
            if waiting is not None and not waiting.done():
                waiting.set_result(heard)

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.close()

    # -- one question at a time --------------------------------------------------------------------

    async def ask(self, mti: str, values: Mapping[str, str | bytes]) -> Heard:
        """Sends one message and waits for its answer. Raises: SilentError."""
        if self._transport is None:
            raise SilentError("not connected")
        self._arrived = asyncio.get_running_loop().create_future()
        self._transport.write(self.dialect.encode(mti, values, guard=self._guard))
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    heard = await self._arrived
                    if heard.message.stan == int(values["stan"]):
                        return heard
                    # Late, and for somebody who has given up.
                    self._arrived = asyncio.get_running_loop().create_future()
        except TimeoutError:
            raise SilentError("no answer in time") from None
        finally:
            self._arrived = None

    def next_stan(self) -> str:
        """Trace numbers run within a batch and never repeat in it."""
        self.stan = self.stan % STAN_MAX + 1
        return f"{self.stan:06d}"

    def _values(self, kind: str, network: str = "000", **more: str | bytes) -> Values:
        return {
            "stan": self.next_stan(),
            "terminal_id": self.terminal_id,
            "merchant_id": self.merchant_id,
            "reserved_private_60": f"{kind}{self.batch:06d}{network}60",
            **more,
        }

    # -- network management ------------------------------------------------------------------------

    async def sign_on(self, code: str = "003") -> Heard:
        """Signs on and downloads keys. Their check values are proved, then they are in force.

        Raises: SilentError, KeyFileError when a downloaded key does not have its check value.
        """
        heard = await self.ask("0800", self._values("00", code))
        if heard.code == "00":
            field = bytes.fromhex(heard.message.reveal("reserved_private_62") or "")
            key = self._device.download(field, self._codes.cipher)
            self._guard = Guard.of_link(self._codes.strategy(), [key])
            self._framer = Framer(self.dialect, guard=self._guard)
        return heard

    async def sign_off(self) -> Heard:
        """Its work keys are void then."""
        return await self.ask("0820", self._values("00", "002"))

    async def echo(self) -> Heard:
        """Is somebody there?"""
        return await self.ask("0800", self._values("00", "301"))

    # -- money -------------------------------------------------------------------------------------

    async def purchase(self, card: Card, amount: int) -> Heard:
        """0200, type 22."""
        return await self.transact("0200", self.sale("22", "000000", "00", card, amount))

    async def balance(self, card: Card) -> Heard:
        """0200, type 01; owes nothing when it gets no answer."""
        values = self.sale("01", "310000", "00", card, 0)
        del values["amount"]
        return await self.transact("0200", values, reversible=False)

    async def preauthorise(self, card: Card, amount: int) -> Heard:
        """0100, type 10."""
        return await self.transact("0100", self.sale("10", "030000", "06", card, amount))

    async def cancel(self, card: Card, amount: int, auth_code: str, original: str) -> Heard:
        """0100, type 11: the pre-authorisation of that trace number is given back."""
        values = self.sale("11", "200000", "06", card, amount)
        return await self.transact("0100", {**values, **self._about(auth_code, original)})

    async def complete(self, card: Card, amount: int, auth_code: str, original: str) -> Heard:
        """0200, type 20: the pre-authorisation of that trace number becomes money."""
        values = self.sale("20", "000000", "06", card, amount)
        return await self.transact("0200", {**values, **self._about(auth_code, original)})

    def _about(self, auth_code: str, original: str) -> Values:
        date = time.strftime("%m%d")
        return {
            "auth_code": auth_code,
            "reserved_private_61": f"{self.batch:06d}{original}{date}",
        }

    def sale(self, kind: str, processing: str, condition: str, card: Card, amount: int) -> Values:
        """Values of a request, with a trace number of its own."""
        values = self._values(
            kind,
            pan=card.number,
            processing_code=processing,
            amount=f"{amount:012d}",
            entry_mode=card.entry_mode,
            card_sequence=card.sequence,
            condition_code=condition,
            currency=_CURRENCY,
        )
        if card.tapped is not None:
            values["icc"] = card.tapped.field
        return values

    async def transact(self, mti: str, values: Values, *, reversible: bool = True) -> Heard:
        """What is owed goes first; without an answer this is owed itself. Raises: SilentError."""
        await self.settle()
        try:
            heard = await self.ask(mti, values)
        except SilentError:
            if reversible:
                self.owed = self.reversal_of(values)
            raise
        if not heard.proved and reversible and heard.code == "00":
            # An approval that nobody vouches for is taken back.
            self.owed = self.reversal_of(values)
        return heard

    def reversal_of(self, values: Mapping[str, str | bytes]) -> Values:
        """The same numbers, and why."""
        kept = {name: values[name] for name in _KEPT if name in values}
        return {**kept, "response_code": "98"}

    async def settle(self) -> bool:
        """Sends an owed reversal up to three times; True when nothing is owed any more."""
        for _ in range(REVERSAL_ATTEMPTS if self.owed is not None else 0):
            assert self.owed is not None
            try:
                heard = await self.ask("0400", self.owed)
            except SilentError:
                continue
            if heard.proved and heard.code in {"00", "25"}:
                self.owed = None
                break
        return self.owed is None
