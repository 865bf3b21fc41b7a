"""One direction of one connection: units in, what the rules leave of them out, in time.

Two tasks. One reads, cuts and decides; the other writes what was decided, waiting where a rule says
so. The queue between them is bounded, so that a receiver that does not read slows its sender as
without us. What is held back for a change of places goes on after a while by itself.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

import msgspec

from switch.sim.network.frame import Cutter, exchange, message_of, rewritten
from switch.sim.network.rule import HELD_MS, Direction, Fault, Rule
from switch.wire.source import Source

__all__ = ["Pipe", "Rules", "reset"]

CHUNK_BYTES: Final = 65_536
QUEUE_MAX: Final = 256
"""Units that wait to be written before nothing more is read."""
PIECE_S: Final = 0.002
"""Between two pieces, so that they arrive as two."""
LINGER_NOT: Final = struct.pack("ii", 1, 0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by a reset: without lingering, unsent bytes are thrown away."""
    known: Any = writer.get_extra_info("socket")
    if known is not None:
        with contextlib.suppress(OSError):
            known.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()


class Rules:
    """The rules in force and what they have done; shared by all pipes of a relay."""

    def __init__(self, rules: Iterable[Rule], source: Source | None, rng: Random) -> None:
        self.source = source
        self.done: Counter[str] = Counter()
        """How often each fault has acted, by name."""
        self.rng = rng
        self.healed = asyncio.Event()
        """Set when nothing is stalled any more."""
        self.heals = 0
        """How often it was healed: what was swallowed before is swallowed no more."""
        self._rules: list[Rule] = []
        self._seen: list[int] = []
        self._left: list[int] = []
        self.put(rules)

    def put(self, rules: Iterable[Rule]) -> None:
        """Other rules from the next unit on."""
        self._rules = list(rules)
        self._seen = [0] * len(self._rules)
        self._left = [rule.times for rule in self._rules]
        self.healed.clear()

    def heal(self) -> None:
        """No fault any more; what was stalled comes, what was swallowed does not."""
        self.put(())
        self.heals += 1
        self.healed.set()

    def of(self, direction: Direction, link: int, unit: bytes) -> list[Rule]:
        """The rules that act on this unit, in order; each is counted as done."""
        found = []
        mti: str | None = None
        for number, rule in enumerate(self._rules):
            if rule.direction not in (direction, Direction.BOTH) or rule.link not in (-1, link):
                continue
            if rule.mti:
                if mti is None:
                    message = self.source and message_of(self.source, unit)
                    mti = message.mti if message else ""
                if not mti.startswith(rule.mti):
                    continue
            self._seen[number] += 1
            if rule.nth not in (0, self._seen[number]):
                continue
            if rule.times and not self._left[number]:
                continue
            if rule.share < 1.0 and self.rng.random() >= rule.share:
                continue
            self._left[number] -= 1
            found.append(rule)
        return found


class _Out(msgspec.Struct):
    """What the writing task is to do next."""

    data: bytes = b""
    wait_s: float = 0.0
    """Before it."""
    late: bool = False
    """`wait_s` is a moment of the loop's clock instead."""
    pace_s: float = 0.0
    """Byte by byte with this between them; 0: at once."""
    end: Fault | None = None
    """Truncate or reset behind it."""
    stall_s: float = -1.0
    """Stands still for so long first; 0: until healed."""


class _Held(msgspec.Struct):
    unit: bytes
    rule: Rule
    behind: int
    """Units that are to pass before it."""
    until: float
    """Moment of the loop's clock at which it goes by itself."""


