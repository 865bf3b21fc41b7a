"""What a faulty network does, and to what: rules as values, and as words on a command line.

A rule is a direction, a fault, and which units it is for. A unit is a frame where the relay knows
the dialect, else whatever bytes arrived together. Rules are tried in order on every unit; each that
matches acts on what the ones before have left.
"""

from enum import StrEnum, unique
from typing import Any, Final

import msgspec

from switch.errors import OperatorError
from switch.settings.nearest import nearest

__all__ = ["Direction", "Fault", "Rule", "parse_rule", "text"]


@unique
class Direction(StrEnum):
    """Seen from who connects to the relay."""

    UP = "up"
    """Towards the address that the relay connects to."""
    DOWN = "down"
    """Back to who connected."""
    BOTH = "both"


@unique
class Fault(StrEnum):
    """What is done to a unit, or to its connection from there on."""

    DELAY = "delay"
    """Later by `ms` and up to `jitter_ms` more; order is kept, as TCP keeps it."""
    LOSE = "lose"
    """Not passed on. TCP would repeat it; a proxy, a bank or a crash would not."""
    DUPLICATE = "duplicate"
    """Passed on `copies` times more, at once."""
    REORDER = "reorder"
    """Behind the next `after` units, or after `ms` when they do not come."""
    SPLIT = "split"
    """In two pieces, cut at byte `at`, each a segment of its own."""
    DRIBBLE = "dribble"
    """Byte by byte, one every `ms`."""
    CORRUPT = "corrupt"
    """Byte `at` is changed by exclusive or with `mask`."""
    TRUNCATE = "truncate"
    """The first `at` bytes pass, then comes the end of stream; the rest is lost."""
    RESET = "reset"
    """The first `at` bytes pass, then the connection is reset on both sides."""
    STALL = "stall"
    """Nothing passes any more and nothing is read, for `ms` or (0) until healed; then all comes."""
    SWALLOW = "swallow"
    """Read and thrown away from here on, until healed: a half-open line."""
    SWAP = "swap"
    """Exchanges `field` with the next unit that matches: an answer under another's number."""
    REWRITE = "rewrite"
    """`field` is given `value` of the same length."""


NEEDS_DIALECT: Final = frozenset({Fault.SWAP, Fault.REWRITE})
KEYS: Final[dict[Fault, tuple[str, ...]]] = {
    Fault.DELAY: ("ms", "jitter_ms"),
    Fault.LOSE: (),
    Fault.DUPLICATE: ("copies",),
    Fault.REORDER: ("after", "ms"),
    Fault.SPLIT: ("at",),
    Fault.DRIBBLE: ("ms",),
    Fault.CORRUPT: ("at", "mask"),
    Fault.TRUNCATE: ("at",),
    Fault.RESET: ("at",),
    Fault.STALL: ("ms",),
    Fault.SWALLOW: (),
    Fault.SWAP: ("field", "ms"),
    Fault.REWRITE: ("field", "value"),
}
"""What each fault takes beside the keys of every rule."""

WHICH: Final = ("mti", "nth", "share", "times", "link")
HELD_MS: Final = 200.0
"""How long a unit waits for the one that it is to change places with."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One fault for some units. Times in milliseconds."""

    fault: Fault
    direction: Direction = Direction.BOTH
    mti: str = ""
    """Beginning of the message type; empty: any. Needs a dialect."""
    nth: int = 0
    """Only the n-th unit that matches otherwise, over all connections; 0: all of them."""
    share: float = 1.0
    """Chance of each."""
    times: int = 0
    """How often at most; 0: no limit."""
    link: int = -1
    """Only on this connection, counted from 0; -1: all."""
    at: int = 0
    """A byte: of the frame where there is a dialect (negative: from its end), else of everything
    that came in this direction since the connection began."""
    ms: float = 0.0
    jitter_ms: float = 0.0
    copies: int = 1
    after: int = 1
    mask: int = 0xFF
    field: str = ""
    """Canonical name, such as ``stan`` or ``response_code``."""
    value: str = ""

    @property
    def of_frames(self) -> bool:
        """Whether it can be followed only where frames can be told apart."""
        return bool(self.mti) or self.fault in NEEDS_DIALECT


def parse_rule(words: str) -> Rule:
    """A rule from words, for example ``down lose mti=0210 share=0.01``.

    Raises: OperatorError with what is wrong, and the nearest right word.
    """
    parts = words.split()
    directions = {str(one) for one in Direction}
    direction = Direction(parts.pop(0)) if parts and parts[0] in directions else Direction.BOTH
    if not parts:
        raise OperatorError(f"the rule {words!r} names no fault", help=_KNOWN)
    name, *rest = parts
    if name not in {str(fault) for fault in Fault}:
        hint = nearest(name, [str(fault) for fault in Fault])
        raise OperatorError(
            f"there is no fault {name!r}", help=f"did you mean {hint!r}?" if hint else _KNOWN
        )
    fault = Fault(name)
    values: dict[str, Any] = {"fault": fault, "direction": direction}
    for part in rest:
        key, separator, value = part.partition("=")
        known = (*KEYS[fault], *WHICH)
        if not separator or key not in known:
            hint = nearest(key, known)
            said = f"did you mean {hint!r}?" if hint else f"it takes {', '.join(known)}"
            raise OperatorError(f"{name} does not take {part!r}", help=said)
        values[key] = value
    try:
        rule = msgspec.convert(values, Rule, strict=False)
    except msgspec.ValidationError as error:
        raise OperatorError(f"the rule {words!r}: {error}") from None
    _check(words, rule)
    return rule


_KNOWN: Final = f"faults are {', '.join(Fault)}"


def _check(words: str, rule: Rule) -> None:
    problem = ""
    if not 0.0 <= rule.share <= 1.0:
        problem = "share is from 0 to 1"
    elif min(rule.ms, rule.jitter_ms, rule.nth, rule.times, rule.after, rule.copies) < 0:
        problem = "a number is negative"
    elif rule.fault is Fault.REWRITE and not (rule.field and rule.value):
        problem = "rewrite needs field= and value="
    elif rule.fault is Fault.CORRUPT and not 0 < rule.mask < 256:
        problem = "mask is from 1 to 255"
    elif rule.fault is Fault.DRIBBLE and not rule.ms:
        problem = "dribble needs ms="
    elif rule.fault is Fault.DELAY and not (rule.ms or rule.jitter_ms):
        problem = "delay needs ms= or jitter_ms="
    if problem:
        raise OperatorError(f"the rule {words!r}: {problem}")


SAID: Final = {
    Fault.DELAY: "later, in order",
    Fault.LOSE: "not passed on",
    Fault.DUPLICATE: "passed on again",
    Fault.REORDER: "behind the next ones",
    Fault.SPLIT: "in two segments",
    Fault.DRIBBLE: "byte by byte, ms between",
    Fault.CORRUPT: "one byte changed",
    Fault.TRUNCATE: "end of stream in the middle",
    Fault.RESET: "reset in the middle",
    Fault.STALL: "stands still, then all comes",
    Fault.SWALLOW: "half open from here on",
    Fault.SWAP: "field exchanged with the next",
    Fault.REWRITE: "another value in a field",
}


def text() -> str:
    """The faults for `--help`, one a line."""
    lines = [
        f"  {fault:10}{SAID[fault]:30}{' '.join(f'{key}=' for key in keys)}".rstrip()
        for fault, keys in KEYS.items()
    ]
    which = " ".join(f"{key}=" for key in WHICH)
    return "\n".join(["Faults, and what they take:", *lines, f"Each also: {which}"])
