"""Cross rules that see settings alone: what would fail, or surprise, at run time.

Each rule is a generator of findings. Rules that need dialects, keys or the file system live in
control/check, which also runs these.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from switch.constants import JOURNAL_MARGIN_MS
from switch.settings.nearest import suggest
from switch.settings.schema import (
    MAC_DEFAULTS,
    MAC_KEY_BYTES,
    Acquirer,
    Issuer,
    Settings,
    split_address,
)

__all__ = ["Finding", "check_settings", "is_loopback"]

Severity = Literal["error", "warning"]


HANDSHAKE_US: Final = 1_500
"""Of the worker, for one link with TLS in all (docs/guides/tls.md has how it was measured)."""
RETURN_S_MAX: Final = 60


class Finding(msgspec.Struct, frozen=True):
    """One thing that an operator should mend. `key` is dotted; its place is looked up later."""

    severity: Severity
    rule: str
    """Short stable name of the rule, for people and for scripts."""
    key: str
    problem: str
    help: str = ""


def check_settings(settings: Settings) -> list[Finding]:
    """All findings, in the order of the rules."""
    return [finding for rule in RULES for finding in rule(settings)]


def is_loopback(address: str) -> bool:
    """True when only this machine can connect to ``host:port``. A name counts as loopback only when
    it is localhost: what others resolve to is not ours to decide."""
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _error(rule: str, key: str, problem: str, help: str = "") -> Finding:  # noqa: A002
    return Finding("error", rule, key, problem, help)


def _warning(rule: str, key: str, problem: str, help: str = "") -> Finding:  # noqa: A002
    return Finding("warning", rule, key, problem, help)


def _business_date(settings: Settings) -> Iterator[Finding]:
    zone = settings.node.business_zone
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield _error(
            "zone", "node.business_zone", f'no time zone "{zone}"', 'for example "Asia/Shanghai"'
        )


def _institutions(settings: Settings) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    members = [(f"acquirers.{i}.id", a.id) for i, a in enumerate(settings.acquirers)]
    members += [(f"issuers.{i}.id", b.id) for i, b in enumerate(settings.issuers)]
    for key, name in members:
        if name in seen:
            yield _error(
                "institution",
                key,
                f'the id "{name}" is taken by {seen[name]}',
                "journal and metrics tell institutions apart by id",
            )
        seen.setdefault(name, key)
    codes: dict[str, str] = {}
    for i, acquirer in enumerate(settings.acquirers):
        key = f"acquirers.{i}.institution_code"
        if acquirer.institution_code in codes:
            yield _warning(
                "institution",
                key,
                f"{codes[acquirer.institution_code]} has the same institution code",
                "their requests cannot be told apart by field 32",
            )
        codes.setdefault(acquirer.institution_code, key)


def _deadlines(settings: Settings) -> Iterator[Finding]:
    """The terminal waits longer than its host, the host longer than we wait for any bank."""
    slowest, key = max(
        ((bank.deadline_ms, f"issuers.{i}.deadline_ms") for i, bank in enumerate(settings.issuers)),
        key=lambda pair: pair[0],
    )
    for i, acquirer in enumerate(settings.acquirers):
        if acquirer.terminal_timeout_ms <= acquirer.timeout_ms:
            yield _error(
                "deadlines",
                f"acquirers.{i}.terminal_timeout_ms",
                f"terminals of {acquirer.id} give up after {acquirer.terminal_timeout_ms} ms, "
                f"not after their host ({acquirer.timeout_ms} ms)",
                "terminal_timeout_ms > timeout_ms",
            )
        least = slowest + JOURNAL_MARGIN_MS
        if acquirer.timeout_ms <= least:
            yield _error(
                "deadlines",
                f"acquirers.{i}.timeout_ms",
                f"{acquirer.id} gives up after {acquirer.timeout_ms} ms, but an answer may take "
                f"{least} ms ({key} {slowest} + {JOURNAL_MARGIN_MS} for the journal)",
                f"raise it above {least}, or lower {key}",
            )


def _pauses(settings: Settings) -> Iterator[Finding]:
    for i, bank in enumerate(settings.issuers):
        for low, high in (
            ("reversal_retry_ms", "reversal_retry_max_ms"),
            ("reconnect_min_ms", "reconnect_max_ms"),
        ):
            if getattr(bank, low) > getattr(bank, high):
                yield _error("pauses", f"issuers.{i}.{low}", f"{low} is above {high}")


def _issuer_links(settings: Settings) -> Iterator[Finding]:
    for i, bank in enumerate(settings.issuers):
        dial = bank.mode == "dial"
        wanted, unused = ("addresses", "listen") if dial else ("listen", "addresses")
        if not getattr(bank, wanted):
            yield _error(
                "links",
                f"issuers.{i}.{wanted}",
                f'{bank.id} has mode "{bank.mode}" but no {wanted}',
                'addresses = ["host:port"]' if dial else 'listen = "host:port"',
            )
        if getattr(bank, unused):
            yield _warning(
                "links", f"issuers.{i}.{unused}", f'{unused} has no effect in mode "{bank.mode}"'
            )
        if len(set(bank.addresses)) < len(bank.addresses):
            yield _warning("links", f"issuers.{i}.addresses", "the same address stands here twice")


def _addresses(settings: Settings) -> Iterator[Finding]:
    taken: dict[tuple[str, int], str] = {}
    for key, address in settings.listens():
        try:
            host, port = split_address(address)
        except ValueError as error:
            yield _error("addresses", key, str(error), 'for example "127.0.0.1:4001"')
            continue
        if port == 0:
            continue
        for (other_host, other_port), other in taken.items():
            if port == other_port and (
                host == other_host or {host, other_host} & {"0.0.0.0", "::"}
            ):
                yield _error("addresses", key, f"{other} listens on port {port} of {host} already")
        taken.setdefault((host, port), key)
    for i, bank in enumerate(settings.issuers):
        for j, address in enumerate(bank.addresses):
            try:
                dialled = split_address(address)
            except ValueError as error:
                yield _error("addresses", f"issuers.{i}.addresses.{j}", str(error))
                continue
            if dialled[1] == 0:
                yield _error("addresses", f"issuers.{i}.addresses.{j}", "port 0 cannot be dialled")
            elif dialled in taken:
                yield _error(
                    "addresses", f"issuers.{i}.addresses.{j}", f"this is our own {taken[dialled]}"
                )


def _dialects(settings: Settings) -> Iterator[Finding]:
    members = [(f"acquirers.{i}", a.id, a.dialect) for i, a in enumerate(settings.acquirers)]
    members += [(f"issuers.{i}", b.id, b.dialect) for i, b in enumerate(settings.issuers)]
    for key, member, dialect in members:
        if dialect not in settings.dialects:
            yield _error(
                "dialects",
                f"{key}.dialect",
                f'{member} speaks "{dialect}", but there is no dialects/{dialect}.toml',
                suggest(dialect, settings.dialects),
            )


def _routes(settings: Settings) -> Iterator[Finding]:
    issuers = [bank.id for bank in settings.issuers]
    by_prefix: dict[str, int] = {}
    for i, route in enumerate(settings.routes):
        if route.issuer not in issuers:
            yield _error(
                "routes",
                f"routes.{i}.issuer",
                f'no issuer "{route.issuer}"',
                suggest(route.issuer, issuers),
            )
        first = by_prefix.setdefault(route.prefix, i)
        if first != i:
            other = settings.routes[first]
            same = other.issuer == route.issuer
            yield Finding(
                "warning" if same else "error",
                "routes",
                f"routes.{i}.prefix",
                f"prefix {route.prefix} stands here a second time"
                + ("" if same else f"; it leads to {other.issuer} already"),
                "remove one of the two",
            )
    yield from _unreachable(settings, by_prefix)
    reached = {route.issuer for route in settings.routes}
    for i, bank in enumerate(settings.issuers):
        if bank.id not in reached:
            yield _warning(
                "routes", f"issuers.{i}.id", f"no route leads to {bank.id}", "see routes/*.toml"
            )
    if not settings.routes:
        yield _error("routes", "issuers", "there is no route: every request would be answered 92")


def _unreachable(settings: Settings, by_prefix: dict[str, int]) -> Iterator[Finding]:
    """A prefix is never reached when longer ones take everything below it, at whatever depth; a
    longer one that leads where the shorter one does changes nothing."""
    above = {prefix[:n] for prefix in by_prefix for n in range(1, len(prefix))}

    def taken(prefix: str) -> bool:
        return prefix in by_prefix or below_taken(prefix)

    def below_taken(prefix: str) -> bool:
        return prefix in above and all(taken(prefix + digit) for digit in "0123456789")

    for prefix, i in by_prefix.items():
        if below_taken(prefix):
            yield _error(
                "routes",
                f"routes.{i}.prefix",
                f"prefix {prefix} is never reached: longer prefixes take every card below it",
                "remove it",
            )
    for prefix, i in by_prefix.items():
        shorter = next(
            (prefix[:n] for n in range(len(prefix) - 1, 0, -1) if prefix[:n] in by_prefix), ""
        )
        if shorter and settings.routes[by_prefix[shorter]].issuer == settings.routes[i].issuer:
            yield _warning(
                "routes",
                f"routes.{i}.prefix",
                f"prefix {prefix} lies in {shorter}, which leads to the same issuer",
                "remove it",
            )


def _macs(settings: Settings) -> Iterator[Finding]:
    """Parameters of message codes fit each other; without codes only this machine may connect."""
    for name, (key, mac) in settings.macs().items():
        cipher, chain, _ = MAC_DEFAULTS[mac.algorithm]
        free = mac.algorithm == "cup-ecb"
        if not free and mac.cipher != cipher:
            yield _error(
                "mac",
                f"{key}.cipher",
                f'{mac.algorithm} of {name} has the cipher "{cipher}"',
                "leave it out",
            )
        elif mac.key_bytes != MAC_KEY_BYTES[mac.cipher]:
            yield _error(
                "mac",
                f"{key}.key_bytes",
                f"a key of {mac.cipher} has {MAC_KEY_BYTES[mac.cipher]} bytes, not {mac.key_bytes}",
                f"key_bytes = {MAC_KEY_BYTES[mac.cipher]}, or another cipher",
            )
        if mac.chain not in ({"xor", "cbc"} if free else {chain}):
            wanted = '"xor" or "cbc"' if free else f'"{chain}"'
            yield _error(
                "mac",
                f"{key}.chain",
                f"{mac.algorithm} of {name} has the chain {wanted}",
                "leave it out",
            )
        if mac.form == "hex" and mac.code_bytes != 8:
            yield _error(
                "mac",
                f"{key}.code_bytes",
                "a code in hexadecimal form has 8 digits",
                'code_bytes = 8, or form = "binary"',
            )
        if mac.keys == "terminal":
            yield from _terminal_keys(settings, name, key, mac.cipher)
        if mac.keys == "link" and not mac.key:
            yield _error(
                "mac",
                f"{key}.key",
                f"the codes of {name} have no key",
                'key = "NAME"; tapswitch keys link add NAME enters it',
            )
    yield from _exposed_without_mac(settings)


def _terminal_keys(settings: Settings, name: str, key: str, cipher: str) -> Iterator[Finding]:
    if key.startswith("issuers"):
        yield _error(
            "mac", f"{key}.keys", f"{name} is a bank and has no terminals", 'keys = "link"'
        )
    elif settings.terminals is None:
        yield _error(
            "mac",
            f"{key}.keys",
            f"the terminals of {name} have their own keys, and there is no registry",
            "add the table [terminals]",
        )
    if cipher == "sm4":
        yield _error(
            "mac", f"{key}.cipher", "terminals download keys for des and 3des", 'cipher = "3des"'
        )


def _exposed_without_mac(settings: Settings) -> Iterator[Finding]:
    links = [
        (f"acquirers.{i}.listen", a.id, a.listen)
        for i, a in enumerate(settings.acquirers)
        if a.mac is None
    ]
    for i, bank in enumerate(settings.issuers):
        if bank.mac is None:
            dialled = bank.addresses if bank.mode == "dial" else ()
            links += [(f"issuers.{i}.addresses.{j}", bank.id, one) for j, one in enumerate(dialled)]
            if bank.mode == "accept" and bank.listen:
                links.append((f"issuers.{i}.listen", bank.id, bank.listen))
    for key, name, address in links:
        table = "acquirers" if key.startswith("acquirers") else "issuers"
        try:
            exposed = not is_loopback(address)
        except ValueError:
            continue  # the rule "addresses" has said so
        if exposed:
            yield _error(
                "mac",
                key,
                f"{address} is not loopback, and the links of {name} have no message codes",
                f'add [{table}.mac] with algorithm and key, or use "127.0.0.1:PORT"',
            )


def _admission(settings: Settings) -> Iterator[Finding]:
    """Limits of an acquirer that contradict each other, or each other's purpose."""
    for i, one in enumerate(settings.acquirers):
        key = f"acquirers.{i}"
        if one.wait_target_ms > one.wait_interval_ms:
            yield _error(
                "admission",
                f"{key}.wait_target_ms",
                f"{one.id}: requests may wait {one.wait_target_ms} ms while more comes than can be "
                f"served, but only {one.wait_interval_ms} ms otherwise",
                f"wait_target_ms = {min(10, one.wait_interval_ms)}",
            )
        if one.wait_interval_ms * 2 > one.timeout_ms:
            yield _error(
                "admission",
                f"{key}.wait_interval_ms",
                f"{one.id}: a request may wait {one.wait_interval_ms} ms for its turn, and its "
                f"host waits {one.timeout_ms} ms for the answer",
                f"wait_interval_ms = {min(200, one.timeout_ms // 10 or 1)}",
            )
        if one.rate_max and one.burst_max < one.rate_max // 100:
            yield _warning(
                "admission",
                f"{key}.burst_max",
                f"{one.id}: {one.burst_max} at once are less than a hundredth of a second at "
                f"{one.rate_max}/s: ordinary arrivals are refused",
                f"burst_max = {max(1, one.rate_max // 10)}",
            )
    yield from _bulkheads(settings)


