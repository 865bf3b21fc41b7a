"""Whether a bank is asked at all, sans-IO: totals and times in, a state out.

`health.py` judges each connection; this judges the bank behind all of them, by what it does with
requests: the share that ended without a usable answer, and whether any fit connection stands. Open
means that no request becomes a bank leg: it is declined at once, or answered by stand-in where a
rule says so. Deliveries (reversals, advices) are none of its matter; they have a pace of their own.

It opens fast and closes slowly. An open circuit waits for a pause in which a fit connection stood
**all the time**, so that a bank that comes and goes each second leaves it open rather than moving
it; then a few real requests are let through (half-open). So many good answers close it; the first
failure opens it again, for twice the pause, up to a limit.
"""

from collections import deque
from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

import msgspec

from switch.link.states import IMPOSSIBLE, Ignored, Impossible

__all__ = ["TABLE", "Circuit", "CircuitRules", "CircuitState", "Input", "To", "Totals"]

_MS: Final = 1_000_000
LOSSES_NS: Final = 30_000 * _MS
"""The last connection that went `LOSSES_MAX` times within this time opens it too, however soon
another one stood."""
LOSSES_MAX: Final = 3
LEVEL_MAX: Final = 16


@unique
class CircuitState(IntEnum):
    """What is thought of a bank."""

    CLOSED = 0
    """It is asked."""
    HALF_OPEN = 1
    """Few requests at a time."""
    OPEN = 2
    """It is not asked."""


@unique
class Input(IntEnum):
    """What is found."""

    FAILING = 0
    """The share of requests without a usable answer is too large."""
    UNREACHABLE = 1
    """No fit connection for too long, or the last one went again and again."""
    RIPE = 2
    """The pause is over, and a fit connection stood all the while."""
    FAILED = 3
    """Half-open, a request got no usable answer."""
    PROVED = 4
    """Half-open, enough requests were answered."""


class To(msgspec.Struct, frozen=True):
    """A transition."""

    state: CircuitState


_OPENS: Final = To(CircuitState.OPEN)
_OPEN_ALREADY: Final = Ignored("open already")

TABLE: Final[Mapping[CircuitState, Mapping[Input, To | Ignored | Impossible]]] = {
    CircuitState.CLOSED: {
        Input.FAILING: _OPENS,
        Input.UNREACHABLE: _OPENS,
        Input.RIPE: IMPOSSIBLE,
        Input.FAILED: IMPOSSIBLE,
        Input.PROVED: IMPOSSIBLE,
    },
    CircuitState.HALF_OPEN: {
        Input.FAILING: IMPOSSIBLE,
        Input.UNREACHABLE: _OPENS,
        Input.RIPE: IMPOSSIBLE,
        Input.FAILED: _OPENS,
        Input.PROVED: To(CircuitState.CLOSED),
    },
    CircuitState.OPEN: {
        Input.FAILING: _OPEN_ALREADY,
        Input.UNREACHABLE: _OPEN_ALREADY,
        Input.RIPE: To(CircuitState.HALF_OPEN),
        Input.FAILED: IMPOSSIBLE,
        Input.PROVED: IMPOSSIBLE,
    },
}


class CircuitRules(msgspec.Struct, frozen=True):
    """A bank's settings, in plain values."""

    failed_share_max: int = 60
    """Per cent of requests; 0: not judged."""
    failures_min: int = 20
    """Fewer in the window say nothing of the bank."""
    window_ms: int = 10_000
    """The older half is forgotten at every half of it."""
    unreachable_ms: int = 3_000
    """0: not judged."""
    pause_min_ms: int = 2_000
    pause_max_ms: int = 60_000
    probes: int = 8
    """Half-open: requests at a time, and good answers that close it."""


class Totals(msgspec.Struct, frozen=True):
    """What a bank has done since the start; they only grow."""

    answered: int = 0
    """Usable answers in time."""
    failed: int = 0
    """Requests that may have reached it and got none."""


