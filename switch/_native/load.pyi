"""Native load generator and bank for bench/, outside the walk and free of the interpreter's lock. See native/src/load."""

from typing import NotRequired, Self, TypedDict, final, type_check_only

from switch._native.emv import Ring
from switch._native.journal import Journal

__all__ = [
    "Bank",
    "Generator",
    "Histogram",
    "Progress",
    "Recorder",
    "Recording",
    "Schedule",
    "Series",
    "Taps",
    "answers",
    "card",
    "read_log",
    "request",
    "usage",
    "write_log",
]

@type_check_only
class Quantiles(TypedDict):
    """Nanoseconds; all 0 when nothing was recorded."""

    count: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

@type_check_only
class Outcome(TypedDict):
    """What came of a window. `offered` is the sum of the six behind it: every request ends in one of them."""

    offered: int
    answered: int
    """With the expected code and all echoes right."""
    other_code: int
    wrong: int
    """An answer under its STAN whose other echoes are another's."""
    missing: int
    closed: int
    """In flight on a connection that was lost."""
    not_sent: int
    stray: int
    """Answers to nothing in flight."""
    late: int
    """Answers to what was missing by then."""
    delayed: int
    """Messages (joined: sends) that waited because the peer did not read."""
    counted: int
    """Answers inside the measured stretch."""
    elapsed_ns: int
    cpu_ns: int
    """User and system time of the process under test inside the stretch, all threads."""
    switches: int
    """Its voluntary context switches."""
    own_cpu_ns: int
    """CPU time of the generator's thread, over `own_ns`."""
    own_ns: int
    first_serial: int
    date_s: int
    clean: bool
    """Every request got its right answer and nothing else came."""
    latency: Quantiles
    """Closed loop: from sending. Schedule: from *due* time."""
    lag: Quantiles
    """Schedule only: actual minus planned sending."""
    lag_histogram: Histogram
    recording: NotRequired[Recording]
    """When it was asked for."""

@final
class Histogram:
    """Log-linear, three digits, 1 ns to 18 minutes."""

    def __new__(cls) -> Self: ...
    def record(self, value_ns: int) -> None: ...
    def merge(self, other: Histogram) -> None: ...
    def quantile(self, q: float) -> int:
        """Rounded up within its bucket; 0 when empty."""
    @property
    def maximum(self) -> int: ...
    def mean(self) -> float:
        """0 when empty."""
    def __len__(self) -> int: ...

@final
class Series:
    """Durations by the slice of time to which they belong, and a histogram of all."""

    def __new__(cls, slice_ms: int) -> Self: ...
    def record(self, at_ns: int, value_ns: int) -> None:
        """`at_ns`: after the start of the run."""
    def merge(self, other: Series, shift_ns: int = 0) -> None:
        """Takes in what another one has, so much later. Raises switch.errors.UsageError when their slices differ."""
    def total(self, first: int = 0, last: int | None = None) -> Histogram:
        """Of all, or of the slices from `first` up to `last`, that one not included."""
    @property
    def slice_ms(self) -> int: ...
    def buckets(self, number: int) -> list[tuple[int, int]]:
        """Of one slice, rising: largest value of a bucket in nanoseconds, and how many are in it."""
    def __len__(self) -> int:
        """Slices."""

@final
class Recording:
    """What a window with a schedule has remembered; times count from the start of its counted stretch."""

    @property
    def due(self) -> Series:
        """From the time a request was due, in the slice in which it was due."""
    @property
    def sent(self) -> Series:
        """The same from the time it was sent."""
    @property
    def expected(self) -> Series:
        """As `due`, of requests answered with the expected code."""
    @property
    def otherwise(self) -> Series:
        """As `due`, of requests answered with another code."""
    def timeline(self) -> list[tuple[int, int, int, int, int]]:
        """For each slice: offered, answered as expected, answered otherwise, errors, not sent."""
    def counts(self) -> dict[str, int]:
        """Of the requests due in the stretch: offered, answered, declined (among the answered), timeouts,
        closed, wrong, not_sent, late (among the time-outs)."""
    def told(self) -> list[tuple[str, str]]:
        """By serial number, warm-up included: answered, given_up, closed, wrong, not_sent or open, and the code
        of its answer or ''."""
    def unknown(self) -> list[int]:
        """Serial numbers that their terminal must reverse."""

@final
class Progress:
    """How far a window is, seen and ended from another thread."""

    def __new__(cls) -> Self: ...
    def seen(self) -> tuple[int, int, int]:
        """Offered, answered, errors."""
    def stop(self) -> None:
        """The window ends as soon as what is in flight has ended."""

@final
class Schedule:
    """Due times made beforehand; a seed names a schedule."""

    @staticmethod
    def poisson(rate: float, seconds: float, seed: int) -> Schedule: ...
    @staticmethod
    def phases(phases: list[tuple[float, float]], seed: int) -> Schedule:
        """As `poisson`, at one rate after the other: (rate, seconds) each."""
    @staticmethod
    def constant(rate: float, seconds: float) -> Schedule: ...
    def due_ns(self) -> list[int]: ...
    def __len__(self) -> int: ...

