"""Every metric of tapswitch: name, type, labels, meaning. One table; nothing is counted that is not
in it.

Native rooms count by the whole name of a series (``tapswitch_terminations_total{end="TW"}``), so
the order of labels here is part of the contract with native/src/walk/figures.rs; a test compares.
All combinations of labels exist from the start at 0, because rates and alerts need them; their sets
are bounded: members come from the settings, everything else from this file. No card number,
terminal, merchant, amount or free text is ever a label.

**Source:** names and label sets of design/experience.md 2.1, for the rooms that exist.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from switch.model import end
from switch.model.token import TokenState
from switch.native import mac, tap

__all__ = [
    "COMMIT_SERIES",
    "FAMILIES",
    "INTERNAL_US",
    "NOTES",
    "OVERFLOWING",
    "PREFIX",
    "SAID",
    "UPSTREAM_US",
    "Family",
    "Members",
    "Series",
    "series_of",
]

PREFIX: Final = "tapswitch_"

INTERNAL_US: Final = (
    100, 250, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000,
    100_000, 250_000, 1_000_000,
)  # fmt: skip
"""Bounds for our own share; 10 ms is the limit of the service level, hence an edge."""
COMMIT_SERIES: Final = f"{PREFIX}journal_commit_duration_seconds"
"""The histogram that the journal's writer records into."""
UPSTREAM_US: Final = (
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 150_000, 250_000, 350_000, 500_000,
    1_000_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000, 15_000_000, 30_000_000, 60_000_000,
)  # fmt: skip
"""Bounds for what waits for a bank."""

ECHO_US: Final = (1_000, 10_000, 100_000, 1_000_000, 3_000_000)
"""Bounds for echoes; few, since every member has them. Three seconds is a probe's limit."""

COMMIT_US: Final = (
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000,
)  # fmt: skip
"""Bounds for a group of the journal: a good disk takes a fraction of a millisecond."""

CLASSES: Final = ("auth", "financial", "reversal", "network")
REQUEST_CLASSES: Final = ("auth", "financial", "reversal")
OUTCOMES: Final = ("approved", "declined", "system_error")
RC_CLASSES: Final = ("approved", "business", "security", "pickup", "technical")
UPSTREAM_RESULTS: Final = ("answered", "timeout", "link_down", "rejected", "late")
CAUSES: Final = ("timeout", "terminal", "unusable_answer", "link_down", "restart", "acquirer_gone")
STAGES: Final = ("to_bank", "to_acquirer")
DECODE_REASONS: Final = ("framing", "mti", "bitmap", "length", "charset", "limit", "field")
ACTIONS: Final = (
    "member-list", "member-show", "member-echo", "member-sign-on", "member-sign-off",
    "member-drain", "member-enable", "link-errors", "reload", "restart", "saf-list", "saf-show",
    "saf-retry", "saf-hold", "saf-release", "saf-write-off", "stand-in-suspend",
    "stand-in-resume", "stand-in-show", "terminal-sign-off",
)  # fmt: skip
"""Mirrors the orders of switch/control/orders.py; a test compares."""
HANDSHAKE_RESULTS: Final = (
    "ok", "no_certificate", "certificate", "name", "protocol", "refused_by_peer", "timeout",
    "closed", "error",
)  # fmt: skip
"""certificate: not signed by the member's CAs, or not valid now; name: another institution's."""
TOKEN_OPERATIONS: Final = (
    "issue", "import", "show", "suspend", "resume", "delete", "replace-pan", "list", "audit",
    "verify-audit", "reindex", "status",
)  # fmt: skip
"""Mirrors the orders of switch/tokens/orders.py; a test compares."""
TOKEN_STATES: Final = tuple(state.name.lower() for state in TokenState)
OTHER: Final = "_other"
RESPONSE_CODES: Final = (
    "00", "01", "02", "03", "04", "05", "06", "07", "09", "10", "11", "12", "13", "14", "15", "19",
    "21", "22", "25", "30", "33", "34", "35", "36", "37", "38", "39", "40", "41", "43", "51", "52",
    "54", "55", "56", "57", "58", "59", "61", "62", "63", "65", "68", "75", "90", "91", "92", "93",
    "94", "96", "97", "98", "99", OTHER,
)  # fmt: skip
"""At most 60: codes that a dialect lists; any other counts as `_other`."""
SHED_REASONS: Final = ("delay", "in_flight", "rate")
"""Mirrors switch/runtime/lane.py; a test compares."""
ENDS: Final = end.ALL
HEALTH_STATES: Final = ("good", "suspect", "out", "trial")
"""Mirrors switch/link/health.py; a test compares."""
STAND_IN_RESULTS: Final = (
    "stood", "count", "sum", "bank_sum", "full", "closed", "expired", "unfit", "unrecorded",
    "suspended",
)  # fmt: skip
"""Mirrors switch/engine/ports.py; a test compares."""
CIRCUIT_STATES: Final = ("closed", "half_open", "open")
"""Mirrors switch/link/circuit.py; a test compares."""
NOTES: Final = (
    "callback_raised", "circuit_closed", "circuit_half_open",
    "circuit_open", "connection_refused", "foreign_institution",
    "frame_unfinished", "ignored", "impossible", "intake_full", "journal_refused", "late_approved",
    "late_declined", "late_unusable", "link_broken", "link_put_back", "link_taken_out",
    "peer_does_not_read", "reply_from_acquirer",
    "request_from_bank", "stand_in_declined_late",
    "delivery_dead", "delivery_parked", "delivery_rejected",
    "delivery_unknown", "delivery_unread",
    "still_in_doubt", "undecodable", "undelivered_kept", "waiters_full", "write_to_gone_peer",
    OTHER,
)  # fmt: skip
"""Rare happenings that the engine and the runtime note by name."""


