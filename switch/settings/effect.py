"""What a reload must do to bring a changed key into force: one row for every key of the schema.

A key without a row is a failing test (tests/tidy/test_effects.py), so whoever adds a key says here
what changing it costs. Rows with a star alone (``acquirers.*``) are about adding and removing the
element; ``tokens`` about the table as a whole.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from switch.settings.example import table_of
from switch.settings.schema import RouteFile, SwitchFile

__all__ = ["EFFECTS", "Effect", "keys_of", "schema_keys"]


class Effect(StrEnum):
    """In the order of how much it disturbs."""

    LIVE = "live"
    """From the next message on; what is in flight keeps what it was accepted under."""
    BOUNCE = "bounces a link"
    """The member's connections are drained one by one and made anew."""
    RESTART = "needs a restart"
    """A reload is refused as long as such a key differs."""


_LIVE: Final = Effect.LIVE
_BOUNCE: Final = Effect.BOUNCE
_RESTART: Final = Effect.RESTART

EFFECTS: Final[dict[str, Effect]] = {
    # Part of every transaction id, of every bank leg, and of where everything lies.
    "node.id": _RESTART,
    "node.institution_code": _RESTART,
    "node.data_dir": _RESTART,
    # It says how the dates of requests are understood, and so which of them are the same.
    "node.business_zone": _RESTART,
    "node.cutover": _LIVE,
    # Looked at by the next order.
    "node.four_eyes": _LIVE,
    # Which keys a journal is written under is settled when it is opened.
    "keys.file": _RESTART,
    "keys.sealing_key_file": _RESTART,
    "keys.link_keys_file": _BOUNCE,
    "journal.segment_mib": _RESTART,
    "journal.retention_h": _LIVE,
    "journal.pending_mib": _RESTART,
    # Allocated once.
    "limits.duplicates_max": _RESTART,
    "limits.stand_in_cards_max": _RESTART,
    # Of the next checkpoint.
    "limits.repeats_h": _LIVE,
    # A framer has its limit for as long as its connection lives.
    "limits.frame_bytes_max": _BOUNCE,
    "limits.write_buffer_bytes_max": _LIVE,
    "limits.handshake_share_max": _LIVE,
    # Another process listens there.
    "metrics.listen": _RESTART,
    # What is a token and what a card number may not change under what is in flight.
    "tokens": _RESTART,
    "tokens.ranges.*": _RESTART,
    "tokens.ranges.*.prefix": _RESTART,
    "tokens.ranges.*.length": _RESTART,
    "tokens.vault_file": _RESTART,
    "tokens.index_dir": _RESTART,
    "tokens.card_masters_file": _LIVE,
    "tokens.atc_gap_max": _LIVE,
    "tokens.atc_entries_max": _RESTART,
    "tokens.key_version": _RESTART,
    "terminals": _RESTART,
    "terminals.file": _RESTART,
    "acquirers.*": _LIVE,
    # A new id is a new member: the old one is removed.
    "acquirers.*.id": _LIVE,
    "acquirers.*.institution_code": _BOUNCE,
    "acquirers.*.dialect": _BOUNCE,
    "acquirers.*.listen": _BOUNCE,
    "acquirers.*.sign_on": _BOUNCE,
    "acquirers.*.terminal_timeout_ms": _LIVE,
    "acquirers.*.timeout_ms": _LIVE,
    "acquirers.*.in_flight_max": _LIVE,
    "acquirers.*.rate_max": _LIVE,
    "acquirers.*.burst_max": _LIVE,
    "acquirers.*.wait_target_ms": _LIVE,
    "acquirers.*.wait_interval_ms": _LIVE,
    "acquirers.*.connections_max": _LIVE,
    "acquirers.*.connects_per_s_max": _LIVE,
    "acquirers.*.echo_idle_s": _LIVE,
    "acquirers.*.undeliverable": _LIVE,
    # With or without: another listener.
    "acquirers.*.tls": _BOUNCE,
    # From the next hand-shake on; connections that stand were proved when they were made.
    "acquirers.*.tls.certificate": _LIVE,
    "acquirers.*.tls.key": _LIVE,
    "acquirers.*.tls.ca": _LIVE,
    "acquirers.*.tls.names": _LIVE,
    "acquirers.*.mac": _BOUNCE,
    "acquirers.*.mac.algorithm": _BOUNCE,
    "acquirers.*.mac.keys": _BOUNCE,
    "acquirers.*.mac.key": _BOUNCE,
    "acquirers.*.mac.cipher": _BOUNCE,
    "acquirers.*.mac.key_bytes": _BOUNCE,
    "acquirers.*.mac.chain": _BOUNCE,
    "acquirers.*.mac.form": _BOUNCE,
    "acquirers.*.mac.code_bytes": _BOUNCE,
    "issuers.*": _LIVE,
    "issuers.*.id": _LIVE,
    "issuers.*.institution_code": _BOUNCE,
    "issuers.*.dialect": _BOUNCE,
    "issuers.*.mode": _BOUNCE,
    "issuers.*.addresses": _BOUNCE,
    "issuers.*.listen": _BOUNCE,
    "issuers.*.connections": _BOUNCE,
    "issuers.*.sign_on": _BOUNCE,
    "issuers.*.deadline_ms": _LIVE,
    "issuers.*.in_flight_max": _LIVE,
    "issuers.*.echo_idle_s": _LIVE,
    "issuers.*.suspect_ms": _LIVE,
    "issuers.*.probe_ms": _LIVE,
    "issuers.*.answered_share_min": _LIVE,
    "issuers.*.health_pause_max_ms": _LIVE,
    "issuers.*.circuit": _LIVE,
    "issuers.*.circuit.failed_share_max": _LIVE,
    "issuers.*.circuit.failures_min": _LIVE,
    "issuers.*.circuit.window_ms": _LIVE,
    "issuers.*.circuit.unreachable_ms": _LIVE,
    "issuers.*.circuit.pause_min_ms": _LIVE,
    "issuers.*.circuit.pause_max_ms": _LIVE,
    "issuers.*.circuit.probes": _LIVE,
    "issuers.*.stand_in.*": _LIVE,
    "issuers.*.stand_in.*.name": _LIVE,
    "issuers.*.stand_in.*.when": _LIVE,
    "issuers.*.stand_in.*.cards": _LIVE,
    "issuers.*.stand_in.*.kinds": _LIVE,
    "issuers.*.stand_in.*.prefixes": _LIVE,
    "issuers.*.stand_in.*.mccs": _LIVE,
    "issuers.*.stand_in.*.processing_codes": _LIVE,
    "issuers.*.stand_in.*.entry_modes": _LIVE,
    "issuers.*.stand_in.*.currency": _LIVE,
    "issuers.*.stand_in.*.amount_minor_max": _LIVE,
    "issuers.*.stand_in.*.count_max": _LIVE,
    "issuers.*.stand_in.*.sum_minor_max": _LIVE,
    "issuers.*.stand_in.*.bank_sum_minor_max": _LIVE,
    "issuers.*.reversal_retry_ms": _LIVE,
    "issuers.*.reversal_retry_max_ms": _LIVE,
    "issuers.*.reversal_attempts_max": _LIVE,
    "issuers.*.saf": _LIVE,
    "issuers.*.saf.in_flight_max": _LIVE,
    "issuers.*.saf.per_s": _LIVE,
    "issuers.*.saf.horizon_h": _LIVE,
    "issuers.*.reconnect_min_ms": _LIVE,
    "issuers.*.reconnect_max_ms": _LIVE,
    "issuers.*.tls": _BOUNCE,
    # From the next hand-shake on; connections that stand were proved when they were made.
    "issuers.*.tls.certificate": _LIVE,
    "issuers.*.tls.key": _LIVE,
    "issuers.*.tls.ca": _LIVE,
    "issuers.*.tls.names": _LIVE,
    "issuers.*.mac": _BOUNCE,
    "issuers.*.mac.algorithm": _BOUNCE,
    "issuers.*.mac.keys": _BOUNCE,
    "issuers.*.mac.key": _BOUNCE,
    "issuers.*.mac.cipher": _BOUNCE,
    "issuers.*.mac.key_bytes": _BOUNCE,
    "issuers.*.mac.chain": _BOUNCE,
    "issuers.*.mac.form": _BOUNCE,
    "issuers.*.mac.code_bytes": _BOUNCE,
    "routes.*": _LIVE,
    "routes.*.prefix": _LIVE,
    "routes.*.issuer": _LIVE,
    # Files of dialects/: added or removed, no link speaks it; changed, every link that does.
    "dialects.*": _BOUNCE,
}
"""Dotted key, a star for any element of a list, to its effect."""


def schema_keys() -> Iterator[str]:
    """Every key of the settings file, the route files and the dialects, as `EFFECTS` spells it."""
    yield from keys_of(SwitchFile)
    yield from keys_of(RouteFile)
    yield "dialects.*"


def keys_of(struct: type[msgspec.Struct]) -> Iterator[str]:
    """Dotted keys below a table; elements of lists of tables as stars."""
    return _below(msgspec.inspect.type_info(struct), "")


def _below(info: msgspec.inspect.Type, path: str) -> Iterator[str]:
    match info:
        case msgspec.inspect.Metadata(type=inner):
            yield from _below(inner, path)
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield from _below(field.type, f"{path}.{field.encode_name}" if path else field.name)
        case msgspec.inspect.UnionType(types=types) if any(map(_is_table, types)):
            yield path
            yield from _below(table_of(types), path)
        case msgspec.inspect.VarTupleType(item_type=item) if _is_table(item):
            yield f"{path}.*"
            yield from _below(item, f"{path}.*")
        case _:
            yield path


def _is_table(info: msgspec.inspect.Type) -> bool:
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    return isinstance(info, msgspec.inspect.StructType)