def _bulkheads(settings: Settings) -> Iterator[Finding]:
    """With several banks, none may hold every place that an acquirer has: a slow one would stop the
    others."""
    if len(settings.issuers) < 2:
        return
    for i, one in enumerate(settings.acquirers):
        for bank in settings.issuers:
            if bank.in_flight_max >= one.in_flight_max:
                yield _warning(
                    "admission",
                    f"acquirers.{i}.in_flight_max",
                    f"a slow {bank.id} ({bank.in_flight_max} in flight) can hold all "
                    f"{one.in_flight_max} places of {one.id}: requests for other banks then wait",
                    f"in_flight_max = {2 * bank.in_flight_max}, or less at {bank.id}",
                )


def _memory(settings: Settings) -> Iterator[Finding]:
    in_flight = sum(bank.in_flight_max for bank in settings.issuers)
    if 2 * in_flight > settings.limits.duplicates_max:
        yield _error(
            "limits",
            "limits.duplicates_max",
            f"banks may have {in_flight} requests in flight, but only "
            f"{settings.limits.duplicates_max} keys are remembered",
            f"a request in flight must never be forgotten: at least {2 * in_flight}",
        )
    if settings.journal.pending_mib > settings.journal.segment_mib:
        yield _error(
            "limits", "journal.pending_mib", "more may wait for the disk than a segment holds"
        )


