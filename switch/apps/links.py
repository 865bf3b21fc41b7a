"""Listeners and dialers of all members, and the terms under which connections are made.

Whoever makes a connection asks for the member's terms at that moment, so that a reload changes them
for all connections to come by changing one entry. Connections that stand keep theirs.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from switch.crypto.links import Guard
from switch.errors import SettingsError
from switch.link.session import Role, Rules, Session
from switch.runtime.certificates import Certificates
from switch.runtime.desk import Desk
from switch.runtime.dialer import Dialer
from switch.runtime.driver import Driver
from switch.runtime.listener import AcquirerConnection, BankConnection
from switch.runtime.listening import Listening, bound_name, take
from switch.runtime.member import Acquirer, Bank, Hold
from switch.runtime.terms import Terms
from switch.runtime.transport import Connection
from switch.settings.schema import Acquirer as AcquirerSettings
from switch.settings.schema import Issuer as IssuerSettings
from switch.settings.schema import Settings, split_address
from switch.wire import Dialect

__all__ = ["Links", "Opened", "Taken", "dialled", "terms_of"]


class Taken(msgspec.Struct, frozen=True):
    """An address that is ours; whoever connects there waits."""

    wanted: str
    """As the settings have it."""
    sockets: list[socket.socket]

    @property
    def at(self) -> str:
        """Where it listens as ``host:port``."""
        return bound_name(self.sockets[0])

    def give_up(self) -> None:
        """Nobody will be served there."""
        for one in self.sockets:
            one.close()


class Opened(msgspec.Struct, frozen=True):
    """A listener."""

    wanted: str
    """Its address in the settings."""
    at: str
    """Where it listens as ``host:port``."""
    server: Listening
    tls: bool

    def share(self, wanted: str) -> Taken:
        """Its very sockets once more, for the one who takes its place."""
        return Taken(
            wanted, [socket.socket(fileno=os.dup(one.fileno())) for one in self.server.sockets]
        )


@dataclass(slots=True)
class Links:
    """One per worker."""

    driver: Driver
    acquirers: Mapping[int, Acquirer]
    banks: Mapping[int, Bank]
    indexes: Mapping[str, int]
    certificates: Certificates
    guards: Mapping[str, Guard]
    bound: Mapping[str, str]
    """Where a predecessor listened, by member: for those whose settings take any free port."""
    desk: Desk | None = None
    """Where terminals sign on."""
    inherited: dict[str, list[socket.socket]] = field(default_factory=dict)
    """Listeners of a predecessor, by member: whoever waits there is served by us."""
    take: Callable[[str, int], Awaitable[Sequence[Any]]] = take
    """Takes an address to listen on."""
    terms: dict[str, Terms] = field(default_factory=dict)
    servers: dict[str, Opened] = field(default_factory=dict)
    dialers: dict[str, Dialer] = field(default_factory=dict)

    def stale(self, connection: Connection) -> bool:
        """True for one whose place another of the member's new terms must take."""
        made, now = connection.terms, self.terms.get(connection.member.name)
        return made is not None and (now is None or made.generation != now.generation)

    # ------------------------------------------------------------------------------ connections

    def connection(self, name: str) -> Connection:
        """A connection of a member, under the terms of this moment."""
        index = self.indexes[name]
        acquirer = self.acquirers.get(index)
        return self._bank(self.banks[index]) if acquirer is None else self._acquirer(acquirer)

    def renew(self, connection: Connection) -> None:
        """Gives a connection that stays the terms that are new, as far as they concern it."""
        terms = self.terms.get(connection.member.name)
        if terms is None or self.stale(connection):
            return
        connection.terms = terms
        if isinstance(connection, AcquirerConnection | BankConnection):
            connection.session.adopt(terms.rules)

    def _acquirer(self, acquirer: Acquirer) -> Connection:
        terms = self.terms[acquirer.name]
        session = Session(terms.rules, acquirer.numbers)
        made = AcquirerConnection(
            self.driver,
            acquirer,
            terms.dialect,
            terms.frame_bytes_max,
            session,
            self.guards.get(acquirer.name),
            self.desk if terms.terminals else None,
        )
        made.terms = terms
        return made

    def _bank(self, bank: Bank) -> Connection:
        terms = self.terms[bank.name]
        session = Session(terms.rules, bank.matcher)
        made = BankConnection(
            self.driver,
            bank,
            terms.dialect,
            terms.frame_bytes_max,
            session,
            self.guards.get(bank.name),
        )
        made.terms = terms
        return made

    # ---------------------------------------------------------------------- listeners, dialers

    async def taken(self, name: str, address: str, file: str) -> Taken:
        """Takes an address for a member. `file` is named in errors.

        Raises: SettingsError when it cannot be had.
        """
        host, port = split_address(address)
        if port == 0 and name in self.bound:
            host, port = split_address(self.bound[name])
        kept = self.inherited.pop(name, None)
        if kept and await _fits(kept, host, port):
            return Taken(address, kept)
        for one in kept or ():
            one.close()
        try:
            return Taken(address, list(await self.take(host, port)))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port} for {name}: {error.strerror or error}",
                file=file,
                help="is another process using it?",
            ) from None

    async def accept(self, name: str, taken: Taken) -> None:
        """From now on the member may connect there, and nowhere else."""
        self.stop_listening(name)
        at = taken.at
        index = self.indexes[name]
        member = self.acquirers.get(index) or self.banks[index]
        server = await self.certificates.listening(
            member, lambda: self.connection(name), taken.sockets
        )
        self.servers[name] = Opened(taken.wanted, at, server, name in self.certificates.links)

    def dialer(self, bank: Bank, issuer: IssuerSettings) -> Dialer:
        """The dialler of a bank, not started."""
        made = Dialer(
            issuer.id,
            *dialled(issuer),
            factory=lambda: self.connection(bank.name),
            connect=self.certificates.dialling(bank.name),
        )
        if bank.hold is Hold.DRAINED:
            made.hold()
        self.dialers[issuer.id] = made
        return made

    def stop_listening(self, name: str) -> None:
        """Nobody connects there any more; connections that stand, stand."""
        opened = self.servers.pop(name, None)
        if opened is not None:
            opened.server.close()

    async def stop_dialling(self, name: str) -> None:
        """As `stop_listening`."""
        dialer = self.dialers.pop(name, None)
        if dialer is not None:
            await dialer.stop()

    def addresses(self, settings: Settings) -> dict[str, dict[str, str]]:
        """Where members connect, for the ready line."""
        return {
            "acquirers": self._at(one.id for one in settings.acquirers),
            "issuers": self._at(one.id for one in settings.issuers),
        }

    def _at(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self.servers[name].at for name in names if name in self.servers}


