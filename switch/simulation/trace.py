"""A world as it happens, one event after another: messages, faults, crashes, syncs, recoveries.

Card numbers are masked. `follow` leaves what belongs to one transaction, and what happened to the
node and the network meanwhile.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from switch.errors import TapswitchError
from switch.simulation.chance import Choice
from switch.simulation.network import Endpoint
from switch.simulation.plan import Script
from switch.simulation.ports import ACQUIRER_PORT, BANK_PORT, START_NS

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["NODE", "Event", "Trace", "follow", "shown"]

NODE: Final = "switch"
LENGTH_BYTES: Final = 2
MESSAGES: Final = frozenset({"sends", "gets"})


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened."""

    at_ns: int
    """Virtual, since the world began."""
    node: str
    """``switch``, ``ACQ00``, ``BANK01``, or ``world`` for what has no place."""
    what: str
    """``sends``, ``gets``, ``fault``, ``begins``, ``journal`` or ``note``."""
    text: str = ""
    peer: str = ""
    link: int = 0
    """Number of the connection, of those that its listener has had."""
    mti: str = ""
    stan: str = ""
    rrn: str = ""
    terminal: str = ""
    amount_minor: int = -1
    code: str = ""
    original_stan: str = ""
    card: str = ""
    """First six and last four digits."""


class Trace:
    """Collects the events of one world."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._world: World
        self._pieces: dict[str, bytearray] = {}

    def plug(self, world: "World") -> None:
        """From now on everything that happens there is written down."""
        self._world = world
        world.network.tap = self._tap
        world.choices.seen = self._chosen
        world.node.told = self._node

    def _now(self) -> int:
        return self._world.loop.now_ns - START_NS

    def note(self, what: str) -> None:
        """What the world says of itself."""
        self.events.append(Event(self._now(), "world", "note", what))

    def begins(self, script: Script) -> None:
        """A transaction, and what its acquirer will do with it."""
        rude = f", will {', '.join(script.faults)}" if script.faults else ""
        text = f"transaction {script.number}: {script.kind}{' by tap' * script.tap}{rude}"
        node = f"ACQ{script.acquirer:02d}"
        rrn = f"{script.acquirer}{script.number:06d}{script.amount % 100_000:05d}"
        self.events.append(
            Event(self._now(), node, "begins", text, rrn=rrn, amount_minor=script.amount)
        )

    def _chosen(self, choice: Choice) -> None:
        how = " ".join(f"{number:g}" for number in choice.how)
        text = f"{choice.what} at {choice.where} ({how})" if how else choice.what
        room, _, rest = choice.where.partition("/")
        rrn = rest.partition("/")[0] if room == "bank" else ""
        self.events.append(Event(self._now(), "world", "fault", text, rrn=rrn))

    def _node(self, what: str) -> None:
        told = "journal" if what.startswith("synced") else "note"
        self.events.append(Event(self._now(), NODE, told, what))

    # -- messages ---------------------------------------------------------------------------------

    def _tap(self, end: Endpoint, data: bytes, wrote: bool) -> None:
        port, number, _ = (end.out if wrote else end.into).name.split(".")
        place = int(port)
        other = f"BANK{place - BANK_PORT:02d}"
        if place < BANK_PORT:
            other = f"ACQ{place - ACQUIRER_PORT:02d}"
        node, peer = (NODE, other) if end.life is not None else (other, NODE)
        what = "sends" if wrote else "gets"
        if wrote:
            frames = _frames(bytearray(data))
        else:
            pieces = self._pieces.setdefault(end.into.name, bytearray())
            pieces += data
            frames = _frames(pieces)
        now_ns = self._now()
        for frame in frames:
            self.events.append(self._event(now_ns, node, what, peer, int(number), frame))

    def _event(self, at_ns: int, node: str, what: str, peer: str, link: int, frame: bytes) -> Event:
        try:
            message: Any = self._world.ground.dialect.decode_frame(frame)
        except TapswitchError as error:
            text = f"{len(frame)} bytes that are no message: {error}"
            return Event(at_ns, node, what, text, peer, link)
        return Event(
            at_ns,
            node,
            what,
            message.get("network_code") or "",
            peer,
            link,
            message.mti,
            message.get("stan") or "",
            message.get("rrn") or "",
            message.get("terminal_id") or "",
            message.amount_minor,
            message.get("response_code") or "",
            message.get("original_data.stan") or "",
            message.masked_pan(),
        )


def _frames(pieces: bytearray) -> Iterator[bytes]:
    """Whole frames, which are taken away from the front."""
    while len(pieces) >= LENGTH_BYTES:
        length = LENGTH_BYTES + int.from_bytes(pieces[:LENGTH_BYTES], "big")
        if len(pieces) < length:
            return
        frame = bytes(pieces[:length])
        del pieces[:length]
        yield frame


# -- reading it -----------------------------------------------------------------------------------


def follow(events: Sequence[Event], wanted: str) -> list[Event]:
    """What belongs to the transactions that an RRN or a STAN names (of the acquirer, of the bank's
    leg, of a reversal), and what befell node and network; of the journal's syncs the first behind
    each message. Empty when no message has the name."""
    stan = wanted.zfill(6) if len(wanted) <= 6 else ""
    names = {
        event.rrn
        for event in events
        if event.what in MESSAGES and event.rrn and (wanted == event.rrn or stan == event.stan)
    }
    if not names:
        return []
    numbers = {name[1:] for name in names}
    kept: list[Event] = []
    waits = False
    for event in events:
        if event.what in MESSAGES or event.what == "begins":
            mine = event.rrn in names
            waits |= mine
        elif event.what == "journal":
            mine, waits = waits, False
        else:
            mine = not event.rrn or event.rrn in numbers
        if mine:
            kept.append(event)
    return kept


def shown(event: Event) -> str:
    """One line."""
    at = f"{event.at_ns / 1e6:12.3f} ms  {event.node:7s}"
    if event.what not in MESSAGES:
        return f"{at} {event.what}: {event.text}" if event.what != "note" else f"{at} {event.text}"
    arrow = "→" if event.what == "sends" else "←"
    parts = [at, arrow, f"{event.peer}.{event.link}".ljust(9), event.mti]
    if event.stan:
        parts.append(event.stan)
    if event.rrn:
        parts.append(event.rrn)
    if event.amount_minor >= 0:
        parts.append(f"{event.amount_minor / 100:.2f}")
    if event.code:
        parts.append(f"code {event.code}")
    if event.original_stan:
        parts.append(f"of {event.original_stan}")
    if event.card:
        parts.append(event.card)
    if event.text:
        parts.append(event.text)
    return " ".join(parts)
