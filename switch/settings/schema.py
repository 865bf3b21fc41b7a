"""The schema of the settings: one frozen Struct a table, the meaning of a key beside the key.

The example file is generated from what stands here (switch/settings/example.py), and a test fails
when the two drift apart. Unknown keys are refused. Secrets are named by path, never written here.
Paths are relative to the settings file; `load` makes them absolute.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from switch.constants import BIN_PREFIX_DIGITS_MAX, CONNECTS_PER_S_MAX
from switch.model.token import TOKEN_DIGITS_MAX, TOKEN_DIGITS_MIN
from switch.settings.circuit import Circuit
from switch.settings.limits import Limits
from switch.settings.mac import MAC_DEFAULTS, MAC_KEY_BYTES, Mac
from switch.settings.saf import Saf
from switch.settings.sources import Sources
from switch.settings.stand_in import StandIn
from switch.settings.tls import Tls

__all__ = [
    "MAC_DEFAULTS",
    "MAC_KEY_BYTES",
    "Acquirer",
    "Circuit",
    "Issuer",
    "JournalSettings",
    "KeySettings",
    "Limits",
    "Mac",
    "Metrics",
    "Node",
    "Route",
    "RouteFile",
    "Settings",
    "StandIn",
    "SwitchFile",
    "TerminalSettings",
    "Tls",
    "TokenRange",
    "TokenSettings",
    "split_address",
]

HOUR_S: Final = 3_600

_ID: Final = Meta(
    pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$",
    description="Institution id: up to 16 letters, digits, - and _. It names the peer in the "
    "journal, in metrics and on screens, so it never changes.",
)
_CODE: Final = Meta(pattern="^[0-9]{1,11}$")
_ADDRESS: Final = Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$")

InstitutionId = Annotated[str, _ID]
InstitutionCode = Annotated[str, _CODE]
Address = Annotated[str, _ADDRESS]
Milliseconds = Annotated[int, Meta(ge=1, le=HOUR_S * 1_000)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables: immutable, no unknown keys."""


class Node(Table, frozen=True, kw_only=True):
    """This node."""

    id: Annotated[
        int,
        Meta(
            ge=1,
            le=255,
            description="Number of this node among its equals; part of every transaction id.",
        ),
    ] = 1
    institution_code: Annotated[
        InstitutionCode,
        Meta(description="Our own institution code: field 33 of everything we send to a bank."),
    ]
    data_dir: Annotated[
        str, Meta(min_length=1, description="Where the journal lives; made at first start.")
    ] = "data"
    business_zone: Annotated[
        str, Meta(description="Time zone of the business date (a name of the tz database).")
    ] = "Asia/Shanghai"
    cutover: Annotated[
        str,
        Meta(
            pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
            description="Local time HH:MM from which a request belongs to the next business date.",
        ),
    ] = "23:00"
    four_eyes: Annotated[
        bool,
        Meta(
            description="An operator's final word (saf write-off) is asked for by one and confirmed"
            " by another, within 15 minutes. false: one operator is enough."
        ),
    ] = True


class KeySettings(Table, frozen=True, kw_only=True):
    """Keys of journal and PAN encryption. Only paths stand here."""

    file: Annotated[
        str, Meta(min_length=1, description="The sealed key file. Demo keys are made when absent.")
    ] = "keys/switch.keys"
    sealing_key_file: Annotated[
        str,
        Meta(
            description="File of mode 0600 with the 32 bytes that open it, on another device in "
            'production; "fd:N" names an inherited descriptor of a file (or memfd) instead.',
            min_length=1,
        ),
    ] = "keys/sealing.key"
    link_keys_file: Annotated[
        str,
        Meta(min_length=1, description="Keys shared with other hosts, sealed; made by keys link."),
    ] = "keys/link.keys"


class JournalSettings(Table, frozen=True, kw_only=True):
    """The append-only journal."""

    segment_mib: Annotated[
        int, Meta(ge=1, le=4_096, description="Size of one preallocated segment in MiB.")
    ] = 64
    retention_h: Annotated[
        int,
        Meta(
            ge=1,
            le=24 * 400,
            description="Segments that a checkpoint covers are kept this many hours for search.",
        ),
    ] = 24 * 7
    pending_mib: Annotated[
        int,
        Meta(ge=1, le=1_024, description="Records waiting for the disk; beyond it: 96, no growth."),
    ] = 32


