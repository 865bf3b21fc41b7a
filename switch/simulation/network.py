"""The simulated network: ordered pipes of bytes between endpoints that are asyncio transports.

Each direction of a connection is a pipe with a capacity (both kernels' buffers together). Bytes
keep their order whatever happens; what is drawn is when they arrive, in which pieces, and whether
the connection stalls, is reset, or goes half-open (the far end is gone without a word). A killed
process loses what its transports had not handed to the kernel; what was handed over still arrives.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any, Final

import msgspec

from switch.simulation.chance import Choices
from switch.simulation.loop import LIFE, VirtualLoop

__all__ = ["Address", "Endpoint", "Listener", "Network", "Weather"]

US: Final = 1e-6
WIRE_BYTES: Final = 65_536
"""What a pipe holds before its writer's transport must keep the rest."""
HIGH_BYTES: Final = 65_536
HARMLESS: Final = frozenset({"delay"})
"""What happens too often to be told of."""
SYN_S: Final = 127.0
"""Until a system gives up on a host that does not even refuse."""


class Weather(msgspec.Struct):
    """What the network does to a write; chances from 0 to 1."""

    latency_us: tuple[int, int] = (40, 200)
    split: float = 0.0
    delay: float = 0.0
    delay_us: tuple[int, int] = (1_000, 40_000)
    stall: float = 0.0
    stall_us: tuple[int, int] = (100_000, 2_000_000)
    reset: float = 0.0
    half_open: float = 0.0

    def calm(self) -> "Weather":
        """The same place without faults."""
        return Weather(self.latency_us)


class Address(msgspec.Struct, eq=False):
    """In the place of a socket that is bound: a name to listen on."""

    host: str
    port: int

    def getsockname(self) -> tuple[str, int]:
        """As of a socket."""
        return self.host, self.port

    def close(self) -> None:
        """As of a socket."""


class Listener:
    """Somebody who accepts connections."""

    def __init__(self, network: "Network", factory: Any, address: Address) -> None:
        self._network = network
        self.factory = factory
        self.context = copy_context()
        self.sockets = [address]
        life = self.context.get(LIFE)
        if life is not None:
            life.sockets.append(self)

    def close(self) -> None:
        """Nobody connects here any more."""
        at = self.sockets[0].getsockname()
        if self._network.listeners.get(at) is self:
            del self._network.listeners[at]

    def killed(self) -> None:
        """Its process has gone."""
        self.close()


