"""Frames that nobody can read: what a broken terminal, a bad line or another dialect sends."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from switch.simulation.broken import Broken
from switch.simulation.chance import picked
from switch.wire import Dialect

if TYPE_CHECKING:
    from switch.simulation.oracles import Evidence

__all__ = ["ANSWERED", "KINDS", "LOSES_STREAM", "SWALLOWS", "garble_rules", "garbled"]

LENGTH_BYTES: Final = 2
MTI_AT: Final = LENGTH_BYTES
BITMAP_AT: Final = MTI_AT + 4
CURRENCY: Final = ("156", "157")
REFUSALS: Final = frozenset({"30", "12"})
SHED: Final = frozenset({"91", "96"})


def _set(frame: bytes, at: int, byte: bytes) -> bytes:
    return frame[:at] + byte + frame[at + 1 :]


def _length(frame: bytes, more: int) -> bytes:
    said = int.from_bytes(frame[:LENGTH_BYTES], "big") + more
    return said.to_bytes(LENGTH_BYTES, "big") + frame[LENGTH_BYTES:]


def _whole(body: bytes) -> bytes:
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def _field(frame: bytes, currency_at: int) -> bytes:
    """A letter in the middle of the currency, which stands behind what names a request."""
    return _set(frame, currency_at, b"X")


KINDS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "mti": lambda frame, _: _set(frame, MTI_AT + 1, b"X"),
    "version": lambda frame, _: _set(frame, MTI_AT, b"9"),
    "bitmap": lambda frame, _: _set(frame, BITMAP_AT + 3, b"G"),
    "field": _field,
    "short": lambda frame, at: _whole(frame[LENGTH_BYTES:at]),
    "long": lambda frame, _: _whole(frame[LENGTH_BYTES:] + b"ZZZ"),
    "noise": lambda frame, _: _whole(bytes(0x80 | byte for byte in frame[LENGTH_BYTES:])),
    "length more": lambda frame, _: _length(frame, 7),
    "length less": lambda frame, _: _length(frame, -7),
    "length huge": lambda frame, _: b"\xff\xff" + frame[LENGTH_BYTES:],
}
"""What is wrong, and how a sound frame becomes such; told where its currency's last digit is."""
ANSWERED: Final = frozenset({"field", "short"})
"""Enough can be read to say whose request is refused."""
SWALLOWS: Final = frozenset({"length more", "length less"})
"""What comes behind it may be taken for its rest, until a frame is not finished in time."""
LOSES_STREAM: Final = SWALLOWS | {"length huge"}
"""Nobody knows where the next frame begins."""


def garbled(dialect: Dialect, mti: str, values: Mapping[str, Any], how: float) -> tuple[str, bytes]:
    """What is wrong with it, and a message as it then is; `how` from 0 to 1 says what."""
    kind = picked(tuple(KINDS), how)
    first, second = (dialect.encode(mti, {**values, "currency": currency}) for currency in CURRENCY)
    at = next(place for place, byte in enumerate(first) if byte != second[place])
    return kind, KINDS[kind](first, at)


def garble_rules(evidence: "Evidence") -> Iterator[Broken]:
    """D11: what cannot be read touches no state; where it says whose it is, it is refused once."""
    rrns = {seen.rrn for bank in evidence.banks.values() for seen in bank.seen}
    keys = {(key[0], key[2]) for key in evidence.recorded.keys}
    for one in evidence.asked.garbled:
        about = f"a frame with a wrong {one.kind}"
        if (one.acquirer, one.stan) in keys:
            yield Broken("D11", f"{about} has a record")
        if one.rrn in rrns:
            yield Broken("D11", f"{about} went to a bank")
        wrong = [code for code in one.told if code not in REFUSALS | SHED]
        if wrong or len(one.told) > 1:
            yield Broken("D11", f"{about} was answered {one.told}")
        if one.kind == "length huge" and one.link in evidence.standing:
            yield Broken("D11", f"{about} came, and its connection stands")
        if one.kind in ANSWERED and one.link in evidence.standing and not one.told:
            yield Broken("D11", f"{about} was not refused, and its connection stands")
