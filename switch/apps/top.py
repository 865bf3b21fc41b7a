"""What a node does now, member by member, read from its meter file.

The file is mapped memory that the worker counts into: reading it asks nothing of the worker, works
beside a busy one, and says when it is dead. A worker that starts again begins a new file.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from switch.native import meter
from switch.observe.catalogue import PREFIX
from switch.observe.percentiles import Percentiles
from switch.observe.place import GATEWAY, meter_files
from switch.runtime.clock import BusinessDay, monotonic_ns, wall_ms, wall_s
from switch.settings.schema import Issuer, Settings

__all__ = ["SILENT_S", "SORTS", "Board", "Row", "Sampler", "ordered"]

SILENT_S: Final = 5
"""A worker sets its heartbeat once a second; one that has not for this long is dead or stands
still."""

State = Literal["signed on", "connected", "down", "held"]


class Row(msgspec.Struct, kw_only=True):
    """One member. Rates and percentiles are of the last interval; None is not known."""

    member: str
    role: Literal["acquirer", "issuer"]
    state: State
    """held: an operator has it drained or signed off."""
    connections: int
    rate: float
    """Final outcomes of an acquirer's requests, or ends of a bank's, per second."""
    in_flight: int | None = None
    in_flight_max: int | None = None
    p50_us: int | None = None
    """A bank's own time."""
    p99_us: int | None = None
    approved: float | None = None
    """Share of approvals: of answers without technical ones (bank), of outcomes without failures of
    the system (acquirer)."""
    timeouts_per_min: float | None = None
    waiting: int | None = None
    """Reversals that the bank has not acknowledged."""
    circuit: Literal["closed", "half open", "open"] | None = None
    """Of a bank; open: it is not asked."""
    stand_in: Literal["off", "ready", "stands in", "suspended"] | None = None
    """Of a bank. off: no rule; stands in: it approved in the bank's name within the interval;
    suspended: by an operator."""
    last_s: float | None = None
    """Since the last message read from it, as far as this process has watched."""


class Board(msgspec.Struct, kw_only=True):
    """The whole screen."""

    node: int
    at_ms: int
    worker: Literal["running", "silent", "dead", "not running"]
    """silent: no heartbeat for `SILENT_S`; dead: its process has gone without a word, which the
    kernel knows by its lock on the meter file, not a file that a worker told to end takes back."""
    silent_s: int
    """Since its last heartbeat; 0 while it has one."""
    up_s: int
    rate: float
    success: float | None
    """Outcomes that were no failure of the system, of all."""
    ours_us: tuple[int, int]
    """p50 and p99 of what the switch adds, last interval."""
    in_flight: int
    waiting: int
    parked: int
    business_date: str
    config: str
    """Hash of the configuration on disk; the worker's own is in its records."""
    interval_s: float
    members: list[Row]


SORTS: Final[Mapping[str, Callable[[Row], tuple[float, str]]]] = {
    "member": lambda row: (0.0, row.member),
    "rate": lambda row: (-row.rate, row.member),
    "p99": lambda row: (-(row.p99_us or 0), row.member),
    "approved": lambda row: (2.0 if row.approved is None else row.approved, row.member),
    "timeouts": lambda row: (-(row.timeouts_per_min or 0), row.member),
    "waiting": lambda row: (-(row.waiting or 0), row.member),
    "flight": lambda row: (-(row.in_flight or 0), row.member),
}
"""Word to order: the ones to look at first come first."""


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """Acquirers before banks, each by `sort` (a key of `SORTS`)."""
    return sorted(rows, key=lambda row: (row.role, *SORTS[sort](row)))