class Metrics(Table, frozen=True, kw_only=True):
    """The exporter process."""

    listen: Annotated[
        Address, Meta(description="Where Prometheus reads; port 0 takes a free one.")
    ] = "127.0.0.1:9464"


class Acquirer(Table, frozen=True, kw_only=True):
    """An institution that sends us requests. It connects to us."""

    id: InstitutionId
    institution_code: Annotated[
        InstitutionCode, Meta(description="Field 32 of its messages; another one is refused.")
    ]
    dialect: Annotated[str, Meta(description="Name of a file in dialects/, without .toml.")] = (
        "iso87-ascii"
    )
    listen: Annotated[
        Address,
        Meta(description="Where this acquirer, and no other, connects; port 0 takes a free one."),
    ]
    sign_on: Annotated[
        bool,
        Meta(description="Financial traffic is refused until the link signed on (0800 001)."),
    ] = True
    terminal_timeout_ms: Annotated[
        Milliseconds, Meta(description="How long its terminals wait for an answer.")
    ] = 40_000
    timeout_ms: Annotated[
        Milliseconds, Meta(description="How long its host waits for us before it reverses.")
    ] = 30_000
    in_flight_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1 << 20,
            description="Requests without an answer; beyond it they wait, and are refused (91) "
            "when they have waited too long.",
        ),
    ] = 4_096
    rate_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="New requests a second; beyond it and its burst: 91. 0: as many as come.",
        ),
    ] = 0
    burst_max: Annotated[
        int,
        Meta(ge=1, le=1 << 20, description="With rate_max: requests at once after a pause."),
    ] = 1_000
    wait_target_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="While more comes than can be served, a request that has waited longer "
            "for its turn is refused (91). Reversals, advices and network management never are.",
        ),
    ] = 10
    wait_interval_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="More comes than can be served when requests have waited all through so "
            "long a time; a shorter burst may wait as long as this.",
        ),
    ] = 200
    connections_max: Annotated[
        int, Meta(ge=1, le=4_096, description="Connections at a time; further ones are closed.")
    ] = 64
    connects_per_s_max: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Connections taken in a second, after 16 at once; others wait in the "
            "kernel's queue of 512.",
        ),
    ] = CONNECTS_PER_S_MAX
    echo_idle_s: Annotated[
        int, Meta(ge=0, le=HOUR_S, description="Echo (0800 301) after idle; 0: never.")
    ] = 60
    undeliverable: Annotated[
        Literal["keep", "reverse"],
        Meta(
            description="An approval of which provably no byte reached the acquirer: keep it for "
            "the repeat, or reverse it at the bank."
        ),
    ] = "keep"
    tls: Annotated[
        Tls | None, Meta(description="TLS on all links of this member; without it plain TCP.")
    ] = None
    mac: Annotated[
        Mac | None, Meta(description="Message codes; without it the links belong on loopback.")
    ] = None


