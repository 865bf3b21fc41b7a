"""The certificates of all members while a worker runs: read at start, read anew when they change.

Nothing here touches a connection that stands. Files are looked at once a minute, beside the loop;
an operator's reload reads them at once. Files that are no good change nothing, and say why once.
"""

import asyncio
import functools
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from switch.errors import CertificateError, OperatorError
from switch.runtime.clock import wall_s
from switch.runtime.dialer import CONNECT_TIMEOUT_S
from switch.runtime.listening import Listening, serve
from switch.runtime.pace import Pace
from switch.runtime.tls import HANDSHAKE_S, SHUTDOWN_S, LinkTls, TlsListener
from switch.settings.schema import Settings, Tls

if TYPE_CHECKING:
    from switch.crypto.tls import Material
    from switch.runtime.dialer import Connect
    from switch.runtime.gauges import Gauges
    from switch.runtime.member import Acquirer, Bank
    from switch.runtime.transport import Connection

    Found = dict[str, tuple[Tls, Material | OperatorError]]

__all__ = ["LOOK_EVERY_S", "Certificates"]

log = structlog.get_logger("tls")

LOOK_EVERY_S: Final = 60
"""How often files are looked at for a change that nobody told us of."""


class Certificates:
    """The TLS of all members, and what becomes of it while the worker runs."""

    def __init__(self, settings: Settings) -> None:
        """Reads all files. Raises: CertificateError."""
        self.links: dict[str, LinkTls] = {}
        self._gauges: Gauges | None = None
        self.pace = Pace(settings.limits.handshake_share_max)
        self._look_at_s = 0.0
        self._looking: asyncio.Future[Found] | None = None
        self.adopt(settings, self.prepare(settings))

    # ----------------------------------------------------------------------------- reloading

    def prepare(self, settings: Settings) -> "dict[str, Material]":
        """Reads and judges what `settings` name; nothing changes. May run on another thread.

        Raises: CertificateError for the first file that is no good.
        """
        if not settings.tls():
            return {}
        # X.509 reading takes memory and time to load: only nodes with TLS pay for it.
        from switch.crypto.tls import load_material

        prepared = {}
        for name, (_, table) in settings.tls().items():
            material = load_material(table, server=_is_server(settings, name))
            link = self.links.get(name)
            if self._gauges is not None and (link is None or material.stamp != link.material.stamp):
                _refuse_dead(table, material, wall_s())
            prepared[name] = material
        return prepared

    def adopt(self, settings: Settings, prepared: "Mapping[str, Material]") -> None:
        """What was prepared is what the next hand-shakes go by; standing links go on.

        A member that gets TLS, or loses it, needs a new listener or dialler besides.
        """
        self.pace.share_max = settings.limits.handshake_share_max
        for name, (_, table) in settings.tls().items():
            link = self.links.get(name)
            if link is None:
                server = _is_server(settings, name)
                self.links[name] = LinkTls(name, table, prepared[name], self.pace, server=server)
            else:
                link.server = _is_server(settings, name)
                link.use(table, prepared[name])
        for name in self.links.keys() - prepared.keys():
            del self.links[name]
        if self._gauges is not None:
            self._publish()

    def reload(self, settings: Settings) -> None:
        """Both in one: for an order of the operator. Raises: CertificateError; nothing changed
        then."""
        try:
            prepared = self.prepare(settings)
        except CertificateError:
            self._read(self.links, ok=False)
            raise
        self.adopt(settings, prepared)
        self._read(self.links, ok=True)
        log.info("tls.reloaded", members=sorted(self.links))

    def counted(self, *, ok: bool) -> None:
        """A reload has read the files of all members, or found one that is no good."""
        self._read(self.links, ok=ok)

    def look(self, now_s: float) -> None:
        """Called often by the timer; once a minute files are looked at, beside the loop."""
        if now_s < self._look_at_s or not self.links or self._looking is not None:
            return
        self._look_at_s = now_s + LOOK_EVERY_S
        loop = asyncio.get_running_loop()
        self._looking = loop.run_in_executor(None, _changed, list(self.links.values()))
        self._looking.add_done_callback(self._looked)

    def _looked(self, looking: "asyncio.Future[Found]") -> None:
        self._looking = None
        if looking.cancelled():
            return
        for name, (table, found) in looking.result().items():
            link = self.links.get(name)
            if link is None or link.table is not table:
                continue  # The settings have changed meanwhile.
            if isinstance(found, OperatorError):
                self._read([name], ok=False)
                log.error("tls.unchanged", member=name, reason=str(found))
            else:
                link.use(table, found)
                self._read([name], ok=True)
                log.info("tls.changed", member=name, not_after_s=found.not_after_s)
        self._publish()

    def start(self, gauges: "Gauges") -> None:
        """From now on a certificate that is read must be worth something: links stand."""
        self._gauges = gauges
        self._publish()

    def _publish(self) -> None:
        assert self._gauges is not None
        for name, link in self.links.items():
            link.gauges = self._gauges
            self._gauges.certificate(name, link.material.not_after_s)

    def _read(self, names: Iterable[str], *, ok: bool) -> None:
        assert self._gauges is not None
        for name in names:
            self._gauges.certificates_read(name, ok=ok)

    # ---------------------------------------------------------------------------- connections

    async def listening(
        self,
        member: "Acquirer | Bank",
        factory: "Callable[[], Connection]",
        sockets: "Sequence[socket.socket]",
    ) -> Listening:
        """A listener for a member over sockets that have its address (`listening.take`), with
        hand-shakes where it has TLS."""
        link = self.links.get(member.name)
        if link is None:
            return await serve(factory, sockets, member, lambda: self._shed(member.name))
        return TlsListener(link, member, factory, sockets, lambda: self._shed(member.name))

    def _shed(self, member: str) -> None:
        assert self._gauges is not None
        self._gauges.shed(member)

    def dialling(self, member: str) -> "Connect | None":
        """How a bank's connections are made; None: plain."""
        link = self.links.get(member)
        return None if link is None else functools.partial(self._dial, link)

    async def _dial(self, link: LinkTls, connection: "Connection", host: str, port: int) -> None:
        await self.pace.turn()
        opening = asyncio.get_running_loop().create_connection(
            lambda: connection,
            host,
            port,
            ssl=link.material.context,
            server_hostname=link.server_name(host),
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        async with asyncio.timeout(CONNECT_TIMEOUT_S + HANDSHAKE_S):
            await link.opened(opening, connection, f"{host}:{port}")


def _is_server(settings: Settings, name: str) -> bool:
    dialled = {bank.id for bank in settings.issuers if bank.mode == "dial"}
    return name not in dialled


def _refuse_dead(table: Tls, material: "Material", now_s: int) -> None:
    for one in material.chain:
        if not one.not_before_s <= now_s < one.not_after_s:
            when = "has ended" if now_s >= one.not_after_s else "is not valid yet"
            raise CertificateError(
                f"the certificate of {one.subject} {when}",
                file=table.certificate,
                key="certificate",
                help="what was in use stays in use",
            )


def _changed(links: Iterable[LinkTls]) -> "Found":
    """What members' files hold now, where they changed since they were read; or why not."""
    from switch.crypto.tls import load_material, stamp

    found: Found = {}
    for link in links:
        table, now = link.table, stamp(link.table)
        if now in (link.material.stamp, link.refused_stamp):
            continue
        try:
            material = load_material(table, server=link.server)
            _refuse_dead(table, material, wall_s())
            found[link.member] = table, material
        except OperatorError as error:
            link.refused_stamp = now
            found[link.member] = table, error
    return found