class Pipe:
    """From `reader` to `writer`. `run` ends when the stream has ended, in whatever way."""

    def __init__(
        self,
        rules: Rules,
        direction: Direction,
        link: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        cut: Callable[[], None],
    ) -> None:
        """`cut` resets both sides of the connection."""
        self.bytes = 0
        self.units = 0
        self._rules = rules
        self.direction = direction
        self._link = link
        self._reader = reader
        self._writer = writer
        self._cut = cut
        self._cutter = Cutter(rules.source)
        self._out: deque[_Out] = deque()
        self._held: list[_Held] = []
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._swallowed_at = -1
        """Healings before it began to swallow; -1: it does not."""
        self._stream_at = 0
        self._due = 0.0

    async def run(self) -> None:
        """Until the end of this direction; a lost peer is no error of ours."""
        writing = asyncio.create_task(self._write_all())
        try:
            await self._read_all()
            await writing
        except OSError:
            self._cut()
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await writing

    # -- reading and deciding ----------------------------------------------------------------

    async def _read_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while len(self._out) >= QUEUE_MAX:
                self._room.clear()
                await self._room.wait()
            wait_s = None
            if self._held:
                wait_s = max(0.0, min(held.until for held in self._held) - loop.time())
            try:
                data = await asyncio.wait_for(self._reader.read(CHUNK_BYTES), wait_s)
            except TimeoutError:
                self._let_go(loop.time())
                continue
            if self._ended:
                # Truncated: what comes now has nowhere to go.
                if not data:
                    return
                continue
            if not data:
                break
            for unit in self._cutter.feed(data):
                self._unit(unit, loop.time())
        self._let_go(float("inf"))
        self._put(_Out(self._cutter.rest()))
        self._ended = True
        self._more.set()

    def _unit(self, unit: bytes, now: float) -> None:
        if self._ended:
            return
        self.bytes += len(unit)
        self.units += 1
        at, self._stream_at = self._stream_at, self._stream_at + len(unit)
        rules = self._rules.of(self.direction, self._link, unit)
        out = _Out(unit)
        copies = 0
        for rule in rules:
            if self._swallowing():
                break
            place = self._place(rule, at, len(unit))
            if place is None:
                continue
            self._rules.done[rule.fault] += 1
            match rule.fault:
                case Fault.SWALLOW:
                    self._swallowed_at = self._rules.heals
                case Fault.LOSE:
                    return
                case Fault.DUPLICATE:
                    copies += rule.copies
                case Fault.REORDER | Fault.SWAP:
                    if self._change_places(out, rule, now):
                        return
                case Fault.SPLIT:
                    self._put(msgspec.structs.replace(out, data=out.data[:place]))
                    out = _Out(out.data[place:], PIECE_S)
                case _:
                    self._mark(out, rule, place, now)
        if self._swallowing():
            return
        self._put(out)
        for _ in range(copies):
            self._put(_Out(out.data))
        self._passed(now)

    def _swallowing(self) -> bool:
        return self._swallowed_at == self._rules.heals

    def _place(self, rule: Rule, at: int, length: int) -> int | None:
        """Byte of this unit that the rule is about; None when it is in another one."""
        if rule.fault not in (Fault.SPLIT, Fault.CORRUPT, Fault.TRUNCATE, Fault.RESET):
            return 0
        if self._rules.source is not None:
            place = rule.at + length if rule.at < 0 else rule.at
        else:
            place = rule.at - at
        last = length - 1 if rule.fault in (Fault.CORRUPT, Fault.SPLIT) else length
        return place if 0 <= place <= last else None

    def _mark(self, out: _Out, rule: Rule, place: int, now: float) -> None:
        """What changes a unit, or how it leaves."""
        match rule.fault:
            case Fault.DELAY:
                wait_s = (rule.ms + self._rules.rng.uniform(0.0, rule.jitter_ms)) / 1000
                self._due = max(self._due, now + wait_s)
                out.wait_s, out.late = self._due, True
            case Fault.DRIBBLE:
                out.pace_s = rule.ms / 1000
            case Fault.CORRUPT:
                changed = bytearray(out.data)
                changed[place] ^= rule.mask
                out.data = bytes(changed)
            case Fault.TRUNCATE | Fault.RESET:
                out.data, out.end = out.data[:place], rule.fault
                self._ended = True
            case Fault.STALL:
                out.stall_s = rule.ms / 1000
            case Fault.REWRITE if self._rules.source is not None:
                out.data = rewritten(self._rules.source, out.data, rule.field, rule.value)

    def _change_places(self, out: _Out, rule: Rule, now: float) -> bool:
        """True when the unit is held back; it goes on with or behind another one."""
        if rule.fault is Fault.SWAP and self._rules.source is not None:
            waiting = next((held for held in self._held if held.rule is rule), None)
            if waiting is not None:
                self._held.remove(waiting)
                name = rule.field or "stan"
                both = exchange(self._rules.source, waiting.unit, out.data, name)
                first, out.data = both or (waiting.unit, out.data)
                self._put(_Out(first))
                return False
        until = now + (rule.ms or HELD_MS) / 1000
        behind = rule.after if rule.fault is Fault.REORDER else 1 << 30
        self._held.append(_Held(out.data, rule, behind, until))
        return True

    def _passed(self, now: float) -> None:
        """One more unit has passed those that wait behind it."""
        for held in self._held:
            held.behind -= 1
        self._let_go(now)

    def _let_go(self, now: float) -> None:
        for held in [one for one in self._held if one.behind <= 0 or one.until <= now]:
            self._held.remove(held)
            self._put(_Out(held.unit))

    def _put(self, out: _Out) -> None:
        if out.data or out.end is not None:
            self._out.append(out)
            self._more.set()

    # -- writing -----------------------------------------------------------------------------

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._out:
                if self._ended:
                    with contextlib.suppress(OSError, RuntimeError):
                        self._writer.write_eof()
                    return
                self._more.clear()
                await self._more.wait()
            out = self._out.popleft()
            if out.stall_s >= 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._rules.healed.wait(), out.stall_s or None)
            if out.wait_s:
                await asyncio.sleep(out.wait_s - loop.time() if out.late else out.wait_s)
            await self._write(out)
            self._room.set()
            if out.end is not None:
                await self._end(out.end)
                return

    async def _write(self, out: _Out) -> None:
        if not out.pace_s:
            self._writer.write(out.data)
        else:
            for number in range(len(out.data)):
                self._writer.write(out.data[number : number + 1])
                await asyncio.sleep(out.pace_s)
        await self._writer.drain()

    async def _end(self, how: Fault) -> None:
        """The receiver's end: a FIN behind the last byte, or a reset for both."""
        if how is Fault.RESET:
            # A moment, so that the bytes before it arrive: a reset may overtake them.
            await asyncio.sleep(PIECE_S)
            self._cut()
        else:
            self._writer.close()
