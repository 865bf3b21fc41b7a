"""The gateway process: it owns the vault, writes the index, and takes orders about tokens.

Orders come over a Unix socket in the data directory that only our own user can open. While it
repairs or rebuilds the index, taps are declined as a fault of ours, and the worker waits for
nobody.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from switch.apps.drill import arm
from switch.control.tokens import of_settings, socket_file
from switch.crypto.keyfile import open_keys
from switch.errors import OperatorError, TapswitchError, TokenError, UsageError, VaultError
from switch.model.token import TokenState
from switch.observe import log as observe_log
from switch.observe.catalogue import Members
from switch.observe.metrics import Metrics
from switch.observe.place import GATEWAY, meter_file
from switch.runtime import fault, ready
from switch.runtime.clock import wall_ms
from switch.runtime.harden import end_with_parent, harden
from switch.services.token_api import app
from switch.settings.load import load
from switch.settings.schema import Settings
from switch.tokens.lock import VaultLock
from switch.tokens.orders import Answer, Order
from switch.tokens.service import TokenService

__all__ = ["main", "serve"]

log = structlog.get_logger("gateway")
READY_FILE: Final = "gateway.json"
LOCK_S: Final = 30.0
"""A command that works on the vault directly is waited for this long."""
TEND_S: Final = 60.0
REPAIR_AGAIN_S: Final = 5.0
STOP_S: Final = 2
NOBODY: Final = Members([], [])
"""No series of the gateway speaks of a member."""


async def serve(settings: Settings, descriptor: int = -1) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code.

    Raises: VaultError, KeyFileError, SettingsError.
    """
    tokens = of_settings(settings)
    file = socket_file(settings)
    lock = VaultLock(tokens.vault_file)
    await _take(lock, tokens.vault_file)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
        service = await TokenService.open(tokens, keys, wall_ms)
        counted = Counted(
            service, Metrics(meter_file(settings.node.data_dir, GATEWAY), NOBODY, GATEWAY)
        )
        try:
            await _serve(counted, file, descriptor, stopping)
        finally:
            await service.close()
            counted.metrics.close()
    finally:
        lock.release()
    log.info("gateway.stopped")
    return 0


class Counted:
    """The service with its orders counted."""

    def __init__(self, service: TokenService, metrics: Metrics) -> None:
        self.books = service.books
        self.metrics = metrics
        self._service = service

    async def perform(self, order: Order) -> Answer:
        """As `TokenService.perform`."""
        operation = str(type(order).__struct_config__.tag)
        result = "failed"
        try:
            answer = await self._service.perform(order)
            result = "done"
        except (TokenError, UsageError):
            result = "refused"
            raise
        finally:
            self.metrics.count("token_requests_total", operation=operation, result=result)
        return answer

    async def look(self) -> None:
        """How vault and index stand. Raises VaultError."""
        states = await self.books.vault.states()
        for state in TokenState:
            name = state.name.lower()
            self.metrics.set("tokens", states.get(state, 0), state=name)
        fault_now = self.books.fault(await self.books.vault.change())
        self.metrics.set("token_index_behind", int(bool(fault_now) or self.books.rebuilding))
        self.metrics.set("gateway_heartbeat_timestamp_seconds", wall_ms() // 1000)


async def _take(lock: VaultLock, vault_file: str) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_S
    while not lock.take():
        if asyncio.get_running_loop().time() > deadline:
            raise VaultError(
                f"process {lock.holder()} holds the vault",
                file=vault_file,
                help="end it; there is one gateway to a vault",
            )
        await asyncio.sleep(0.05)


async def _serve(service: Counted, file: Path, descriptor: int, stopping: asyncio.Event) -> None:
    told = file.with_name(READY_FILE)
    ready.withdraw(told)
    listening = _listen(file)
    config = uvicorn.Config(
        app(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        http="httptools",
        ws="none",
        timeout_graceful_shutdown=STOP_S,
    )
    server = _Server(config)
    tending = asyncio.ensure_future(_tend(service, stopping))
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        ready.tell({"ready": True, "pid": os.getpid(), "socket": str(file)}, told, descriptor)
        log.info("gateway.ready", socket=str(file))
        waiting = asyncio.ensure_future(stopping.wait())
        await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    finally:
        ready.withdraw(told)
        server.should_exit = True
        await serving
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending
        listening.close()
        os.unlink(file)


class _Server(uvicorn.Server):
    """Signals are ours: they end the process in order, vault last."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def _listen(file: Path) -> socket.socket:
    """The socket, for our user alone from its first moment on."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Left by a gateway that was killed: whoever has the vault's lock is the only one.
    file.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(file))
    except OSError as error:
        listening.close()
        raise OperatorError(f"cannot listen: {error.strerror}", file=str(file)) from None
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


async def _tend(service: Counted, stopping: asyncio.Event) -> None:
    """At the start and each minute; sooner when a repair has failed."""
    books = service.books
    while not stopping.is_set():
        wait_s = TEND_S
        try:
            fault_before = books.fault(await books.vault.change())
            cleared = await books.tend()
            if cleared or fault_before:
                status = await books.status()
                log.info(
                    "index.tended",
                    dead_readers=cleared,
                    was=fault_before,
                    tokens=status.index_tokens,
                    change=status.index_change,
                )
            await service.look()
        except TapswitchError as error:
            log.error("index.not_repaired", code=error.code, reason=str(error))  # noqa: TRY400
            wait_s = REPAIR_AGAIN_S
        except Exception as error:  # noqa: BLE001 - the gateway goes on without a repair
            log.error("index.not_repaired", reason=fault.reason(error))  # noqa: TRY400
            wait_s = REPAIR_AGAIN_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait_s)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m switch.apps.gateway", description=__doc__)
    parser.add_argument("--config", required=True, help="configuration directory")
    parser.add_argument("--ready-fd", type=int, default=-1, help="descriptor for the ready line")
    parser.add_argument("--parent", type=int, default=0, help="end when this process has ended")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the gateway of a configuration directory; returns the exit code."""
    options = _arguments(arguments)
    observe_log.configure("gateway")
    try:
        harden()
        arm()
        if options.parent:
            end_with_parent(options.parent)
        return asyncio.run(serve(load(options.config), options.ready_fd))
    except TapswitchError as error:
        log.error("gateway.refused", code=error.code, reason=str(error))  # noqa: TRY400
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