def _hand_shakes(settings: Settings) -> Iterator[Finding]:
    """How long a fleet is away after all of its links were lost at once."""
    links = sum(one.connections_max for one in settings.acquirers if one.tls)
    links += sum(one.connections for one in settings.issuers if one.tls and one.mode != "dial")
    share = settings.limits.handshake_share_max
    away_s = links * HANDSHAKE_US * 100 // (share * 1_000_000)
    if away_s > RETURN_S_MAX:
        yield _warning(
            "admission",
            "limits.handshake_share_max",
            f"{links} links with TLS that come back at once need about {away_s} s: "
            f"hand-shakes take {share} % of the time of the worker",
            "a larger share takes its time from payments; or fewer connections_max",
        )


def _token_ranges(settings: Settings) -> Iterator[Finding]:
    """A number is a token or a card number, never both."""
    ranges = settings.tokens.ranges if settings.tokens else ()
    for i, one in enumerate(ranges):
        for j, route in enumerate(settings.routes):
            if route.prefix.startswith(one.prefix) or one.prefix.startswith(route.prefix):
                yield _error(
                    "tokens",
                    f"tokens.ranges.{i}.prefix",
                    f"tokens {one.prefix} and cards {route.prefix} (routes.{j}.prefix) overlap",
                    "give tokens a range that no card has",
                )
        for other in ranges[:i]:
            if other.length == one.length and (
                other.prefix.startswith(one.prefix) or one.prefix.startswith(other.prefix)
            ):
                yield _error(
                    "tokens",
                    f"tokens.ranges.{i}.prefix",
                    f"the range overlaps {other.prefix}",
                    "remove one of the two",
                )


