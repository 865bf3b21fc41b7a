"""Whether one connection to a bank is fit for new requests, sans-IO: counters, times and echoes in,
a few acts out.

TCP finds a half-open line after half a minute at best, and a bank whose host hangs behind a living
network never. Three signs are judged together:

- **silence**: something was sent and nothing at all was heard for `suspect_ms`: an echo with a
  short limit decides. Any byte of the peer acquits it, so that a slow bank is never cut off;
- **a stalled write**: bytes wait, and the peer's system has acknowledged none of them for as long;
- **the share of requests answered in time** on a line that echoes well: below `answered_share_min`
  over a window with enough requests.

A connection that is out gets echoes only. It comes back after `good_echoes` of them in a row, not
before a pause that doubles each time it fails again soon, and then on trial: few requests at a time
until some were answered. One that answers no echo at all is closed, and the dialler makes another,
which begins out as well: no storm of sign-ons, whatever flaps.

What the table does not say: requests in flight are none of its matter. They end by their answer,
on any connection, or by their deadline.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

import msgspec

from switch.link.states import IMPOSSIBLE, Ignored, Impossible
from switch.model.tally import Tally

__all__ = [
    "TABLE",
    "TRIAL_REQUESTS",
    "Act",
    "Health",
    "HealthRules",
    "HealthState",
    "Input",
    "Memory",
    "To",
]

_MS: Final = 1_000_000
WINDOW_NS: Final = 30_000 * _MS
"""The share is judged over this time; the older half is forgotten at every half of it."""
EXPIRED_MIN: Final = 10
"""Fewer requests that expired in the window say nothing of the line."""
TRIAL_EXPIRED: Final = 3
"""On trial, so many that expired while none was answered are enough."""
TRIAL_REQUESTS: Final = 16
"""Answered requests that end a trial, and how many may be in flight meanwhile on each line."""
MISSES_MAX: Final = 3
"""Echoes in a row without an answer, and nothing else heard: another connection may do better."""
ECHO_EVERY_NS: Final = 500 * _MS
"""Between good echoes of a line that is out."""
AGAIN_NS: Final = 1_000 * _MS
"""After an echo that was missed."""
SUSPICIONS_MAX: Final = 4
"""A line that echoes but answers nothing yet is suspected ever more rarely, 16 times at most."""
SAME_NS: Final = 1_000 * _MS
"""Lines that fail within this time fail for one reason."""
LEVEL_MAX: Final = 16


@unique
class HealthState(IntEnum):
    """What is thought of a connection."""

    GOOD = 0
    SUSPECT = 1
    """Silent with something unanswered; the probe decides."""
    OUT = 2
    """No new requests."""
    TRIAL = 3
    """Few new requests."""


@unique
class Input(IntEnum):
    """What is found."""

    QUIET = 0
    STALLED = 1
    UNANSWERED = 2
    """The share of requests answered in time is too small."""
    HEARD = 3
    ECHOED = 4
    MISSED = 5
    PROBE_DUE = 6
    RIPE = 7
    """Enough good echoes, and the pause is over."""
    PROVED = 8
    """On trial, it answered."""
    DEAD = 9


@unique
class Act(IntEnum):
    """What the shell does."""

    PROBE = 0
    TAKE_OUT = 1
    PUT_BACK = 2
    CLOSE = 3


class To(msgspec.Struct, frozen=True):
    """A transition and what it does, in order."""

    state: HealthState
    acts: tuple[Act, ...] = ()


_OUT_ALREADY: Final = Ignored("out already")
_SIGN_OF_LIFE: Final = Ignored("nothing is held against it")
_TAKEN_OUT: Final = To(HealthState.OUT, (Act.TAKE_OUT,))

TABLE: Final[Mapping[HealthState, Mapping[Input, To | Ignored | Impossible]]] = {
    HealthState.GOOD: {
        Input.QUIET: To(HealthState.SUSPECT, (Act.PROBE,)),
        Input.STALLED: _TAKEN_OUT,
        Input.UNANSWERED: _TAKEN_OUT,
        Input.HEARD: _SIGN_OF_LIFE,
        Input.ECHOED: _SIGN_OF_LIFE,
        # The echo of an idle line.
        Input.MISSED: _TAKEN_OUT,
        Input.PROBE_DUE: IMPOSSIBLE,
        Input.RIPE: IMPOSSIBLE,
        Input.PROVED: IMPOSSIBLE,
        Input.DEAD: IMPOSSIBLE,
    },
    HealthState.SUSPECT: {
        Input.QUIET: Ignored("the probe decides"),
        Input.STALLED: _TAKEN_OUT,
        Input.UNANSWERED: _TAKEN_OUT,
        Input.HEARD: To(HealthState.GOOD),
        Input.ECHOED: To(HealthState.GOOD),
        Input.MISSED: _TAKEN_OUT,
        Input.PROBE_DUE: IMPOSSIBLE,
        Input.RIPE: IMPOSSIBLE,
        Input.PROVED: IMPOSSIBLE,
        Input.DEAD: IMPOSSIBLE,
    },
    HealthState.OUT: {
        Input.QUIET: _OUT_ALREADY,
        Input.STALLED: _OUT_ALREADY,
        Input.UNANSWERED: _OUT_ALREADY,
        Input.HEARD: Ignored("only echoes bring it back"),
        Input.ECHOED: To(HealthState.OUT),
        Input.MISSED: To(HealthState.OUT),
        Input.PROBE_DUE: To(HealthState.OUT, (Act.PROBE,)),
        Input.RIPE: To(HealthState.TRIAL, (Act.PUT_BACK,)),
        Input.PROVED: IMPOSSIBLE,
        Input.DEAD: To(HealthState.OUT, (Act.CLOSE,)),
    },
    HealthState.TRIAL: {
        # Slow it may be, also on trial: it stays, and the probe decides.
        Input.QUIET: To(HealthState.TRIAL, (Act.PROBE,)),
        Input.STALLED: _TAKEN_OUT,
        Input.UNANSWERED: _TAKEN_OUT,
        Input.HEARD: _SIGN_OF_LIFE,
        Input.ECHOED: _SIGN_OF_LIFE,
        Input.MISSED: _TAKEN_OUT,
        Input.PROBE_DUE: IMPOSSIBLE,
        Input.RIPE: IMPOSSIBLE,
        Input.PROVED: To(HealthState.GOOD),
        Input.DEAD: IMPOSSIBLE,
    },
}


class HealthRules(msgspec.Struct, frozen=True):
    """A bank's settings, in plain values."""

    suspect_ms: int = 2_000
    """0: nothing is judged."""
    probe_ms: int = 3_000
    answered_share_min: int = 50
    """Per cent; 0: the share is not judged."""
    good_echoes: int = 3
    pause_min_ms: int = 1_000
    pause_max_ms: int = 60_000
    echo: bool = True
    """The bank answers echoes. Without, silence proves nothing and only time brings a line back."""