class _Pipe:
    """One direction: bytes, end of stream or reset, in order."""

    __slots__ = (
        "_due_s",
        "_name",
        "_network",
        "_puts",
        "_queue",
        "_timer",
        "bytes",
        "dark",
        "sink",
        "source",
        "stall_s",
    )

    def __init__(self, network: "Network", source: "Endpoint", sink: "Endpoint", name: str) -> None:
        self._name = name
        self._puts = 0
        self._network = network
        self.source = source
        self.sink = sink
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._due_s = 0.0
        self._timer = False
        self.bytes = 0
        self.dark = False
        """What is put in vanishes."""
        self.stall_s = 0.0

    def put(self, data: bytes) -> None:
        """Bytes on their way; the weather is drawn here."""
        network = self._network
        if self.dark:
            if network.healed:
                # The host is back and knows no such connection.
                self.source.reset()
            return
        weather, rng = network.weather, network.rng
        now_s = network.loop.time()
        low, high = weather.latency_us
        when = now_s + (low + (high - low) * rng.random()) * US
        if network.foul:
            self._puts += 1
            what, how = self._fault(weather, rng)
            if what:
                network.counts[what] += 1
                if what not in HARMLESS:
                    network.struck(what)
            if what == "reset":
                self.source.reset()
                return
            if what == "half_open":
                self.source.go_dark()
                return
            if what in {"stall", "delay"}:
                when += how[0] * US
            cut, how = self._split(weather, rng, len(data))
            if cut:
                network.counts["split"] += 1
                at = min(max(int(how[0]), 1), len(data) - 1)
                self._add(when, data[:at])
                data = data[at:]
                when += how[1] * US
        self._add(when, data)

    def _fault(self, weather: Weather, rng: Random) -> tuple[str, tuple[float, ...]]:
        """What happens to one write, and for how many microseconds."""
        drawn, length = rng.random(), rng.random()
        what = ""
        for name in ("reset", "half_open", "stall", "delay"):
            drawn -= getattr(weather, name)
            if drawn < 0:
                what = name
                break
        choices = self._network.choices
        if not what and not choices.told:
            return "", ()
        low, high = weather.delay_us if what == "delay" else weather.stall_us
        how = (float(round(low + (high - low) * length)),)
        return choices.of(f"net/{self._name}/{self._puts}", what, how)

    def _split(self, weather: Weather, rng: Random, size: int) -> tuple[str, tuple[float, ...]]:
        """Whether a write arrives in two pieces: where it is cut, and how many microseconds the
        second comes later."""
        if size < 2:
            return "", ()
        drawn, at, later = rng.random(), rng.randrange(1, size), rng.random()
        what = "split" if drawn < weather.split else ""
        choices = self._network.choices
        if not what and not choices.told:
            return "", ()
        how = (float(at), float(round(later * 2_000)))
        return choices.of(f"cut/{self._name}/{self._puts}", what, how)

    @property
    def name(self) -> str:
        """Port of who listens, number of the connection, direction."""
        return self._name

    def end(self) -> None:
        """End of stream, behind everything."""
        if not self.dark:
            self._add(self._network.loop.time() + 50 * US, None)

    def _add(self, when: float, data: bytes | None) -> None:
        if when < self._due_s:
            when = self._due_s
        self._due_s = when
        self._queue.append((when, data))
        if data is not None:
            self.bytes += len(data)
        if not self._timer and not self.sink.paused:
            self._arm()

    def _arm(self) -> None:
        self._timer = True
        self._network.loop.call_at(self._queue[0][0], self._deliver, context=self.sink.context)

    def wake(self) -> None:
        """The sink reads again."""
        if self._queue and not self._timer:
            self._arm()

    def drop(self) -> None:
        """Everything that is under way is lost."""
        self._queue.clear()
        self.bytes = 0

    def _deliver(self) -> None:
        self._timer = False
        queue, sink = self._queue, self.sink
        now_s = self._network.loop.time()
        while queue and queue[0][0] <= now_s and not sink.paused:
            data = queue.popleft()[1]
            if data is None:
                sink.ended_by_peer()
                continue
            while queue and queue[0][0] <= now_s and queue[0][1] is not None:
                data += queue.popleft()[1] or b""
                self._network.counts["merge"] += 1
            self.bytes -= len(data)
            sink.received(data)
            self.source.drain()
        if queue and not self._timer and not sink.paused:
            self._arm()