def _tls(settings: Settings) -> Iterator[Finding]:
    """Who connects to us is told by the name in its certificate, so there must be one, and one
    member's only."""
    listed: dict[tuple[str, str], str] = {}
    for name, (key, table) in settings.tls().items():
        dialled = any(bank.id == name and bank.mode == "dial" for bank in settings.issuers)
        if not table.names and not dialled:
            yield _error(
                "tls",
                f"{key}.names",
                f"{name} connects to us, but no certificate is said to be its own",
                "names = [...]: as `tapswitch cert show FILE` shows them for the certificate that "
                "it sent you",
            )
        for one in table.names:
            before = listed.setdefault((key.partition(".")[0], one.casefold()), name)
            if before != name:
                yield _warning(
                    "tls",
                    f"{key}.names",
                    f'"{one}" is a name of {before} too: certificates cannot tell them apart',
                    "a certificate for each",
                )


def _plain(settings: Settings) -> Iterator[Finding]:
    """Card numbers on a network that is not ours alone."""
    links: list[tuple[str, Acquirer | Issuer, list[str]]] = [
        (f"acquirers.{i}.listen", a, [a.listen]) for i, a in enumerate(settings.acquirers)
    ]
    for i, bank in enumerate(settings.issuers):
        key = "addresses" if bank.mode == "dial" else "listen"
        addresses = list(bank.addresses) if bank.mode == "dial" else [bank.listen]
        links.append((f"issuers.{i}.{key}", bank, addresses))
    for key, member, addresses in links:
        if member.tls is None and any(_outside(address) for address in addresses):
            yield _warning(
                "tls",
                key,
                f"{member.id} is reached beyond this machine without TLS: card numbers cross the "
                "network in clear",
                "add a table tls to it, or see to it that a tunnel covers all of the way",
            )


def _outside(address: str) -> bool:
    try:
        return not is_loopback(address)
    except ValueError:
        return False  # the rule "addresses" has said so


RULES: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    _business_date,
    _institutions,
    _deadlines,
    _pauses,
    _issuer_links,
    _addresses,
    _dialects,
    _routes,
    _admission,
    _memory,
    _hand_shakes,
    _macs,
    _token_ranges,
    _tls,
    _plain,
)
