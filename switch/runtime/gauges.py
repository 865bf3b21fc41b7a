"""What the shell tells the meter: links, what is in flight, what waits; once a second, from the
timer.

Nothing here runs per message. Messages and bytes read are tallied in plain lists of the member (one
addition each on the walk) and published as totals; the native gate counts everything that it does
itself.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from switch.engine.duty import Stage
from switch.errors import DecodeError
from switch.model import end
from switch.model.kind import Kind
from switch.model.time import unix_s
from switch.observe import log
from switch.observe.catalogue import CIRCUIT_STATES, HEALTH_STATES, STAND_IN_RESULTS
from switch.runtime.clock import cpu_us, wall_s
from switch.runtime.member import Acquirer, Bank, Hold

if TYPE_CHECKING:
    from switch.native import walk
    from switch.observe.metrics import Metrics
    from switch.runtime.driver import Driver
    from switch.runtime.taps import Taps
    from switch.wire import Guard

__all__ = ["Gauges"]

CLASSES: Final = {
    "auth": (
        Kind.AUTHORISATION,
        Kind.PREAUTHORISATION,
        Kind.PREAUTHORISATION_CANCEL,
        Kind.AUTHORISATION_ADVICE,
    ),
    "financial": (
        Kind.PURCHASE,
        Kind.BALANCE,
        Kind.COMPLETION,
        Kind.COMPLETION_ADVICE,
        Kind.COMPLETION_VOID,
        Kind.PURCHASE_ADVICE,
        Kind.ADVICE_REPLY,
    ),
    "reversal": (Kind.REVERSAL_REQUEST, Kind.REVERSAL_ADVICE, Kind.REVERSAL_REPLY),
    "network": (Kind.NETWORK, Kind.NETWORK_REPLY),
}
"""Label `class` of a message read, by its kind; a bank's answer counts under its request's kind."""

REASONS: Final = {
    "closed by the peer": "peer",
    "unfinished frame": "protocol",
    "undecodable messages": "protocol",
    "requests before sign-on": "protocol",
    "broken": "protocol",
    "overrun": "protocol",
    "half-open": "half_open",
    "overdue": "idle",
    "drained": "operator",
    "draining": "operator",
    "reload": "reload",
}
"""Label `reason` of a lost link, by the word that the log has; any other is `other`."""

TLS: Final = "tls: "
"""Begins the reason of a link that its TLS layer ended."""

DECODE_PATHS: Final = ("mti", "bitmap")

LATE_NOTES: Final = ("late_approved", "late_declined", "late_unusable")
UNAWAITED: Final = ("unknown", "duplicate", "disagreeing", "delivery_unknown")
"""Counts of a matcher: answers that belong to nothing that waits."""


class Gauges:
    """One per worker."""

    def __init__(
        self,
        metrics: "Metrics",
        native: "walk.Gate",
        duplicates: "walk.Duplicates",
        acquirers: Mapping[int, Acquirer],
        banks: Mapping[int, Bank],
        taps: "Taps | None" = None,
        guards: "Mapping[str, Guard] | None" = None,
    ) -> None:
        self._guards = guards if guards is not None else {}
        self._guarded: Counter[tuple[str, str]] = Counter()
        """What guards counted that were replaced since."""
        self._taps = taps
        self._metrics = metrics
        self._native = native
        self._duplicates = duplicates
        self._acquirers = acquirers
        self._banks = banks
        self.former: dict[int, str] = {}
        """Banks that are no members any more: what is owed to them is still shown."""
        self._bytes_in: dict[str, int] = {}
        metrics.set("duplicates_limit", duplicates.capacity)
        metrics.set("token_counters_limit", duplicates.counters_max)
        metrics.set("worker_start_timestamp_seconds", wall_s())

    def in_force(self, digest: str) -> None:
        """A configuration has taken effect."""
        metrics = self._metrics
        metrics.set("config_info", 1, hash=digest)
        metrics.set("config_last_reload_successful", 1)
        metrics.set("config_last_reload_timestamp_seconds", wall_s())
        for bank in self._banks.values():
            metrics.set("inflight_limit", bank.in_flight_max, issuer=bank.name)

    def unguarded(self, name: str) -> None:
        """The guard of a member is about to be replaced, or goes; what it counted stays."""
        guard = self._guards.get(name)
        if guard is not None:
            self._guarded.update({(name, result): total for result, total in guard.counts})

    def refused(self) -> None:
        """A configuration was refused, and changed nothing."""
        self._metrics.set("config_last_reload_successful", 0)

    def removed(self, member: Acquirer | Bank) -> None:
        """It is no member any more; its counters stay."""
        metrics, name = self._metrics, member.name
        metrics.set("link_connections", 0, member=name)
        metrics.set("member_signed_on", 0, member=name)
        if isinstance(member, Bank):
            metrics.set("inflight_limit", 0, issuer=name)
            metrics.set("inflight_requests", 0, issuer=name)
            metrics.set("stand_in_suspended", 0, issuer=name)
            for state in CIRCUIT_STATES:
                metrics.set("circuit_state", 0, issuer=name, state=state)
            self.former[member.index] = name

    def refresh(self, driver: "Driver") -> None:
        """Sets every gauge and publishes every total."""
        metrics = self._metrics
        metrics.set("worker_heartbeat_timestamp_seconds", wall_s())
        metrics.publish_notes(driver.counts)
        self._endings(driver.counts)
        metrics.publish_journal(driver.journal.stats())
        metrics.set("journal_shortage", int(driver.journal.shortage is not None))
        metrics.publish("worker_cpu_seconds_total", cpu_us())
        metrics.publish("log_lines_lost_total", log.lost())
        metrics.publish_evictions(self._duplicates.evictions())
        if self._taps is not None:
            self._taps.publish(metrics)
        for name, guard in self._guards.items():
            for result, total in guard.counts:
                total += self._guarded[name, result]  # noqa: PLW2901
                metrics.publish("mac_checks_total", total, member=name, result=result)
        metrics.set("held_frames", self._native.held)
        metrics.set("duplicates_entries", len(self._duplicates))
        metrics.set("token_counters_entries", self._duplicates.counters)
        metrics.set("reversals_parked", driver.engine.parked_count)
        for bank in self._banks.values():
            metrics.set("inflight_requests", len(bank.matcher.in_flight), issuer=bank.name)
            self._owed(bank, driver)
            self._member(bank)
            states = Counter(link.health_state for link in bank.connections.values())
            for state in HEALTH_STATES:
                metrics.set("link_health", states[state], issuer=bank.name, state=state)
            self._circuit(bank)
            metrics.set("stand_in_suspended", int(bank.stand_in_suspended), issuer=bank.name)
            for (rule, fit), total in bank.stand_ins.items():
                labels = {"issuer": bank.name, "rule": rule, "result": STAND_IN_RESULTS[fit]}
                metrics.publish("stand_in_total", total, **labels)
        for acquirer in self._acquirers.values():
            self._member(acquirer)
            metrics.set("intake_waiting_frames", acquirer.lane.waiting, acquirer=acquirer.name)
            for reason, total in acquirer.lane.shed.items():
                metrics.publish("shed_total", total, acquirer=acquirer.name, reason=reason)
        for index, name in self.former.items():
            metrics.set("saf_entries", self._native.owed_to(index), member=name)

    def _circuit(self, bank: Bank) -> None:
        metrics, circuit = self._metrics, bank.circuit
        for number, state in enumerate(CIRCUIT_STATES):
            labels = {"issuer": bank.name, "state": state}
            metrics.set("circuit_state", int(circuit.state == number), **labels)
            metrics.publish("circuit_changes_total", circuit.counts[number], **labels)

    def _endings(self, counts: Mapping[str, int]) -> None:
        """Ends that are counted elsewhere: repeats that were dropped, reversals that were parked,
        and answers that changed nothing."""
        publish = self._metrics.publish
        publish("terminations_total", counts.get("waiters_full", 0), end=end.WAITERS)
        publish("terminations_total", counts.get("delivery_parked", 0), end=end.PARKED)
        late = sum(counts.get(note, 0) for note in LATE_NOTES)
        for bank in self._banks.values():
            late += sum(bank.matcher.counts[reason] for reason in UNAWAITED)
        publish("terminations_total", late, end=end.LATE)

    def _owed(self, bank: Bank, driver: "Driver") -> None:
        owed = self._native.owed_to(bank.index)
        since_s = 0
        if owed:
            since_s = unix_s(self._native.oldest_owed_to(bank.index), wall_s()) or 0
        self._metrics.set("saf_entries", owed, member=bank.name)
        self._metrics.set("saf_oldest_entry_timestamp_seconds", since_s, member=bank.name)
        counts = driver.engine.deliveries.counts(bank.index)
        self._metrics.set("saf_dead_letters", counts[Stage.DEAD], member=bank.name)
        self._metrics.set("saf_held", counts[Stage.HELD], member=bank.name)
        late = bank.matcher.counts["late"]
        self._metrics.publish("upstream_requests_total", late, issuer=bank.name, result="late")

    def _member(self, member: Acquirer | Bank) -> None:
        metrics, name = self._metrics, member.name
        if member.bytes_in != self._bytes_in.get(name, 0):
            self._bytes_in[name] = member.bytes_in
            metrics.set("link_last_message_timestamp_seconds", wall_s(), member=name)
        metrics.set("link_connections", len(member.connections), member=name)
        metrics.set("member_signed_on", int(member.signed_on() > 0), member=name)
        metrics.set("member_expected_up", int(member.hold is Hold.NONE), member=name)
        metrics.publish("message_bytes_total", member.bytes_in, member=name, direction="in")
        for label, kinds in CLASSES.items():
            total = sum(member.messages_in[kind] for kind in kinds)
            labels: dict[str, Any] = {"member": name, "direction": "in", "class": label}
            metrics.publish("messages_total", total, **labels)

    def late(self, lag_us: int) -> None:
        """How late the timer ran: what a message that came in between had to wait at most."""
        self._metrics.record("event_loop_lag_seconds", lag_us)

    def connected(self, member: str, *, refused: bool = False) -> None:
        """A connection was made, or closed at once."""
        result = "refused" if refused else "ok"
        self._metrics.count("link_connects_total", member=member, result=result)

    def shed(self, member: str) -> None:
        """A connection was closed at once for want of descriptors."""
        self._metrics.count("link_connects_total", member=member, result="descriptors")

    def disconnected(self, member: str, reason: str) -> None:
        """A connection ended; `reason` as logged."""
        label = "tls" if reason.startswith(TLS) else REASONS.get(reason, "other")
        self._metrics.count("link_disconnects_total", member=member, reason=label)

    def ended(self, code: str) -> None:
        """How a frame ended that became no request (`switch.model.end`)."""
        self._metrics.count("terminations_total", end=code)

    def echoed(self, member: str, took_ns: int) -> None:
        """An echo of ours was answered after `took_ns`; -1: it was not."""
        if took_ns < 0:
            self._metrics.count("echo_failures_total", member=member)
        else:
            self._metrics.record("echo_duration_seconds", took_ns // 1_000, member=member)

    def ordered(self, action: str, result: str) -> None:
        """An operator's order came to its end: done, refused, failed."""
        self._metrics.count("operator_actions_total", action=action, result=result)

    def handshake(self, member: str, result: str, spent_ns: int) -> None:
        """A TLS hand-shake was over, or given up; all of this member's have held the loop for
        `spent_ns`."""
        self._metrics.count("tls_handshakes_total", member=member, result=result)
        self._metrics.publish("tls_handshake_seconds_total", spent_ns // 1_000, member=member)

    def certificate(self, member: str, not_after_s: int) -> None:
        """Until when our certificate of a member's links is good."""
        self._metrics.set("tls_certificate_expiry_timestamp_seconds", not_after_s, member=member)

    def peer_certificate(self, member: str, not_after_s: int) -> None:
        """Until when the certificate is good that a member has shown last."""
        self._metrics.set(
            "tls_peer_certificate_expiry_timestamp_seconds", not_after_s, member=member
        )

    def certificates_read(self, member: str, *, ok: bool) -> None:
        """Files of a running link were read anew."""
        result = "ok" if ok else "failed"
        self._metrics.count("tls_certificate_reloads_total", member=member, result=result)

    def journal_failed(self) -> None:
        """The journal failed: the last thing that this worker counts."""
        self._metrics.count("journal_write_errors_total")

    def undecodable(self, member: str, error: Exception) -> None:
        """A frame, or the whole stream, that could not be decoded."""
        reason = "framing"
        if isinstance(error, DecodeError):
            reason = error.path if error.path in DECODE_PATHS else "field"
        self._metrics.count("decode_errors_total", member=member, reason=reason)
