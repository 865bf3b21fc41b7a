"""Scripted peers for integration tests: a bank and an acquirer that do exactly what a test says.

They share nothing with `switch.link` or `switch.sim`: what they send is spelled out here, so that a
test can be as wrong, slow or rude as it likes. Card numbers are of the test range 6299.
"""

import asyncio
import itertools
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from switch.wire import Dialect, Framer, Guard, Message

__all__ = [
    "ACQUIRER_CODE",
    "DIALECT",
    "Acquirer",
    "Bank",
    "BankLink",
    "Peer",
    "fields",
    "luhn",
    "purchase",
    "until",
]

ROOT: Final = Path(__file__).resolve().parents[2]
DIALECT: Final = Dialect.compile(
    (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8"), "iso87-ascii"
)
ACQUIRER_CODE: Final = "10001"
WAIT_S: Final = 30.0
"""What a test waits for comes at once or not at all; on a busy machine "at once" may be seconds."""

Values = dict[str, str | bytes]
_stans: Iterator[int] = itertools.count(1)


def luhn(body: str) -> str:
    """`body` and its check digit."""
    total = sum(
        (value := int(digit) * (2 - place % 2)) - 9 * (value > 9)
        for place, digit in enumerate(reversed(body))
    )
    return f"{body}{-total % 10}"


def purchase(
    amount: int = 1234, *, prefix: str = "629900", serial: int = 1, **more: str | bytes
) -> Values:
    """A sound 0200 with a STAN and reference of its own. Fields given as '' are left out."""
    stan = next(_stans) % 1_000_000
    values: Values = {
        "pan": luhn(f"{prefix}{serial:09d}"),
        "processing_code": "000000",
        "amount": f"{amount:012d}",
        "transmission_time": time.strftime("%m%d%H%M%S", time.gmtime()),
        "stan": f"{stan:06d}",
        "local_time": "120000",
        "local_date": "1123",
        "mcc": "5411",
        "entry_mode": "071",
        "condition_code": "00",
        "acquirer_code": ACQUIRER_CODE,
        "rrn": f"R{stan:011d}",
        "terminal_id": "TERM0001",
        "merchant_id": "MERCHANT0000001",
        "currency": "156",
    }
    values.update(more)
    return {name: value for name, value in values.items() if value != ""}


async def until(condition: Callable[[], bool], within_s: float = WAIT_S, what: str = "") -> None:
    """Waits for a condition; a test that waits in vain says for what."""
    give_up = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {within_s} s: {what or condition}")
        await asyncio.sleep(0.005)


class Peer(asyncio.Protocol):
    """Frames in, frames out; everything received is kept."""

    open_peers: ClassVar[set["Peer"]] = set()
    """Every peer whose connection stands, so that a test's end can end them."""

    guard: Guard | None = None
    """Makes and proves the message codes of this peer's side."""

    def __init__(self, guard: Guard | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.guard = guard
        self.framer = Framer(DIALECT, guard=guard)
        self.received: list[Message] = []
        self.ended = asyncio.Event()
        self._arrived = asyncio.Event()
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.open_peers.add(self)

    def data_received(self, data: bytes) -> None:
        for item in self.framer.feed(data, time.monotonic_ns()):
            assert isinstance(item, Message), item
            self.received.append(item)
            self.got(item)
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_peers.discard(self)
        self.transport = None
        self.ended.set()
        self._arrived.set()

    def got(self, message: Message) -> None:
        """Called for every message as it comes."""

    @property
    def unsent(self) -> int:
        """Bytes that the switch has not taken yet."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def write(self, data: bytes) -> None:
        """Bytes as they are; dropped when the connection has gone."""
        if self.transport is not None:
            self.transport.write(data)

    def send(self, mti: str, values: Mapping[str, str | bytes]) -> None:
        self.write(DIALECT.encode(mti, values, guard=self.guard))

    def stop_reading(self) -> None:
        """From now on bytes stay in the kernel."""
        assert self.transport is not None
        self.transport.pause_reading()

    async def next(self, within_s: float = WAIT_S) -> Message:
        """The next message that no test step has taken yet."""
        async with asyncio.timeout(within_s):
            while len(self.received) <= self._taken:
                if self.ended.is_set():
                    raise ConnectionResetError("the switch closed the connection")
                self._arrived.clear()
                await self._arrived.wait()
        self._taken += 1
        return self.received[self._taken - 1]

    async def close(self) -> None:
        """Our end of stream; returns when the connection has gone."""
        if self.transport is not None:
            self.transport.close()
        await self.ended.wait()

    def abort(self) -> None:
        """A reset instead of an end of stream."""
        if self.transport is not None:
            self.transport.abort()


class BankLink(Peer):
    """One connection of the switch to a scripted bank."""

    def __init__(self, bank: "Bank") -> None:
        super().__init__(bank.guard)
        self.bank = bank

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.bank.links.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.bank.links.remove(self)
        super().connection_lost(exc)

    def got(self, message: Message) -> None:
        self.bank.got(self, message)

    def answer(self, message: Message, mti: str, **values: str | bytes) -> None:
        """An answer that echoes what a bank echoes."""
        echoes = (
            "pan", "processing_code", "amount", "transmission_time", "stan", "local_time",
            "local_date", "acquirer_code", "forwarder_code", "rrn", "terminal_id",
            "merchant_id", "currency", "network_code",
        )  # fmt: skip
        echoed: Values = {}
        for name in echoes:
            value = message.reveal(name)
            if value is not None:
                echoed[name] = value
        echoed.update(values)
        self.send(mti, echoed)


class Bank:
    """A bank that listens. By default it signs on, approves, acknowledges reversals and advices."""

    def __init__(self, guard: Guard | None = None) -> None:
        self.guard = guard
        self.links: list[BankLink] = []
        self.requests: list[Message] = []
        self.reversals: list[Message] = []
        self.advices: list[Message] = []
        self.advice_code = "00"
        self.network: list[Message] = []
        self.sign_on_code = "00"
        self.code = "00"
        self.silent = False
        self.acknowledges = True
        self.receive_buffer = 0
        self.on_request: Callable[[BankLink, Message], None] | None = None
        self.after_sign_on: Callable[[Message], None] | None = None
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> str:
        """Listens; returns ``host:port``."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        listening.bind(("127.0.0.1", port))
        if not self.port:
            self._keep(listening.getsockname()[1])
        self._server = await asyncio.get_running_loop().create_server(
            lambda: BankLink(self), sock=listening, ssl=tls
        )
        self.port = listening.getsockname()[1]
        return f"127.0.0.1:{self.port}"

    def _keep(self, port: int) -> None:
        """Whoever asks for any port is not given ours while this bank is away."""
        kept = socket.socket()
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", port))
        weakref.finalize(self, kept.close)

    async def dial(
        self, address: str, tls: ssl.SSLContext | None = None, name: str = ""
    ) -> BankLink:
        """For a bank that connects to the switch, whose certificate is for `name`."""
        host, _, port = address.rpartition(":")
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: BankLink(self),
            host,
            int(port),
            ssl=tls,
            server_hostname=name or None,
        )
        return link

    def got(self, link: BankLink, message: Message) -> None:
        """What a bank does with a message."""
        if message.mti == "0800":
            self.network.append(message)
            code = self.sign_on_code if message.get("network_code") == "001" else "00"
            link.answer(message, "0810", response_code=code)
            if self.after_sign_on is not None:
                self.after_sign_on(message)
        elif message.mti in {"0420", "0421", "0400", "0401"}:
            self.reversals.append(message)
            if self.acknowledges:
                link.answer(message, "0430", response_code="00")
        elif message.mti in {"0120", "0121", "0220", "0221"}:
            self.advices.append(message)
            if self.acknowledges:
                reply = f"{message.mti[:2]}30"
                link.answer(message, reply, response_code=self.advice_code)
        elif message.mti in {"0100", "0101", "0200", "0201"}:
            self.requests.append(message)
            if self.on_request is not None:
                self.on_request(link, message)
            elif not self.silent:
                self.reply(link, message)

    def reply(self, link: BankLink, message: Message, **values: str | bytes) -> None:
        """The answer to a request, with this bank's code."""
        mti = "0110" if message.mti.startswith("01") else "0210"
        more: Values = {"response_code": self.code, "auth_code": "A00001"}
        link.answer(message, mti, **{**more, **values})

    async def stop_listening(self) -> None:
        """New connections are refused; those that stand stay."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        await self.stop_listening()
        # What was just accepted becomes a link a few turns later, and must be closed too.
        await asyncio.sleep(0.02)
        for link in list(self.links):
            await link.close()


class Acquirer(Peer):
    """One connection of a scripted acquirer."""

    @classmethod
    async def connect(
        cls,
        address: str,
        *,
        sign_on: bool = True,
        receive_buffer: int = 0,
        tls: ssl.SSLContext | None = None,
        name: str = "switch.test",
        guard: Guard | None = None,
    ) -> "Acquirer":
        """`name` is what the switch's certificate must be for."""
        host, _, port = address.rpartition(":")
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        _, acquirer = await asyncio.get_running_loop().create_connection(
            lambda: cls(guard), sock=sock, ssl=tls, server_hostname=name if tls else None
        )
        if sign_on:
            assert (await acquirer.sign_on()).get("response_code") == "00"
        return acquirer

    async def sign_on(self, network_code: str = "001") -> Message:
        """Network management of the acquirer's side; returns the answer."""
        self.send(
            "0800",
            {
                "transmission_time": time.strftime("%m%d%H%M%S", time.gmtime()),
                "stan": f"{next(_stans):06d}",
                "network_code": network_code,
            },
        )
        return await self.next()

    async def ask(
        self, values: Mapping[str, str | bytes], mti: str = "0200", within_s: float = WAIT_S
    ) -> Message:
        """Sends a request and returns the next message."""
        self.send(mti, values)
        return await self.next(within_s)

    def reversal_of(self, values: Mapping[str, str | bytes], mti: str = "0200") -> Values:
        """The reversal of a request that was sent with `values`."""
        kept = (
            "pan", "processing_code", "amount", "local_time", "local_date", "condition_code",
            "acquirer_code", "rrn", "terminal_id", "merchant_id", "currency",
        )  # fmt: skip
        reversal: Values = {name: values[name] for name in kept if name in values}
        reversal["transmission_time"] = time.strftime("%m%d%H%M%S", time.gmtime())
        reversal["stan"] = f"{next(_stans):06d}"
        original = [mti, values["stan"], values["transmission_time"]]
        names = ("mti", "stan", "transmission_time")
        for name, value in zip(names, original, strict=True):
            reversal[f"original_data.{name}"] = value
        reversal["original_data.acquirer_code"] = str(values["acquirer_code"]).rjust(11, "0")
        reversal["original_data.forwarder_code"] = "0" * 11
        return reversal


def fields(message: Message, names: Sequence[str]) -> dict[str, Any]:
    """Some fields of a message, for comparing."""
    return {name: message.reveal(name) for name in names}