@final
class Bank:
    """Answers at once on a thread of its own: network management and reversals 00, requests as told."""

    def __new__(
        cls,
        address: str = "127.0.0.1:0",
        answer: str | None = "00",
        *,
        books: bool = False,
        joined: bool = False,
    ) -> Self:
        """`books`: it remembers what it holds. `joined`: what it has read at once it answers with one `send`. Raises switch.errors.UnreachableError when the address cannot be had."""
    @property
    def address(self) -> str: ...
    def set_answer(self, answer: str | None) -> None:
        """The response code of all requests from now on; None: silence."""
    def seen(self) -> dict[str, int]:
        """requests, reversals, network, malformed, connections (open now)."""
    def bookings(self) -> list[tuple[str, str, str, str, str, str, int, str, int]]:
        """Lines of its books since the last call: what (request, copy, released, nothing, again, tombstone), STAN
        and transmission time (a reversal's: its original's), reference number, terminal, acquirer, amount, code
        ('' for silence), money held or set free."""
    def close(self) -> None: ...

@final
class Taps:
    """Devices in software: `tokens` of them (those that `card` makes of numbers from 0) take turns, each
    with its own counter. UnionPay version 01, key index 1, sequence number 1, amount 2.00 in currency 156."""

    def __new__(cls, ring: Ring, tokens: int) -> Self:
        """Takes the ring's keys: it must have one of UnionPay's under index 1 for the tokens' prefix."""

@final
class Generator:
    """Open connections to one system; each message goes out by a `send` of its own, unless they are joined."""

    def __new__(
        cls,
        address: str,
        connections: int,
        *,
        issuer: str = "629900",
        acquirer_code: str = "10000001",
        pid: int = 0,
        taps: Taps | None = None,
    ) -> Self:
        """`issuer`: first six digits of all cards or tokens. `pid`: the process whose CPU is counted, 0 for
        none. With `taps` each request has a cryptogram of its own, made before its window begins. Raises switch.errors.UnreachableError."""
    def sign_on(self, patience_ms: int = 5000) -> None:
        """0800 001 on every connection, and their answers awaited."""
    def closed(
        self,
        depth: int,
        *,
        warm_ms: int,
        measure_ms: int,
        drain_ms: int = 2000,
        expect: str = "00",
        again: tuple[int, int, int] | None = None,
    ) -> Outcome:
        """`depth` requests in flight per connection. `again`: (first_serial, date_s, offered) of an earlier
        window whose requests are sent once more, byte for byte; the window ends when all were sent."""
    def open(
        self,
        schedule: Schedule,
        *,
        warm_ms: int,
        drain_ms: int = 2000,
        expect: str = "00",
        again: tuple[int, int, int] | None = None,
        timeout_ms: int | None = None,
        record_ms: int | None = None,
        joined: bool = False,
        progress: Progress | None = None,
    ) -> Outcome:
        """Each request when it is due, whatever the answers do. `timeout_ms`: without an answer so long after its
        sending a request is missing, and is recorded as of then. `record_ms`: length of a recording's slices.
        `joined`: what is due at once leaves with one `send` for each 16, and is sent when that has returned."""
    def open_both(
        self,
        other: Generator,
        schedules: tuple[Schedule, Schedule],
        *,
        warm_ms: int,
        timeout_ms: int,
        record_ms: int,
        joined: bool = False,
        progress: Progress | None = None,
    ) -> tuple[Outcome, Outcome]:
        """As `open`, for this generator and another one side by side on one thread, from the same moment on."""
    def reverse(
        self, serials: list[int], date_s: int, patience_ms: int = 10_000
    ) -> list[tuple[int, str]]:
        """Reverses requests of a window until the switch acknowledges. Returns those that it did, with the code."""
    def reconnect(self, patience_ms: int = 5000) -> None:
        """Connects and signs on anew what was lost."""
    def close(self) -> None: ...

@final
class Recorder:
    """The two durable records of the floor, as long as the switch's own; they say nothing true."""

    def __new__(cls, journal: Journal) -> Self: ...
    def accepted(self) -> int:
        """What is recorded before a request leaves for a bank. Returns its LSN.
        Raises switch.errors.JournalError."""
    def answered(self) -> int:
        """What is recorded before an answer leaves for an acquirer."""
    def commit(self) -> int:
        """As the switch does at the end of a tick. The LSN that is durable now when the group was
        written at once, else 0, and the descriptor tells later."""
    def acknowledge(self) -> int: ...
    @property
    def fileno(self) -> int: ...

def card(issuer: str, number: int) -> str:
    """The card or token of a number from 0: six digits of the issuer, nine of its own, a check digit."""

def request(
    serial: int,
    count: int = 1,
    *,
    issuer: str = "629900",
    acquirer_code: str = "10000001",
    date_s: int | None = None,
) -> tuple[bytes, int]:
    """`count` framed requests from a serial number on, joined, and the offset of field 11 in each."""

def answers(requests: bytes, code: str = "00") -> bytes:
    """What the bank answers to framed requests, joined."""

def write_log(series: dict[str, Series], start_s: float, comment: str = "") -> bytes:
    """An HdrHistogram interval log (V2, compressed) in nanoseconds. Keys are its tags: no space, comma, line end."""

def read_log(log: bytes) -> dict[str, Series]:
    """Reads back what `write_log` wrote. Raises switch.errors.UsageError."""

def usage(pid: int) -> tuple[int, int]:
    """CPU nanoseconds and voluntary context switches of a process so far, over its living threads."""