class Issuer(Table, frozen=True, kw_only=True):
    """A bank, or the network that leads to it."""

    id: InstitutionId
    institution_code: Annotated[
        InstitutionCode, Meta(description="The bank's own institution code.")
    ]
    dialect: Annotated[str, Meta(description="Name of a file in dialects/, without .toml.")] = (
        "iso87-ascii"
    )
    mode: Annotated[
        Literal["dial", "accept"],
        Meta(description="Who connects: we dial its addresses, or we accept on our listen."),
    ] = "dial"
    addresses: Annotated[
        tuple[Address, ...], Meta(max_length=16, description="mode dial: in order of preference.")
    ] = ()
    listen: Annotated[str, Meta(description="mode accept: where this bank connects.")] = ""
    connections: Annotated[
        int, Meta(ge=1, le=64, description="mode dial: connections held open; accept: at most.")
    ] = 2
    sign_on: Annotated[
        bool, Meta(description="We sign on (0800 001) on each connection before sending requests.")
    ] = True
    deadline_ms: Annotated[
        Milliseconds,
        Meta(
            description="From the first byte of a request until the bank's answer counts as "
            "missing: declined 91 and reversed."
        ),
    ] = 20_000
    in_flight_max: Annotated[
        int,
        Meta(ge=1, le=1 << 20, description="Requests at the bank without an answer; beyond it 91."),
    ] = 1_024
    echo_idle_s: Annotated[
        int, Meta(ge=0, le=HOUR_S, description="Echo (0800 301) after idle; 0: never.")
    ] = 60
    suspect_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=600_000,
            description="A connection that was sent something and says nothing for so long is "
            "tested with an echo; one that takes none of our bytes for so long gets no new "
            "requests; 0: connections are not judged.",
        ),
    ] = 2_000
    probe_ms: Annotated[
        int,
        Meta(
            ge=10,
            le=60_000,
            description="Limit for the answer to that echo; then no new requests go to the "
            "connection until it is well again.",
        ),
    ] = 3_000
    answered_share_min: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Per cent of requests that must be answered in time on a connection "
            "(over 30 s, and at least 10 that were not); below it none go to it; 0: not judged.",
        ),
    ] = 50
    health_pause_max_ms: Annotated[
        int,
        Meta(
            ge=1_000,
            le=HOUR_S * 1_000,
            description="Longest time that a connection which fails again and again gets no new "
            "requests although it answers echoes; the first is 1 s.",
        ),
    ] = 60_000
    circuit: Annotated[
        Circuit | None, Meta(description="Its circuit breaker; without the table, its defaults.")
    ] = None
    reversal_retry_ms: Annotated[
        Milliseconds,
        Meta(
            description="Longest first pause before an unanswered reversal or advice is repeated; "
            "it doubles."
        ),
    ] = 5_000
    reversal_retry_max_ms: Annotated[
        Milliseconds, Meta(description="Longest pause between repeats of it.")
    ] = 60_000
    reversal_attempts_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1 << 20,
            description="After so many attempts it waits for a new link or an operator.",
        ),
    ] = 1_000
    saf: Annotated[
        Saf | None,
        Meta(description="How it is sent what it is owed; without the table, its defaults."),
    ] = None
    reconnect_min_ms: Annotated[
        Milliseconds, Meta(description="First pause before dialling again; jittered, it doubles.")
    ] = 200
    reconnect_max_ms: Annotated[
        Milliseconds, Meta(description="Longest pause before dialling again.")
    ] = 30_000
    stand_in: Annotated[
        tuple[StandIn, ...],
        Meta(max_length=16, description="Rules of stand-in; none: never."),
    ] = ()
    tls: Annotated[
        Tls | None, Meta(description="TLS on all links of this member; without it plain TCP.")
    ] = None
    mac: Annotated[
        Mac | None, Meta(description="Message codes; without it the links belong on loopback.")
    ] = None


class Route(Table, frozen=True, kw_only=True):
    """The longest prefix of a card number that matches decides."""

    prefix: Annotated[
        str,
        Meta(
            pattern=f"^[0-9]{{1,{BIN_PREFIX_DIGITS_MAX}}}$",
            description=f"1 to {BIN_PREFIX_DIGITS_MAX} leading digits of the card number.",
        ),
    ]
    issuer: Annotated[str, Meta(description="Id of an issuer.")]


class TokenRange(Table, frozen=True, kw_only=True):
    """Numbers that are tokens and never card numbers."""

    prefix: Annotated[
        str,
        Meta(
            pattern=f"^[0-9]{{6,{BIN_PREFIX_DIGITS_MAX}}}$",
            description=f"6 to {BIN_PREFIX_DIGITS_MAX} leading digits. No route may lie in it, "
            "nor it in a route.",
        ),
    ]
    length: Annotated[
        int,
        Meta(
            ge=TOKEN_DIGITS_MIN,
            le=TOKEN_DIGITS_MAX,
            description="Digits of a token, check digit included: as many as the cards have.",
        ),
    ]


