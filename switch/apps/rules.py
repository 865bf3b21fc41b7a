"""From settings to what the rooms take: members, rules, routes; at start and at a reload."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from switch.crypto.keyfile import Keys
from switch.crypto.links import Guard, LinkKey, Parameters, link_guard, link_rows, open_link_keys
from switch.crypto.terminals import Terminals
from switch.engine.deliver import IssuerRules
from switch.engine.engine import AcquirerRules
from switch.engine.stand_in import KINDS, StandInRule, Why
from switch.link.circuit import Circuit, CircuitRules
from switch.link.health import HealthRules
from switch.link.matcher import Matcher
from switch.link.window import Window
from switch.native import walk
from switch.runtime.arrivals import Arrivals
from switch.runtime.clock import monotonic_ns
from switch.runtime.lane import Lane
from switch.runtime.member import Acquirer, Bank
from switch.settings import schema
from switch.settings.saf import Saf
from switch.settings.schema import Settings
from switch.wire import Dialect

__all__ = [
    "Seal",
    "acquirer_rules",
    "circuit_of",
    "health_of",
    "issuer_rules",
    "limits_of",
    "new_acquirer",
    "new_bank",
    "remembered_s",
    "routes_of",
    "seals_of",
    "stand_in_of",
    "window_of",
]

HOUR_S: Final = 3_600
FOREVER_S: Final = (1 << 32) - 1


class Seal(msgspec.Struct, frozen=True):
    """The guard of a member's message codes, and what it was made from."""

    guard: Guard
    made_from: tuple[schema.Mac, tuple[LinkKey, ...]]


def seals_of(settings: Settings, keys: Keys, terminals: Terminals | None) -> dict[str, Seal]:
    """Of every member with message codes, its keys read anew. Raises: KeyFileError, UsageError."""
    seals: dict[str, Seal] = {}
    for name, (_, mac) in settings.macs().items():
        parameters = Parameters(mac.algorithm, mac.cipher, mac.chain, mac.form, mac.code_bytes)
        if mac.keys == "terminal" and terminals is not None:
            # Which keys its terminals have is theirs to change, not the settings'.
            guard = Guard.of_terminals(parameters.strategy(), terminals, name)
            seals[name] = Seal(guard, (mac, ()))
            continue
        opened = open_link_keys(settings.keys.link_keys_file, keys)
        guard = link_guard(parameters, opened, mac.key)
        rows = tuple(row for row in link_rows(opened) if row.name == mac.key)
        seals[name] = Seal(guard, (mac, rows))
    return seals


def routes_of(settings: Settings, indexes: Mapping[str, int]) -> walk.Routes:
    """The routes, by institution index."""
    return walk.Routes([(route.prefix, indexes[route.issuer]) for route in settings.routes])


def remembered_s(settings: Settings) -> tuple[int, int]:
    """How long a request key outlives restarts, in seconds: as long as something may come or go
    under it. First as long as its bank may still be told of it (a repeat that is taken for new
    beside an advice that is owed would be paid twice), then as long as its acquirer may repeat it.
    Second, within which an acquirer repeats: a key that is forgotten sooner is a fault.

    **Source:** rule D8 of docs/guides/simulation.md.
    """
    repeats_s = settings.limits.repeats_h * HOUR_S
    horizons_h = [(issuer.saf or Saf()).horizon_h for issuer in settings.issuers]
    if 0 in horizons_h:
        # Owed without end, known without end.
        return FOREVER_S, repeats_s
    return repeats_s + max(horizons_h, default=0) * HOUR_S, repeats_s


def issuer_rules(
    settings: Settings, indexes: Mapping[str, int], dialects: Mapping[str, Dialect]
) -> dict[int, IssuerRules]:
    """What the engine must know of the banks."""
    return {
        indexes[issuer.id]: IssuerRules(
            issuer.deadline_ms,
            issuer.reversal_retry_ms,
            issuer.reversal_retry_max_ms,
            issuer.reversal_attempts_max,
            dialects[issuer.dialect].reversal_final,
            dialects[issuer.dialect].advice_final,
            (issuer.saf or Saf()).in_flight_max,
            (issuer.saf or Saf()).per_s,
            (issuer.saf or Saf()).horizon_h,
            stand_in=stand_in_of(issuer),
        )
        for issuer in settings.issuers
    }