class Memory(msgspec.Struct):
    """What outlives a connection: one for each bank."""

    level: int = 0
    """How often it failed again soon: the pause doubles with it."""
    out_ns: int = 0
    """When one of its lines was last taken out."""
    back_ns: int = 0
    """When one was last put back."""
    closed_ns: int = 0
    """When one was last closed for being dead."""


class Health:
    """One connection. `tick` every 50 to 1000 ms while it is signed on."""

    __slots__ = (
        "_answered",
        "_asked_ns",
        "_back_at_ns",
        "_good",
        "_half_ns",
        "_heard_ns",
        "_marks",
        "_memory",
        "_misses",
        "_probe_ns",
        "_sent",
        "_since_ns",
        "_suspicions",
        "_tally",
        "_trial",
        "rules",
        "state",
        "why",
    )

    def __init__(
        self, rules: HealthRules, tally: Tally, memory: Memory, now_ns: int, jitter: float
    ) -> None:
        """`jitter` in [0, 1). A connection in the place of one that was dead begins out."""
        self.rules = rules
        """May be changed while it stands."""
        self._tally = tally
        self._memory = memory
        self.state = HealthState.GOOD
        self.why = ""
        """Of the last time it was taken out: the input's name, small letters."""
        self._heard_ns = now_ns
        self._sent = 0
        self._answered = 0
        self._asked_ns = 0
        """Since when something is unanswered on a silent line; 0: nothing is."""
        self._suspicions = 0
        self._probe_ns = 0
        """When the last probe went out, or the next may; its answer resets it."""
        self._misses = 0
        self._good = 0
        self._back_at_ns = 0
        self._since_ns = now_ns
        self._marks = [(0, 0), (0, 0)]
        """(answered, expired) at the last two halves of the window."""
        self._half_ns = now_ns
        self._trial = (0, 0)
        """(answered, expired) when the trial began."""
        closed_ns = memory.closed_ns
        if closed_ns and now_ns - closed_ns < rules.pause_max_ms * _MS:
            self.state = HealthState.OUT
            self.why = "probation"
            self._leave(now_ns, jitter)

    @property
    def fit(self) -> bool:
        """New requests may go to it."""
        return self.state is not HealthState.OUT

    # ------------------------------------------------------------------------------- what is found

    def tick(
        self, now_ns: int, heard_ns: int, stalled_ns: int, jitter: float, *, deaf: bool = False
    ) -> tuple[Act, ...]:
        """Looks at counters and times.

        Args:
            heard_ns: when the peer's last bytes came.
            stalled_ns: for how long bytes have waited of which none was acknowledged.
            deaf: we do not read from it at present, so that it cannot be heard.
        """
        rules = self.rules
        if not rules.suspect_ms:
            return ()
        acts: tuple[Act, ...] = ()
        if heard_ns > self._heard_ns:
            acts = self._heard(now_ns, heard_ns, jitter)
        elif not self._asked_ns and self._tally.sent - self._tally.dropped > self._sent:
            self._asked_ns = now_ns
        if stalled_ns >= rules.suspect_ms * _MS:
            acts += self._step(Input.STALLED, now_ns, jitter)
        elif not deaf and self._silent(now_ns):
            acts += self._step(Input.QUIET, now_ns, jitter)
        if self._unanswered(now_ns):
            acts += self._step(Input.UNANSWERED, now_ns, jitter)
        if self.state is HealthState.OUT:
            return acts + self._outside(now_ns, jitter, deaf=deaf)
        if self.state is HealthState.TRIAL and self._proved(now_ns):
            acts += self._step(Input.PROVED, now_ns, jitter)
        return acts

    def echoed(self, now_ns: int, jitter: float) -> tuple[Act, ...]:
        """It answered an echo."""
        self._misses = 0
        self._good += 1
        self._probe_ns = now_ns + ECHO_EVERY_NS
        return self._step(Input.ECHOED, now_ns, jitter)

    def missed(self, now_ns: int, jitter: float) -> tuple[Act, ...]:
        """It did not answer an echo in time."""
        self._misses += 1
        self._good = 0
        self._probe_ns = now_ns + AGAIN_NS
        return self._step(Input.MISSED, now_ns, jitter)

    # ---------------------------------------------------------------------------------- judgements

    def _heard(self, now_ns: int, heard_ns: int, jitter: float) -> tuple[Act, ...]:
        tally = self._tally
        self._heard_ns = heard_ns
        self._sent = tally.sent - tally.dropped
        # What it has not answered yet may have been sent after these bytes of its.
        waiting = self._sent > tally.answered + tally.expired
        self._asked_ns = heard_ns if waiting else 0
        if tally.answered > self._answered:
            self._answered = tally.answered
            self._suspicions = 0
        return self._step(Input.HEARD, now_ns, jitter)

    def _silent(self, now_ns: int) -> bool:
        """Asked, and silent for longer than this line has lately been forgiven."""
        if not self._asked_ns or not self.rules.echo:
            return False
        patience_ns = (self.rules.suspect_ms * _MS) << min(self._suspicions, SUSPICIONS_MAX)
        if now_ns - self._asked_ns < patience_ns:
            return False
        if self.state is HealthState.GOOD or self.state is HealthState.TRIAL:
            self._suspicions += 1
            self._asked_ns = now_ns
        return True

    def _unanswered(self, now_ns: int) -> bool:
        share_min = self.rules.answered_share_min
        now = (self._tally.answered, self._tally.expired)
        if now_ns - self._half_ns >= WINDOW_NS // 2:
            self._half_ns = now_ns
            self._marks = [self._marks[1], now]
        if not share_min or self.state is HealthState.OUT:
            return False
        if self.state is HealthState.TRIAL:
            answered, expired = now[0] - self._trial[0], now[1] - self._trial[1]
            return not answered and expired >= TRIAL_EXPIRED
        answered, expired = now[0] - self._marks[0][0], now[1] - self._marks[0][1]
        return expired >= EXPIRED_MIN and answered * 100 < share_min * (answered + expired)

    def _outside(self, now_ns: int, jitter: float, *, deaf: bool) -> tuple[Act, ...]:
        rules = self.rules
        ripe = self._good >= rules.good_echoes or not rules.echo
        if ripe and now_ns >= self._back_at_ns:
            return self._step(Input.RIPE, now_ns, jitter)
        if deaf or not rules.echo or now_ns < self._probe_ns:
            return ()
        if self._misses >= MISSES_MAX and self._heard_ns <= self._since_ns:
            self._misses, self._probe_ns = 0, now_ns + rules.probe_ms * _MS
            return self._step(Input.DEAD, now_ns, jitter)
        # Should neither answer nor miss be told (the session changed), another one follows.
        self._probe_ns = now_ns + rules.probe_ms * _MS + AGAIN_NS
        return self._step(Input.PROBE_DUE, now_ns, jitter)

    def _proved(self, now_ns: int) -> bool:
        if self._tally.answered - self._trial[0] >= TRIAL_REQUESTS:
            return True
        calm = self._tally.expired == self._trial[1]
        return calm and now_ns - self._since_ns >= self.rules.pause_max_ms * _MS

    # --------------------------------------------------------------------------------- transitions

    def _step(self, what: Input, now_ns: int, jitter: float) -> tuple[Act, ...]:
        before = self.state
        cell = TABLE[before][what]
        if not isinstance(cell, To):
            return ()
        self.state = cell.state
        if cell.state is not before:
            self._since_ns = now_ns
            if cell.state is HealthState.OUT:
                self.why = what.name.lower()
                self._leave(now_ns, jitter)
            elif cell.state is HealthState.TRIAL:
                self._trial = (self._tally.answered, self._tally.expired)
                self._memory.back_ns = now_ns
            elif before is HealthState.TRIAL:
                self._marks = [(self._tally.answered, self._tally.expired)] * 2
        if what is Input.DEAD:
            self._memory.closed_ns = now_ns
        return cell.acts

    def _leave(self, now_ns: int, jitter: float) -> None:
        """Out: for how long at least depends on how soon it failed again."""
        rules, memory = self.rules, self._memory
        if now_ns - memory.out_ns > SAME_NS:
            soon = memory.out_ns and now_ns - memory.back_ns < 2 * rules.pause_max_ms * _MS
            again = soon or self.why == "probation"
            memory.level = min(memory.level + 1, LEVEL_MAX) if again else 0
        memory.out_ns = now_ns
        pause_ms = min(rules.pause_min_ms << memory.level, rules.pause_max_ms)
        self._back_at_ns = now_ns + int(pause_ms * _MS * (0.75 + jitter / 2))
        self._since_ns = now_ns
        self._good = 0
        self._probe_ns = now_ns + ECHO_EVERY_NS