class TokenSettings(Table, frozen=True, kw_only=True):
    """Tokens. Without this table every number is a plain card's."""

    ranges: Annotated[
        tuple[TokenRange, ...],
        Meta(
            min_length=1,
            max_length=64,
            description="Where tokens are taken from; of one length, the first is preferred.",
        ),
    ]
    vault_file: Annotated[
        str, Meta(min_length=1, description="The vault: tokens, and card numbers sealed.")
    ] = "data/vault/vault.sqlite"
    index_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="The index that the worker looks tokens up in; made from the vault, and "
            "made again when it is missing or damaged.",
        ),
    ] = "data/index"
    card_masters_file: Annotated[
        str, Meta(min_length=1, description="Issuers' card master keys, sealed.")
    ] = "keys/card-masters.keys"
    atc_gap_max: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description="A device's transaction counter may be this far ahead of the highest one "
            "seen; beyond it the tap is refused.",
        ),
    ] = 1_000
    atc_entries_max: Annotated[
        int,
        Meta(
            ge=1_024,
            le=1 << 27,
            description="Tokens whose transaction counters have room from the start; more cost "
            "one pause each time the room doubles. None is ever forgotten.",
        ),
    ] = 1 << 20
    key_version: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description="Version of the keys that new card numbers are sealed "
            "under; older ones stay readable.",
        ),
    ] = 1


class TerminalSettings(Table, frozen=True, kw_only=True):
    """Terminals that sign on by themselves and download their work keys. Without this table no
    acquirer may leave `mac.keys` to its terminals."""

    file: Annotated[
        str,
        Meta(
            min_length=1,
            description="The registry: terminals, their merchants, and their master keys sealed; "
            "made by tapswitch terminal add or import. A change is noticed within a second.",
        ),
    ] = "keys/terminals.keys"


class SwitchFile(Table, frozen=True, kw_only=True):
    """What the settings file itself may hold."""

    node: Node
    keys: KeySettings = KeySettings()
    journal: JournalSettings = JournalSettings()
    limits: Limits = Limits()
    metrics: Metrics = Metrics()
    tokens: TokenSettings | None = None
    terminals: TerminalSettings | None = None
    acquirers: Annotated[tuple[Acquirer, ...], Meta(min_length=1, max_length=64)]
    issuers: Annotated[tuple[Issuer, ...], Meta(min_length=1, max_length=64)]


class RouteFile(Table, frozen=True, kw_only=True):
    """What a file in routes/ may hold."""

    routes: tuple[Route, ...] = ()


class Settings(Table, frozen=True, kw_only=True):
    """A whole configuration directory, read and typed; `check` has judged it when a worker runs."""

    file: str
    """The settings file; `dialects/` and `routes/` stand beside it."""
    digest: str
    """First 16 hex digits of SHA-256 over all files: the version in every record of a decision."""
    sources: Sources
    """The files as they were read."""
    node: Node
    keys: KeySettings
    journal: JournalSettings
    limits: Limits
    metrics: Metrics
    tokens: TokenSettings | None
    terminals: TerminalSettings | None
    acquirers: tuple[Acquirer, ...]
    issuers: tuple[Issuer, ...]
    routes: tuple[Route, ...]
    dialects: dict[str, str]
    """Name to path of every file in dialects/."""

    def dialect_text(self, name: str) -> str:
        """What stands in a dialect's file."""
        return self.sources.texts[f"dialects/{name}.toml"]

    def tls(self) -> dict[str, tuple[str, Tls]]:
        """Institution id to (dotted key of the table, table), of every member with TLS."""
        members = [(f"acquirers.{i}.tls", a.id, a.tls) for i, a in enumerate(self.acquirers)]
        members += [(f"issuers.{i}.tls", b.id, b.tls) for i, b in enumerate(self.issuers)]
        return {name: (key, tls) for key, name, tls in members if tls is not None}

    def macs(self) -> dict[str, tuple[str, Mac]]:
        """Institution id to (dotted key of the table, table), of every member with message codes;
        every parameter is said."""
        members = [(f"acquirers.{i}.mac", a.id, a.mac) for i, a in enumerate(self.acquirers)]
        members += [(f"issuers.{i}.mac", b.id, b.mac) for i, b in enumerate(self.issuers)]
        return {name: (key, mac.whole()) for key, name, mac in members if mac is not None}

    def listens(self) -> list[tuple[str, str]]:
        """(dotted key, address) of everything that we listen on."""
        found = [
            (f"acquirers.{i}.listen", acquirer.listen) for i, acquirer in enumerate(self.acquirers)
        ]
        found += [
            (f"issuers.{i}.listen", issuer.listen)
            for i, issuer in enumerate(self.issuers)
            if issuer.mode == "accept" and issuer.listen
        ]
        return [*found, ("metrics.listen", self.metrics.listen)]


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` to host and port; brackets go. Port is 0 to 65535.

    Raises: ValueError.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)