class Sampler:
    """Takes one look after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data = Path(settings.node.data_dir)
        self._day = BusinessDay(settings.node.business_zone, settings.node.cutover)
        self._ours = Percentiles(f"{PREFIX}internal_duration_seconds")
        self._banks = {
            bank.id: Percentiles(f'{PREFIX}upstream_duration_seconds{{issuer="{bank.id}"}}')
            for bank in settings.issuers
        }
        self._counters: dict[str, int] = {}
        self._file: Path | None = None
        self._looked_ns = 0
        self._heard_ns: dict[str, int] = {}

    def look(self) -> Board:
        """How it is now, compared with the look before (with the worker's start at the first)."""
        reader, found = self._open()
        now_ns = monotonic_ns()
        counters = reader.counters() if reader else {}
        gauges = reader.gauges() if reader else {}
        started = gauges.get(f"{PREFIX}worker_start_timestamp_seconds", 0)
        beat = gauges.get(f"{PREFIX}worker_heartbeat_timestamp_seconds", 0) or started
        again = found == self._file and all(
            counters.get(name, 0) >= count for name, count in self._counters.items()
        )
        before = self._counters if again else {}
        elapsed_s = (now_ns - self._looked_ns) / 1e9 if again else max(1.0, beat - started)
        silent_s = max(0, wall_s() - beat) if reader else 0
        silent = silent_s > SILENT_S
        dead = reader is not None and not reader.owned()
        if reader is not None:
            self._ours.read(reader)
            for bank in self._banks.values():
                bank.read(reader)
        grown = _Grown(counters, before, elapsed_s)
        ours = self._ours.since_last(0.5, 0.99)
        rows = [
            *(self._acquirer(a.id, gauges, grown, now_ns) for a in self._settings.acquirers),
            *(self._bank(bank, gauges, grown, now_ns) for bank in self._settings.issuers),
        ]
        outcomes = grown.by("transactions_total", "outcome")
        all_of = sum(outcomes.values())
        board = Board(
            node=self._settings.node.id,
            at_ms=wall_ms(),
            worker=_worker(running=reader is not None, silent=silent, dead=dead),
            silent_s=silent_s if silent else 0,
            up_s=max(0, beat - started),
            rate=0.0 if silent or dead else all_of / elapsed_s,
            success=1 - outcomes.get("system_error", 0) / all_of if all_of else None,
            ours_us=(ours[0], ours[1]),
            in_flight=sum(row.in_flight or 0 for row in rows),
            waiting=sum(row.waiting or 0 for row in rows),
            parked=gauges.get(f"{PREFIX}reversals_parked", 0),
            business_date=self._day.at(wall_ms()),
            config=self._settings.digest,
            interval_s=elapsed_s,
            members=rows,
        )
        self._counters, self._file, self._looked_ns = counters, found, now_ns
        return board

    def _open(self) -> tuple[meter.MeterReader | None, Path | None]:
        """The meter of the worker; None when there is none. One lane per node.

        One that nobody counts into is opened twice: it may have been replaced in between.
        """
        found: tuple[meter.MeterReader | None, Path | None] = None, None
        for _ in range(2):
            for file in meter_files(self._data):
                if file.stem == GATEWAY:
                    continue
                try:
                    found = meter.MeterReader.open(str(file)), file
                except OSError:
                    continue
                break
            if found[0] is None or found[0].owned():
                break
        return found

    def _acquirer(self, name: str, gauges: Mapping[str, int], grown: "_Grown", now_ns: int) -> Row:
        outcomes = {
            outcome: grown.of(
                f'acquirer_transactions_total{{acquirer="{name}",outcome="{outcome}"}}'
            )
            for outcome in ("approved", "declined", "system_error")
        }
        decided = outcomes["approved"] + outcomes["declined"]
        return Row(
            member=name,
            role="acquirer",
            state=_state(gauges, name),
            connections=gauges.get(f'{PREFIX}link_connections{{member="{name}"}}', 0),
            rate=sum(outcomes.values()) / grown.elapsed_s,
            approved=outcomes["approved"] / decided if decided else None,
            last_s=self._last(name, grown, now_ns),
        )

    def _bank(self, bank: Issuer, gauges: Mapping[str, int], grown: "_Grown", now_ns: int) -> Row:
        name = bank.id
        results = {
            result: grown.of(f'upstream_requests_total{{issuer="{name}",result="{result}"}}')
            for result in ("answered", "timeout", "link_down", "rejected")
        }
        classes = {
            rc: grown.of(f'issuer_responses_total{{issuer="{name}",rc_class="{rc}"}}')
            for rc in ("approved", "business", "security", "pickup")
        }
        decided = sum(classes.values())
        p50_us, p99_us = self._banks[name].since_last(0.5, 0.99)
        return Row(
            member=name,
            role="issuer",
            state=_state(gauges, name),
            connections=gauges.get(f'{PREFIX}link_connections{{member="{name}"}}', 0),
            rate=sum(results.values()) / grown.elapsed_s,
            in_flight=gauges.get(f'{PREFIX}inflight_requests{{issuer="{name}"}}', 0),
            in_flight_max=gauges.get(f'{PREFIX}inflight_limit{{issuer="{name}"}}', 0),
            p50_us=p50_us or None,
            p99_us=p99_us or None,
            approved=classes["approved"] / decided if decided else None,
            timeouts_per_min=60 * results["timeout"] / grown.elapsed_s,
            waiting=gauges.get(f'{PREFIX}saf_entries{{member="{name}"}}', 0),
            circuit=_circuit(gauges, name),
            stand_in=_stand_in(gauges, grown, name, rules=len(bank.stand_in)),
            last_s=self._last(name, grown, now_ns),
        )

    def _last(self, name: str, grown: "_Grown", now_ns: int) -> float | None:
        if grown.compared and grown.of(f'message_bytes_total{{member="{name}",direction="in"}}'):
            self._heard_ns[name] = now_ns
        heard = self._heard_ns.get(name)
        return None if heard is None else round((now_ns - heard) / 1e9, 1)


class _Grown:
    """How far counters have come since the look before."""

    def __init__(self, now: Mapping[str, int], before: Mapping[str, int], elapsed_s: float) -> None:
        self._now = now
        self._before = before
        self.compared = bool(before)
        self.elapsed_s = elapsed_s

    def of(self, series: str) -> int:
        """A series by its whole name without prefix."""
        name = PREFIX + series
        return self._now.get(name, 0) - self._before.get(name, 0)

    def of_those(self, family: str, **labels: str) -> int:
        """The sum of a family's series that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            self.of(name.removeprefix(PREFIX))
            for name in self._now
            if name.startswith(f"{PREFIX}{family}{{") and all(one in name for one in wanted)
        )

    def by(self, family: str, label: str) -> dict[str, int]:
        """A family, summed by one label."""
        found: dict[str, int] = {}
        for name in self._now:
            if name.startswith(f"{PREFIX}{family}{{"):
                value = name.partition(f'{label}="')[2].partition('"')[0]
                found[value] = found.get(value, 0) + self.of(name.removeprefix(PREFIX))
        return found


def _worker(
    *, running: bool, silent: bool, dead: bool
) -> Literal["running", "silent", "dead", "not running"]:
    if dead:
        return "dead"
    if silent:
        return "silent"
    return "running" if running else "not running"


def _state(gauges: Mapping[str, int], name: str) -> State:
    label = f'{{member="{name}"}}'
    if gauges.get(f"{PREFIX}member_expected_up{label}", 1) == 0:
        return "held"
    if gauges.get(f"{PREFIX}member_signed_on{label}", 0):
        return "signed on"
    return "connected" if gauges.get(f"{PREFIX}link_connections{label}", 0) else "down"


def _circuit(gauges: Mapping[str, int], name: str) -> Literal["closed", "half open", "open"]:
    if gauges.get(f'{PREFIX}circuit_state{{issuer="{name}",state="open"}}', 0):
        return "open"
    half = gauges.get(f'{PREFIX}circuit_state{{issuer="{name}",state="half_open"}}', 0)
    return "half open" if half else "closed"


def _stand_in(
    gauges: Mapping[str, int], grown: _Grown, name: str, rules: int
) -> Literal["off", "ready", "stands in", "suspended"]:
    if gauges.get(f'{PREFIX}stand_in_suspended{{issuer="{name}"}}', 0):
        return "suspended"
    if grown.compared and grown.of_those("stand_in_total", issuer=name, result="stood"):
        return "stands in"
    return "ready" if rules else "off"