class Endpoint(asyncio.Transport):
    """One end of a connection: what a protocol gets as its transport."""

    def __init__(self, network: "Network", context: Context, here: Address, there: Address) -> None:
        super().__init__()
        self.network = network
        self.context = context
        self.here = here
        self.there = there
        self.protocol: Any = None
        self.out: _Pipe
        self.into: _Pipe
        self.paused = False
        self._buffer = bytearray()
        self._high = HIGH_BYTES
        self._low = HIGH_BYTES // 4
        self._choked = False
        self._closing = False
        self._ending = False
        self.gone = False
        """`connection_lost` was called, or its process has gone."""
        life = context.get(LIFE)
        self.life = life
        if life is not None:
            life.sockets.append(self)

    # -- what a protocol calls --------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The peer's name; there is no socket."""
        return self.there.getsockname() if name == "peername" else default

    def is_closing(self) -> bool:
        """As of any transport."""
        return self._closing

    def write(self, data: Any) -> None:
        """As of any transport."""
        if self._closing or self._ending or not data:
            return
        if self.network.tap is not None:
            self.network.tap(self, data, True)
        wrote = self.network.wrote
        if wrote is not None and self.life is not None:
            wrote(self, data)
            if self.gone:
                return
        if not self._buffer and self.out.bytes + len(data) <= WIRE_BYTES:
            self.out.put(bytes(data))
            return
        idle = not self._buffer
        self._buffer += data
        if idle:
            # A kernel takes as much as it has room for.
            self.drain()
        if len(self._buffer) > self._high and not self._choked:
            self._choked = True
            self.protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """As of a socket."""
        return True

    def write_eof(self) -> None:
        """Our end of stream, behind what was written."""
        if not self._ending and not self._closing:
            self._ending = True
            self._finish()

    def close(self) -> None:
        """Flushes, then ends."""
        if not self._closing:
            self._closing = True
            self._finish()

    def abort(self) -> None:
        """Drops what was not handed over, and ends."""
        if self.gone:
            return
        self._buffer.clear()
        self._closing = True
        self._finish()

    def pause_reading(self) -> None:
        """As of any transport."""
        self.paused = True

    def resume_reading(self) -> None:
        """As of any transport."""
        self.paused = False
        self.into.wake()

    def is_reading(self) -> bool:
        """As of any transport."""
        return not self.paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As of any transport."""
        self._high = HIGH_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """What the kernel has not taken."""
        return len(self._buffer)

    # -- what the network does to it --------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.gone or self._closing:
            return
        if self.network.tap is not None:
            self.network.tap(self, data, False)
        read = self.network.read
        if read is not None and self.life is not None:
            read(self, data)
        self.protocol.data_received(data)

    def ended_by_peer(self) -> None:
        """The peer has ended its stream: as a protocol without `eof_received` we end too."""
        self.close()

    def drain(self) -> None:
        """The pipe has room."""
        if not self._buffer or self.gone:
            return
        room = WIRE_BYTES - self.out.bytes
        if room <= 0:
            return
        data = bytes(self._buffer[:room])
        del self._buffer[:room]
        self.out.put(data)
        if self._choked and len(self._buffer) <= self._low:
            self._choked = False
            self.network.loop.call_soon(self._resumed, context=self.context)
        if not self._buffer and (self._closing or self._ending):
            self._finish()

    def _resumed(self) -> None:
        if not self.gone and not self._choked:
            self.protocol.resume_writing()

    def _finish(self) -> None:
        """Ends what was asked to end, once everything is handed over."""
        if self._buffer:
            return
        self.out.end()
        if self._closing:
            self.network.loop.call_soon(self._lost, None, context=self.context)

    def reset(self) -> None:
        """The connection is reset: both ends learn it, what is under way is lost."""
        for end in (self, self.into.source):
            end.out.drop()
            end.out.dark = True
            end.cut(ConnectionResetError())

    def cut(self, error: Exception) -> None:
        """This end learns that the connection is no more."""
        if not self.gone:
            self._closing = True
            self._buffer.clear()
            self.network.loop.call_soon(self._lost, error, context=self.context)

    @property
    def quiet(self) -> bool:
        """Nothing is under way, in either direction."""
        return not (self._buffer or self.out.bytes or self.into.bytes)

    def go_dark(self) -> None:
        """From now on nothing passes either way, and nobody is told."""
        for end in (self, self.into.source):
            end.out.drop()
            end.out.dark = True

    def killed(self) -> None:
        """The process has gone: its kernel sends what it has, then the end of the stream."""
        if not self.gone:
            self.gone = True
            self._closing = True
            self._buffer.clear()
            self._deaf()
            self.out.end()

    def _deaf(self) -> None:
        """Nothing arrives here any more; whoever still flushed towards us is done."""
        self.into.drop()
        self.into.dark = True
        writer = self.into.source
        if writer._buffer:
            writer._buffer.clear()
            if writer._closing or writer._ending:
                writer._finish()

    def _lost(self, error: Exception | None) -> None:
        if self.gone:
            return
        self.gone = True
        self._deaf()
        life = self.life
        if life is not None and self in life.sockets:
            life.sockets.remove(self)
        self.protocol.connection_lost(error)


def _set(made: "asyncio.Future[None]") -> None:
    if not made.done():
        made.set_result(None)


class Network:
    """All hosts of a world."""

    def __init__(
        self,
        loop: VirtualLoop,
        rng: Random,
        weather: Weather,
        choices: Choices | None = None,
    ) -> None:
        self.loop = loop
        self.choices = choices or Choices()
        self.rng = rng
        self.weather = weather
        self.foul = False
        """Faults are drawn."""
        self.healed = False
        """Hosts that were gone without a word are back, and know nothing of what was."""
        self.listeners: dict[tuple[str, int], Listener] = {}
        self.dark: set[tuple[str, int]] = set()
        """Where nobody even refuses."""
        self.counts: Counter[str] = Counter()
        self.wrote: Callable[[Endpoint, bytes], None] | None = None
        """Told of each write of a process that has a life."""
        self.read: Callable[[Endpoint, bytes], None] | None = None
        """Likewise of what it reads, before it does."""
        self.tap: Callable[[Endpoint, bytes, bool], None] | None = None
        """Told of every write (True) and of all that arrives, at either end."""
        self.struck: Callable[[str], None] = lambda _fault: None
        """Told of each fault that may hurt."""
        self.made: dict[tuple[str, int], int] = {}
        """Connections that each listener has had."""
        self._ports = 40_000

    def strike(self, fault: str) -> None:
        """Counts a fault."""
        self.counts[fault] += 1
        self.struck(fault)

    def listen(self, factory: Any, where: Any) -> Listener:
        """`where`: an `Address`, or host and port."""
        address = where if isinstance(where, Address) else Address(*where)
        at = address.getsockname()
        if at in self.listeners:
            raise OSError(98, "address in use")
        made = Listener(self, factory, address)
        self.listeners[at] = made
        return made

    async def take(self, host: str, port: int) -> list[Any]:
        """In the place of `switch.runtime.listening.take`. Raises: OSError."""
        if (host, port) in self.listeners:
            raise OSError(98, "address in use")
        return [Address(host, port)]

    async def connect(self, factory: Any, host: str | None, port: int | None) -> Any:
        """A connection to whoever listens there. Raises: ConnectionRefusedError."""
        assert host is not None
        assert port is not None
        there = Address(host, port)
        await asyncio.sleep(self._delay())
        at = (host, port)
        if at in self.dark:
            await asyncio.sleep(SYN_S)
            raise TimeoutError
        listener = self.listeners.get(at)
        if listener is None:
            self.counts["refused"] += 1
            raise ConnectionRefusedError(111, "connection refused")
        self._ports += 1
        here = Address("10.255.0.1", self._ports)
        ours = Endpoint(self, copy_context(), here, there)
        theirs = Endpoint(self, listener.context.copy(), there, here)
        made = self.made[at] = self.made.get(at, 0) + 1
        # By who listens there and how many connections he has had: the same in a smaller world.
        name = f"{port}.{made}"
        ours.out = theirs.into = _Pipe(self, ours, theirs, f"{name}.to")
        theirs.out = ours.into = _Pipe(self, theirs, ours, f"{name}.from")
        theirs.paused = True
        self.loop.call_soon(self._accepted, listener, theirs, context=theirs.context)
        ours.protocol = factory()
        ready = self.loop.create_future()
        # As a loop does it: what the protocol raises is not the caller's.
        self.loop.call_soon(ours.protocol.connection_made, ours)
        self.loop.call_soon(_set, ready)
        await ready
        self.counts["connected"] += 1
        return ours, ours.protocol

    def _accepted(self, listener: Listener, end: Endpoint) -> None:
        if end.gone:
            return
        end.protocol = listener.factory()
        end.paused = False
        end.protocol.connection_made(end)
        end.into.wake()

    def _delay(self) -> float:
        low, high = self.weather.latency_us
        return 2 * (low + (high - low) * self.rng.random()) * US
