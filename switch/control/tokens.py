"""Orders about tokens from outside the gateway: over its socket, or, when none runs, on the vault
itself under the vault's lock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from switch.crypto.keyfile import open_keys
from switch.errors import (
    REGISTRY,
    OperatorError,
    SettingsError,
    TapswitchError,
    UnreachableError,
    VaultError,
)
from switch.runtime.clock import wall_ms
from switch.settings.schema import Settings, TokenSettings
from switch.tokens.lock import VaultLock
from switch.tokens.orders import Answer, Order
from switch.tokens.service import TokenService

if TYPE_CHECKING:
    import httpx

__all__ = ["Performs", "connect", "of_settings", "socket_file"]

ORDERS_URL: Final = "http://gateway/v1/orders"
HEALTH_URL: Final = "http://gateway/v1/health"
ANSWER_S: Final = 120.0
"""An order that waits for a rebuild of a large index is answered within this."""
WAIT_S: Final = 10.0
"""How long somebody else may hold the vault: a gateway that starts, another command."""
AGAIN_S: Final = 0.05
SOCKET_BYTES_MAX: Final = 107
"""Longest path of a Unix socket (sun_path of unix(7), with its final zero 108)."""

_answers: Final = msgspec.json.Decoder(Answer)


class Performs(Protocol):
    """Whoever carries orders out."""

    async def perform(self, order: Order) -> Answer: ...


def of_settings(settings: Settings) -> TokenSettings:
    """The settings' table of tokens. Raises: SettingsError when there is none."""
    if settings.tokens is None:
        raise SettingsError(
            "there is no [tokens]: this node has none",
            file=settings.file,
            help='[tokens] with ranges = [{ prefix = "629977", length = 16 }]',
        )
    return settings.tokens


def socket_file(settings: Settings) -> Path:
    """Where the gateway listens. Raises: SettingsError when the path is too long for a socket."""
    file = Path(settings.node.data_dir) / "run" / "gateway.sock"
    if len(str(file).encode()) > SOCKET_BYTES_MAX:
        raise SettingsError(
            f"the path of the gateway's socket has more than {SOCKET_BYTES_MAX} bytes",
            file=settings.file,
            key="node.data_dir",
            help="a shorter node.data_dir",
        )
    return file


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Performs]:
    """The gateway when it runs, else the vault itself, repaired first.

    Raises: VaultError when somebody else holds the vault; and as `TokenService.open`.
    """
    tokens = of_settings(settings)
    socket = socket_file(settings)
    lock = VaultLock(tokens.vault_file)
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while True:
        async with _gateway(socket) as remote:
            if remote is not None:
                yield remote
                return
        if lock.take():
            break
        if asyncio.get_running_loop().time() > deadline:
            raise VaultError(
                f"process {lock.holder()} holds the vault, and is no gateway that answers",
                file=tokens.vault_file,
                help="wait for it, or end it",
            )
        await asyncio.sleep(AGAIN_S)
    try:
        async with _direct(settings, tokens) as service:
            yield service
    finally:
        lock.release()


@asynccontextmanager
async def _direct(settings: Settings, tokens: TokenSettings) -> AsyncIterator[TokenService]:
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    service = await TokenService.open(tokens, keys, wall_ms)
    try:
        await service.books.repair()
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def _gateway(socket: Path) -> AsyncIterator["Remote | None"]:
    """The gateway behind the socket; None when nobody answers."""
    if not await asyncio.to_thread(socket.exists):
        yield None
        return
    import httpx

    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, timeout=ANSWER_S) as client:
        answers = False
        with contextlib.suppress(httpx.TransportError):
            answers = (await client.get(HEALTH_URL, timeout=2.0)).status_code == 200
        yield Remote(client) if answers else None


class Remote:
    """Orders over the socket."""

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self._client = client

    async def perform(self, order: Order) -> Answer:
        """Raises what the service raised there; UnreachableError when the gateway went away, and
        then the order may have been carried out."""
        import httpx

        try:
            answered = await self._client.post(
                ORDERS_URL,
                content=msgspec.json.encode(order),
                headers={"content-type": "application/json"},
            )
        except httpx.TransportError as error:
            raise UnreachableError(
                f"the gateway went away ({type(error).__name__}); the order may have been carried"
                " out",
                help="tapswitch token show, or audit, tells",
            ) from None
        if answered.status_code == 200:
            answer: Answer = _answers.decode(answered.content)
            return answer
        raise _error_of(answered.content)


def _error_of(content: bytes) -> TapswitchError:
    """The error that the gateway tells of."""
    try:
        told = msgspec.json.decode(content)
        kind = REGISTRY[told["code"]]
        if issubclass(kind, OperatorError):
            return kind(told["detail"], file=told["file"], key=told["key"], help=told["help"])
        return kind(told["detail"] or told["title"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return UnreachableError("what answers at the gateway's socket is no gateway")