def stand_in_of(issuer: schema.Issuer) -> tuple[StandInRule, ...]:
    """When we approve in the bank's name."""
    return tuple(
        StandInRule(
            name=rule.name,
            when=frozenset(Why(one) for one in rule.when),
            kinds=frozenset(int(KINDS[one]) for one in rule.kinds),
            currency=rule.currency,
            amount_minor_max=rule.amount_minor_max,
            count_max=rule.count_max,
            sum_minor_max=rule.sum_minor_max,
            bank_sum_minor_max=rule.bank_sum_minor_max,
            tokens="token" in rule.cards,
            plain="plain" in rule.cards,
            cards=walk.Routes([(one, 0) for one in rule.prefixes]) if rule.prefixes else None,
            mccs=frozenset(rule.mccs),
            processing_codes=rule.processing_codes,
            entry_modes=rule.entry_modes,
        )
        for rule in issuer.stand_in
    )


def acquirer_rules(settings: Settings, indexes: Mapping[str, int]) -> dict[int, AcquirerRules]:
    """What the engine must know of the acquirers."""
    return {
        indexes[acquirer.id]: AcquirerRules(acquirer.undeliverable == "reverse")
        for acquirer in settings.acquirers
    }


def window_of(mark: tuple[int, int] | None) -> Window:
    """Numbers go on above the highest pair that the journal knows of the institution."""
    return Window(mark[0], mark[1]) if mark is not None else Window()


def new_acquirer(index: int, acquirer: schema.Acquirer, window: Window) -> Acquirer:
    """An acquirer without connections."""
    return Acquirer(
        index,
        acquirer.id,
        acquirer.institution_code,
        acquirer.in_flight_max,
        acquirer.connections_max,
        Matcher(window, 1),
        Lane(*limits_of(acquirer)),
        arrivals=Arrivals(acquirer.connects_per_s_max),
    )


def limits_of(acquirer: schema.Acquirer) -> tuple[int, int, int, int]:
    """How long its requests may wait, and how many may come, as `Lane` takes it."""
    return (
        acquirer.wait_target_ms,
        acquirer.wait_interval_ms,
        acquirer.rate_max,
        acquirer.burst_max,
    )


def health_of(issuer: schema.Issuer) -> HealthRules:
    """When the bank's connections are fit. One that agreed on no echo is not tested by any."""
    return HealthRules(
        suspect_ms=issuer.suspect_ms,
        probe_ms=issuer.probe_ms,
        answered_share_min=issuer.answered_share_min,
        pause_min_ms=min(HealthRules().pause_min_ms, issuer.health_pause_max_ms),
        pause_max_ms=issuer.health_pause_max_ms,
        echo=issuer.echo_idle_s > 0,
    )


def circuit_of(issuer: schema.Issuer) -> CircuitRules:
    """When the bank is not asked."""
    table = issuer.circuit or schema.Circuit()
    return CircuitRules(
        failed_share_max=table.failed_share_max,
        failures_min=table.failures_min,
        window_ms=table.window_ms,
        unreachable_ms=table.unreachable_ms,
        pause_min_ms=table.pause_min_ms,
        pause_max_ms=table.pause_max_ms,
        probes=table.probes,
    )


def new_bank(index: int, issuer: schema.Issuer, window: Window) -> Bank:
    """A bank without connections."""
    matcher: Matcher[Any, Any] = Matcher(window, issuer.in_flight_max)
    return Bank(
        index,
        issuer.id,
        matcher,
        issuer.connections,
        health=health_of(issuer),
        circuit=Circuit(circuit_of(issuer), monotonic_ns()),
    )