async def _fits(kept: Sequence[socket.socket], host: str, port: int) -> bool:
    """Whether sockets listen where the settings say now."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    wanted = {(str(one[4][0]), port) for one in found}
    return wanted == {tuple(one.getsockname()[:2]) for one in kept}


def dialled(issuer: IssuerSettings) -> tuple[Any, int, tuple[int, int]]:
    """Addresses, number of connections and pauses of a bank that we dial."""
    to = [split_address(address) for address in issuer.addresses]
    return to, issuer.connections, (issuer.reconnect_min_ms, issuer.reconnect_max_ms)


def terms_of(
    settings: Settings, dialects: Mapping[str, Dialect], generations: Mapping[str, int]
) -> dict[str, Terms]:
    """The terms of every member."""
    members: list[tuple[Role, AcquirerSettings | IssuerSettings]] = [
        *((Role.ACQUIRER, one) for one in settings.acquirers),
        *((Role.ISSUER, one) for one in settings.issuers),
    ]
    return {
        one.id: Terms(
            dialects[one.dialect],
            Rules(
                role,
                sign_on=one.sign_on and not of_terminals(one),
                echo_idle_ms=0 if of_terminals(one) else one.echo_idle_s * 1000,
                watched=isinstance(one, IssuerSettings) and one.suspect_ms > 0,
            ),
            settings.limits.frame_bytes_max,
            generations.get(one.id, 0),
            of_terminals(one),
        )
        for role, one in members
    }


def of_terminals(member: AcquirerSettings | IssuerSettings) -> bool:
    """Each terminal signs on by itself; the link is nobody's to sign on."""
    return member.mac is not None and member.mac.keys == "terminal"
