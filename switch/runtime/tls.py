"""TLS around a link: hand-shakes, who the peer is, and certificates that change while links stand.

A connection gets its slot and its first byte only when the hand-shake is over and the peer's
certificate carries a name that its member's settings list. A certificate is proof of one
institution: a valid one of another is refused like one of a stranger.

Contexts are swapped whole: a hand-shake takes the one in force when it begins, connections that
stand are not touched, and files that are no good change nothing.

**What is as without TLS, and what not.** The loop's TLS layer stands between socket and connection:
marks, caps, pauses and reasons of transport.py work on it as on a socket. Up to 64 KiB more may lie
unsent in the socket's own transport below it, and up to 256 KiB unread. `close` says goodbye and
throws away what still comes until the peer does so too: what an end of stream does without TLS.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

import structlog

from switch.runtime.accept import Acceptor
from switch.runtime.clock import monotonic_ns, wall_s
from switch.runtime.quiet import Quiet
from switch.settings.schema import Tls

if TYPE_CHECKING:
    from switch.crypto.tls import Material
    from switch.runtime.gauges import Gauges
    from switch.runtime.pace import Pace
    from switch.runtime.transport import Connection

__all__ = ["HANDSHAKE_S", "SHUTDOWN_S", "HandshakeError", "LinkTls", "TlsListener"]

log = structlog.get_logger("tls")

HANDSHAKE_S: Final = 5.0
"""From TCP to the last byte of the hand-shake. Two round trips; who is slower holds a place."""
SHUTDOWN_S: Final = 5.0
"""How long a peer may take to read its last bytes and agree to the end of a connection."""
HANDSHAKES_MAX: Final = 256
"""Hand-shakes of one member at a time; whoever comes then stays in the kernel's queue. Apart from
the cap on connections, so that strangers cannot take an institution's places."""
NAMES_TOLD_MAX: Final = 8

RESULTS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no_certificate",
    "CERTIFICATE_VERIFY_FAILED": "certificate",
    "UNSUPPORTED_PROTOCOL": "protocol",
    "NO_SHARED_CIPHER": "protocol",
    "WRONG_VERSION_NUMBER": "protocol",
    "TLSV1_ALERT_PROTOCOL_VERSION": "protocol",
    "HTTP_REQUEST": "protocol",
    "HTTPS_PROXY_REQUEST": "protocol",
}
"""Label `result` by OpenSSL's reason; an alert of the peer is `refused_by_peer`, else `error`."""


class HandshakeError(ConnectionError):
    """No link came of it. `result` is a label, the text says why; it quotes no key and no data."""

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result


class _RefusedError(ssl.SSLError):
    """Ends a hand-shake that OpenSSL was content with; both loops treat it as one that failed."""

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result