class Circuit:
    """One bank. `tick` it every 50 to 1000 ms."""

    __slots__ = (
        "_began",
        "_down_ns",
        "_half_ns",
        "_level",
        "_losses",
        "_marks",
        "_open_until_ns",
        "_pause_ns",
        "_seen_up",
        "_shut_ns",
        "_up",
        "_up_ns",
        "counts",
        "rules",
        "since_ns",
        "state",
        "why",
    )

    def __init__(self, rules: CircuitRules, now_ns: int) -> None:
        self.rules = rules
        """May be changed while it stands."""
        self.state = CircuitState.CLOSED
        self.since_ns = now_ns
        """When it came into this state."""
        self.why = ""
        """Of the last opening: the input's name, small letters."""
        self.counts = [0] * len(CircuitState)
        """How often it came into each state."""
        self._up = self._seen_up = False
        self._up_ns = self._down_ns = now_ns
        self._losses: deque[int] = deque(maxlen=LOSSES_MAX)
        self._marks = [Totals(), Totals()]
        """Totals at the last two halves of the window."""
        self._half_ns = now_ns
        self._level = 0
        self._pause_ns = 0
        self._open_until_ns = 0
        self._shut_ns = 0
        """When it last closed; 0: it never was open."""
        self._began = 0
        """Usable answers when it became half-open."""

    @property
    def closed(self) -> bool:
        """The bank is asked without a limit of ours."""
        return self.state is CircuitState.CLOSED

    def rest(self, now_ns: int) -> None:
        """An operator holds the bank, or it has just become a member: that it has no connection
        says nothing of it until one stood."""
        self._up = self._seen_up = False
        self._up_ns = self._down_ns = now_ns
        self._losses.clear()

    def tick(
        self, now_ns: int, totals: Totals, probes_failed: int, jitter: float, *, up: bool
    ) -> bool:
        """Looks at totals and times; True when the state has changed.

        Args:
            totals: of all requests.
            probes_failed: failures of requests that were sent since it became half-open.
            jitter: in [0, 1).
            up: a fit connection of the bank stands.
        """
        if up is not self._up:
            self._turned(now_ns, up=up)
        if now_ns - self._half_ns >= self.rules.window_ms * _MS // 2:
            self._half_ns = now_ns
            self._marks = [self._marks[1], totals]
        what = self._found(now_ns, totals, probes_failed)
        return what is not None and self._step(what, now_ns, totals, jitter)

    def _turned(self, now_ns: int, *, up: bool) -> None:
        self._up = up
        if up:
            self._seen_up = True
            self._up_ns = now_ns
        else:
            self._down_ns = now_ns
            self._losses.append(now_ns)

    def _found(self, now_ns: int, totals: Totals, probes_failed: int) -> Input | None:
        if self.state is CircuitState.OPEN:
            stood = self._up and now_ns - self._up_ns >= self._pause_ns
            return Input.RIPE if stood and now_ns >= self._open_until_ns else None
        if self._unreachable(now_ns):
            return Input.UNREACHABLE
        if self.state is CircuitState.HALF_OPEN:
            if probes_failed:
                return Input.FAILED
            good = totals.answered - self._began
            return Input.PROVED if good >= self.rules.probes else None
        return Input.FAILING if self._failing(totals) else None

    def _unreachable(self, now_ns: int) -> bool:
        limit_ms = self.rules.unreachable_ms
        if not limit_ms or self._up or not self._seen_up:
            return False
        if now_ns - self._down_ns >= limit_ms * _MS:
            return True
        losses = self._losses
        return len(losses) == LOSSES_MAX and now_ns - losses[0] <= LOSSES_NS

    def _failing(self, totals: Totals) -> bool:
        rules, mark = self.rules, self._marks[0]
        failed, answered = totals.failed - mark.failed, totals.answered - mark.answered
        if not rules.failed_share_max or failed < rules.failures_min:
            return False
        return failed * 100 >= rules.failed_share_max * (failed + answered)

    def _step(self, what: Input, now_ns: int, totals: Totals, jitter: float) -> bool:
        before = self.state
        cell = TABLE[before][what]
        if not isinstance(cell, To) or cell.state is before:
            return False
        self.state = cell.state
        self.since_ns = now_ns
        self.counts[cell.state] += 1
        if cell.state is CircuitState.OPEN:
            self.why = what.name.lower()
            self._open(now_ns, jitter, again=before is CircuitState.HALF_OPEN)
        elif cell.state is CircuitState.HALF_OPEN:
            self._began = totals.answered
        else:
            self._shut_ns = now_ns
            self._marks = [totals, totals]
        return True

    def _open(self, now_ns: int, jitter: float, *, again: bool) -> None:
        """How long at least depends on how soon it opened again."""
        rules = self.rules
        soon = self._shut_ns and now_ns - self._shut_ns < 2 * rules.pause_max_ms * _MS
        self._level = min(self._level + 1, LEVEL_MAX) if again or soon else 0
        pause_ms = min(rules.pause_min_ms << self._level, rules.pause_max_ms)
        self._pause_ns = int(pause_ms * _MS * (0.75 + jitter / 2))
        self._open_until_ns = now_ns + self._pause_ns