class Members(msgspec.Struct, frozen=True):
    """The members of a node, by institution id of the settings."""

    acquirers: Sequence[str]
    issuers: Sequence[str]
    config: str = ""
    """Hash of the configuration in force."""
    rules: Mapping[str, Sequence[str]] = {}
    """Names of the rules of stand-in, by issuer."""

    def values(self, label: str, before: str = "") -> Sequence[str]:
        """The values of a label that speaks of members; of what belongs to one, of the one that
        stands `before` it."""
        return {
            "acquirer": self.acquirers,
            "issuer": self.issuers,
            "member": [*self.acquirers, *self.issuers],
            "hash": [self.config],
            "rule": self.rules.get(before, ()),
        }[label]


class Family(msgspec.Struct, frozen=True):
    """One metric: `name` without prefix, `labels` in order with their values (None: members, by the
    label's name, or a rule of the issuer before it)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, Sequence[str] | None] = {}
    bounds_us: Sequence[int] = ()
    scale: float = 1.0
    """What one counted unit is in the unit of the name."""
    process: Literal["worker", "gateway", "exporter"] = "worker"
    """Who counts it. What the exporter says itself stands in no meter file."""

    def series(self, members: Members) -> Iterator[str]:
        """Whole names of all series."""
        combinations: list[tuple[str, ...]] = [()]
        for label, listed in self.labels.items():
            combinations = [
                (*begun, value)
                for begun in combinations
                for value in (
                    members.values(label, begun[-1] if begun else "") if listed is None else listed
                )
            ]
        for combination in combinations:
            pairs = ",".join(
                f'{label}="{value}"' for label, value in zip(self.labels, combination, strict=True)
            )
            yield f"{PREFIX}{self.name}{{{pairs}}}" if pairs else f"{PREFIX}{self.name}"


def _counter(name: str, text: str, **labels: Sequence[str] | None) -> Family:
    return Family(name, "counter", text, labels)


def _gauge(name: str, text: str, **labels: Sequence[str] | None) -> Family:
    return Family(name, "gauge", text, labels)


def _histogram(
    name: str, text: str, bounds_us: Sequence[int], **labels: Sequence[str] | None
) -> Family:
    return Family(name, "histogram", text, labels, bounds_us, 1e-6)


FAMILIES: Final = (
    # -- transactions -----------------------------------------------------------------------------
    _counter(
        "transactions_total",
        "Requests of acquirers at their final outcome.",
        **{"class": REQUEST_CLASSES, "outcome": OUTCOMES},
    ),
    _counter(
        "acquirer_transactions_total",
        "Requests of one acquirer at their final outcome.",
        acquirer=None,
        outcome=OUTCOMES,
    ),
    _counter(
        "issuer_responses_total",
        "Usable answers of banks; approval rate is approved by the sum without technical.",
        issuer=None,
        rc_class=RC_CLASSES,
    ),
    _counter(
        "response_codes_total",
        "Usable answers of banks by response code.",
        issuer=None,
        rc=RESPONSE_CODES,
    ),
    _counter(
        "terminations_total",
        "How requests, frames, late answers and parked reversals ended, by end code.",
        end=ENDS,
    ),
    _counter(
        "shed_total",
        "Requests refused before they were decoded, without a record.",
        acquirer=None,
        reason=SHED_REASONS,
    ),
    _gauge(
        "intake_waiting_frames", "Frames of an acquirer that wait for their turn.", acquirer=None
    ),
    _counter("taps_genuine_total", "Taps whose token and cryptogram were proved."),
    _counter("tap_refusals_total", "Taps that were refused, by reason.", reason=tap.REASONS),
    _gauge("token_index_available", "1 while the token index has answers; else taps get 96."),
    _counter("duplicates_total", "Repeats given the stored answer.", **{"class": REQUEST_CLASSES}),
    _counter(
        "upstream_requests_total",
        "What became of requests to banks.",
        issuer=None,
        result=UPSTREAM_RESULTS,
    ),
    _counter("undelivered_answers_total", "Answers whose acquirer's connection had gone."),
    _histogram(
        "transaction_duration_seconds",
        "First byte of the request in to its answer handed to the socket.",
        UPSTREAM_US,
        **{"class": REQUEST_CLASSES},
    ),
    _histogram(
        "internal_duration_seconds",
        "The same without the bank's share: ours.",
        INTERNAL_US,
        **{"class": REQUEST_CLASSES},
    ),
    _histogram(
        "upstream_duration_seconds",
        "Request handed to the bank's socket to the first byte of its answer.",
        UPSTREAM_US,
        issuer=None,
    ),
    _histogram(
        "stage_duration_seconds",
        "Our share on each way: first byte in to handed on, to the bank and to the acquirer.",
        INTERNAL_US,
        stage=STAGES,
    ),
    # -- reversals --------------------------------------------------------------------------------
    _counter(
        "reversals_total",
        "Reversals of ours that came to an end.",
        cause=CAUSES,
        result=("acknowledged", "parked", "dead", "written_off"),
    ),
    _counter(
        "saf_deliveries_total",
        "Reversals and advices delivered to a bank, and repeats that this took.",
        member=None,
        result=("delivered", "parked", "dead", "written_off", "retried"),
    ),
    _gauge("saf_entries", "Reversals and advices a bank has not acknowledged yet.", member=None),
    _gauge(
        "saf_oldest_entry_timestamp_seconds",
        "Unix time of the oldest of them; 0 when there is none.",
        member=None,
    ),
    _gauge(
        "saf_dead_letters",
        "Of these, those that only an operator moves: too old, refused, or not to be said.",
        member=None,
    ),
    _gauge("saf_held", "Of these, those that an operator keeps back.", member=None),
    _gauge(
        "reversals_parked",
        "Reversals and advices no longer repeated until the bank returns.",
    ),
    # -- wire and links ---------------------------------------------------------------------------
    _counter(
        "messages_total",
        "Messages on the wire, repeats included.",
        **{"member": None, "direction": ("in", "out"), "class": CLASSES},
    ),
    _counter("message_bytes_total", "Bytes on the wire.", member=None, direction=("in", "out")),
    _counter(
        "mac_checks_total",
        "Message codes of what came in, by result; all but ok changed nothing.",
        member=None,
        result=mac.RESULTS,
    ),
    _counter(
        "decode_errors_total",
        "Frames that could not be decoded.",
        member=None,
        reason=DECODE_REASONS,
    ),
    _counter(
        "link_connects_total",
        "Connections made, closed at once over a limit, or for want of descriptors.",
        member=None,
        result=("ok", "refused", "descriptors"),
    ),
    _counter(
        "link_disconnects_total",
        "Connections ended.",
        member=None,
        reason=("peer", "idle", "tls", "protocol", "operator", "half_open", "reload", "other"),
    ),
    _counter(
        "tls_handshakes_total",
        "TLS hand-shakes by how they ended.",
        member=None,
        result=HANDSHAKE_RESULTS,
    ),
    Family(
        "tls_handshake_seconds_total",
        "counter",
        "How long the steps of TLS hand-shakes have held the loop; a link costs twice that.",
        {"member": None},
        scale=1e-6,
    ),
    _counter(
        "tls_certificate_reloads_total",
        "Times that a running link's certificate files were read anew.",
        member=None,
        result=("ok", "failed"),
    ),
    _gauge(
        "tls_certificate_expiry_timestamp_seconds",
        "Unix time at which our certificate of the member's links ends; 0 without TLS.",
        member=None,
    ),
    _gauge(
        "tls_peer_certificate_expiry_timestamp_seconds",
        "Unix time at which the certificate ends that the member showed last; 0 before the first.",
        member=None,
    ),
    _gauge("link_connections", "Open connections.", member=None),
    _gauge(
        "link_last_message_timestamp_seconds",
        "Unix time of the second in which something came from the member last; 0 before the first.",
        member=None,
    ),
    _gauge(
        "member_signed_on",
        "1 when at least one connection of the member is signed on.",
        member=None,
    ),
    _gauge(
        "link_health",
        "Connections of a bank by what is thought of them; on `out` no new requests go.",
        issuer=None,
        state=HEALTH_STATES,
    ),
    _counter(
        "stand_in_total",
        "Requests that a rule of stand-in covered, by what became of them; all but stood were "
        "declined.",
        issuer=None,
        rule=None,
        result=STAND_IN_RESULTS,
    ),
    _gauge(
        "stand_in_suspended",
        "1 while an operator has stand-in for a bank suspended.",
        issuer=None,
    ),
    _gauge(
        "circuit_state",
        "1 for the state of a bank's circuit; while it is open the bank is not asked.",
        issuer=None,
        state=CIRCUIT_STATES,
    ),
    _counter(
        "circuit_changes_total",
        "Times that a bank's circuit came into a state.",
        issuer=None,
        state=CIRCUIT_STATES,
    ),
    _gauge(
        "member_expected_up",
        "0 while an operator has the member drained or signed off.",
        member=None,
    ),
    _histogram(
        "echo_duration_seconds",
        "Answered echoes of ours (0800 301), from hand-over to the answer's first byte.",
        ECHO_US,
        member=None,
    ),
    _counter("echo_failures_total", "Echoes of ours that were not answered in time.", member=None),
    _gauge("inflight_requests", "Requests that wait for a bank.", issuer=None),
    _gauge("inflight_limit", "Most requests that may wait for a bank.", issuer=None),
    # -- house ------------------------------------------------------------------------------------
    _counter(
        "operator_actions_total",
        "Orders to the worker over its control socket.",
        action=ACTIONS,
        result=("done", "refused", "failed"),
    ),
    _counter("notes_total", "Rare happenings by name.", what=NOTES),
    _counter("journal_records_total", "Records appended to the journal."),
    _counter("journal_writes_total", "Groups of records made durable, each by one sync."),
    _counter("journal_write_bytes_total", "Bytes written to the journal."),
    _histogram(
        "journal_commit_duration_seconds",
        "One group of records: sealed, written and synced.",
        COMMIT_US,
    ),
    _counter(
        "journal_write_errors_total",
        "Writes or syncs of the journal that failed; each ends the worker. Kept over its restarts.",
    ),
    _gauge("journal_pending_entries", "Records that are not durable yet."),
    _gauge(
        "journal_shortage",
        "1 while no further segment of the journal can be prepared: new requests will be refused.",
    ),
    _gauge("held_frames", "Frames that wait for their record to be durable."),
    _gauge("duplicates_entries", "Request keys remembered."),
    _gauge("duplicates_limit", "Request keys that the table has room for."),
    _gauge("token_counters_entries", "Tokens whose transaction counters are remembered."),
    _gauge("token_counters_limit", "Tokens whose transaction counters have room."),
    _counter(
        "duplicates_evictions_total",
        "Request keys forgotten: all, and of these those that may be repeated or are in flight.",
        kind=("all", "early", "in_flight"),
    ),
    _histogram("event_loop_lag_seconds", "How late the worker's timer ran.", INTERNAL_US),
    _gauge("config_info", "1 for the configuration in force, by its hash.", hash=None),
    _gauge(
        "config_last_reload_successful",
        "1 when the last reload took effect; 0: it was refused, and changed nothing.",
    ),
    _gauge(
        "config_last_reload_timestamp_seconds",
        "Unix time at which the configuration in force took effect.",
    ),
    _gauge("worker_heartbeat_timestamp_seconds", "Unix time at which the worker last said so."),
    _gauge("worker_start_timestamp_seconds", "Unix time at which the worker started."),
    Family(
        "log_lines_lost_total",
        "counter",
        "Lines of the worker's log that nobody took: its disk is full, or its reader stands still.",
    ),
    Family("worker_cpu_seconds_total", "counter", "Processor time of the worker.", scale=1e-6),
    # -- gateway ----------------------------------------------------------------------------------
    Family(
        "token_requests_total",
        "counter",
        "Orders about tokens by how they ended; failed: vault or index did not serve.",
        {"operation": TOKEN_OPERATIONS, "result": ("done", "refused", "failed")},
        process="gateway",
    ),
    Family("tokens", "gauge", "Tokens by state.", {"state": TOKEN_STATES}, process="gateway"),
    Family(
        "token_index_behind",
        "gauge",
        "1 while the token index does not say what the vault says, or is being rebuilt.",
        process="gateway",
    ),
    Family(
        "gateway_heartbeat_timestamp_seconds",
        "gauge",
        "Unix time at which the gateway last looked after the token index.",
        process="gateway",
    ),
)
"""In the order in which they are shown."""

OVERFLOWING: Final = {"response_codes_total": "rc", "notes_total": "what"}
"""Families with a value `_other`, by the label that has it."""

SAID: Final = (
    Family("workers", "gauge", "Workers whose meter file can be read.", process="exporter"),
    Family("workers_configured", "gauge", "Workers that the node should have.", process="exporter"),
    Family(
        "meter_files_unreadable", "gauge", "Meter files that cannot be read.", process="exporter"
    ),
    Family(
        "build_info",
        "gauge",
        "1 for what runs.",
        {"version": ("...",), "python": ("...",), "native": ("debug", "release")},
        process="exporter",
    ),
    Family(
        "journal_free_bytes",
        "gauge",
        "Room left for us on the journal's file system.",
        process="exporter",
    ),
    Family(
        "label_overflow_total",
        "counter",
        "Times that a value was counted as _other, because the label has no room for more.",
        {"family": tuple(OVERFLOWING)},
        process="exporter",
    ),
    Family("series", "gauge", "Series that the node exports.", process="exporter"),
)
"""What the exporter says itself."""


class Series(msgspec.Struct, frozen=True):
    """Whole names of all series of a node, by type: what a meter is made of."""

    counters: list[str]
    gauges: list[str]
    histograms: list[str]


def series_of(members: Members, process: str = "worker") -> Series:
    """Every series that a worker (or the gateway) of these members has."""
    by_kind: dict[str, list[str]] = {"counter": [], "gauge": [], "histogram": []}
    for family in FAMILIES:
        if family.process == process:
            by_kind[family.kind] += family.series(members)
    return Series(by_kind["counter"], by_kind["gauge"], by_kind["histogram"])