class LinkTls:
    """TLS of one member."""

    def __init__(
        self, member: str, table: Tls, material: "Material", pace: "Pace", *, server: bool
    ) -> None:
        """`server`: the member connects to us."""
        self.member = member
        self.server = server
        self.pace = pace
        self.spent_ns = 0
        """How long its hand-shakes have held the loop."""
        self.table = table
        self.material = material
        self.refused_stamp: object = None
        """Files that were looked at and found to be no good: told once."""
        self.gauges: Gauges
        self._quiet = Quiet()
        self.use(table, material)

    def use(self, table: Tls, material: "Material") -> None:
        """What the next hand-shake goes by."""
        # Before a connection is made of it, also in a hand-shake's last step, the peer is proved.
        link = self

        class Proving(ssl.SSLObject):
            def do_handshake(self) -> None:
                began_ns = monotonic_ns()
                try:
                    super().do_handshake()
                    link.prove(self)
                finally:
                    link.spent(monotonic_ns() - began_ns)

        material.context.sslobject_class = Proving
        self.table, self.material = table, material

    def prove(self, wrapped: ssl.SSLObject) -> None:
        """Refuses a peer whose certificate is not one of this member.

        OpenSSL has proved the chain; a session that it resumed was proved earlier, so dates are
        compared here too. Raises: ssl.SSLError.
        """
        # X.509 reading takes memory and time to load: only nodes with TLS pay for it.
        from switch.crypto.certificate import carried, read_certificate

        der = wrapped.getpeercert(binary_form=True)
        if not der:
            raise _RefusedError("no_certificate", "the peer has shown no certificate")
        try:
            peer = read_certificate(der)
        except ValueError as error:
            raise _RefusedError("certificate", f"unreadable certificate: {error}") from None
        if not peer.not_before_s <= wall_s() <= peer.not_after_s:
            raise _RefusedError("certificate", "the certificate is not valid now")
        wanted = self.table.names or (wrapped.server_hostname or "",)
        if not carried(peer, wanted):
            names = ", ".join(peer.names[:NAMES_TOLD_MAX]) or "none"
            raise _RefusedError(
                "name",
                f"the certificate is valid, but of none of the names of {self.member} "
                f"({', '.join(wanted)}); it has: {names}",
            )
        self.gauges.peer_certificate(self.member, peer.not_after_s)

    def spent(self, took_ns: int) -> None:
        """A step of a hand-shake, whatever came of it."""
        self.spent_ns += took_ns
        self.pace.spent(took_ns)

    async def opened(self, opening: Awaitable[Any], connection: "Connection", peer: str) -> None:
        """Waits until a hand-shake is over and the connection has been made.

        Raises: HandshakeError, counted and logged; OSError when there was no hand-shake.
        """
        try:
            try:
                await opening
            except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
                raise HandshakeError(*_reason(error)) from None
            except RuntimeError:
                # uvloop's word for a peer that went between the hand-shake and this turn.
                if not connection.made_ns:
                    raise
            if not connection.made_ns:
                raise HandshakeError("closed", "closed by the peer")
        except HandshakeError as error:
            self.gauges.handshake(self.member, error.result, self.spent_ns)
            self._tell(peer, error)
            raise
        self.gauges.handshake(self.member, "ok", self.spent_ns)

    def server_name(self, host: str) -> str:
        """What we ask for in the hand-shake, for a bank that has several names at one address."""
        return next((name for name in self.table.names if _is_host(name)), host)

    def _tell(self, peer: str, error: HandshakeError) -> None:
        if self._quiet.speaks(monotonic_ns()):
            log.warning(
                "tls.refused",
                member=self.member,
                peer=peer,
                result=error.result,
                reason=str(error),
                silenced=self._quiet.silenced(),
            )


class TlsListener(Acceptor):
    """Accepts the connections of one member; a connection is made of those that shake hands.

    One is taken from the kernel when its hand-shake may begin, and not before: what waits there is
    bounded and costs nothing. Each hand-shake takes the context in force, and one that fails is
    told to us.
    """

    def __init__(self, link: LinkTls, *accepting: Any) -> None:
        """`accepting`: as of `Acceptor`."""
        self._link = link
        self._full = False
        super().__init__(*accepting)

    def _accept(self, listening: socket.socket) -> None:
        del listening
        self._pause()
        self._link.pace.ask(self._begin)

    def _begin(self) -> bool:
        """It is our turn: whether one was taken. Asks for the next turn then, and goes back to
        waiting for somebody to come otherwise."""
        if self._closed:
            return False
        if len(self._making) >= HANDSHAKES_MAX:
            self._full = True
            return False
        wait_s = self._member.arrivals.wait_s(monotonic_ns())
        if wait_s:
            self._pause_for(wait_s)
            return False
        if any(self._take(listening) for listening in self.sockets):
            # The others first: a queue that is never empty keeps none that stands behind it.
            self.sockets = (*self.sockets[1:], self.sockets[0])
            self._link.pace.ask(self._begin)
            return True
        if self._resuming is None:
            self._resume()
        return False

    def _taken(self, accepted: socket.socket, peer: str) -> None:
        self._make(self._shake(accepted, peer))

    def _made(self, task: "asyncio.Task[None]") -> None:
        super()._made(task)
        if self._full and not self._closed:
            self._full = False
            self._resume()

    async def _shake(self, accepted: socket.socket, peer: str) -> None:
        connection = self._factory()
        opening = self._loop.connect_accepted_socket(
            lambda: connection,
            accepted,
            ssl=self._link.material.context,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        with contextlib.suppress(HandshakeError):
            await self._link.opened(opening, connection, peer)


def _is_host(name: str) -> bool:
    return not set(name) & {" ", "/", ":", "*", "@", "="}


def _reason(error: OSError) -> tuple[str, str]:
    """(label, text) of a hand-shake that failed."""
    if isinstance(error, _RefusedError):
        return error.result, str(error.args[0])
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate", error.verify_message or "not verified"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or type(error).__name__
        said = reason.replace("_", " ").lower()
        if "ALERT" in reason and reason not in RESULTS:
            return "refused_by_peer", said
        return RESULTS.get(reason, "error"), said
    if isinstance(error, ConnectionAbortedError):
        return "timeout", f"not over within {HANDSHAKE_S:g} s"
    return "closed", "closed by the peer"
