"""The exporter process: what the workers counted, for Prometheus.

It reads the workers' meter files and nothing else: no journal, no keys, no links. A worker never
waits for it, and it goes on while workers come and go.
"""

import argparse
import os
import platform
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from switch.errors import OperatorError, TapswitchError
from switch.native import BUILD_PROFILE, __version__
from switch.observe import log as observe_log
from switch.observe.collector import MeterCollector
from switch.observe.place import meter_files
from switch.runtime import ready
from switch.runtime.harden import end_with_parent, harden
from switch.settings.load import load

__all__ = ["main", "serve"]

log = structlog.get_logger("exporter")
READY_FILE: Final = "exporter.json"


def registry(data_dir: str) -> CollectorRegistry:
    """All metrics of a node, by its data directory."""
    info = {"version": __version__, "python": platform.python_version(), "native": BUILD_PROFILE}
    made = CollectorRegistry(auto_describe=False)
    made.register(MeterCollector(lambda: meter_files(data_dir), info, lambda: _free(data_dir)))
    return made


def _free(data_dir: str) -> int:
    """Bytes that we may still write where the journal is. Raises OSError."""
    room = os.statvfs(data_dir)
    return room.f_bavail * room.f_frsize


def serve(data_dir: str, listen: str, descriptor: int = -1) -> int:
    """Answers scrapes on `listen` until SIGTERM or SIGINT; returns the exit code.

    Says where in ``run/exporter.json`` of the data directory, and on `descriptor`. Raises
    OperatorError when the address cannot be had.
    """
    host, _, port = listen.rpartition(":")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry(data_dir))
    except OSError as error:
        raise OperatorError(
            f"cannot listen on {listen}: {error.strerror}",
            key="metrics.listen",
            help="choose another address",
        ) from error
    address = f"{host}:{server.server_port}"
    file = Path(data_dir) / "run" / READY_FILE
    ready.tell({"ready": True, "metrics": address}, file, descriptor)
    log.info("exporter.ready", metrics=address)
    stopping.wait()
    ready.withdraw(file)
    server.shutdown()
    thread.join()
    server.server_close()
    log.info("exporter.stopped")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m switch.apps.exporter", description=__doc__)
    parser.add_argument("--config", required=True, help="configuration directory")
    parser.add_argument("--ready-fd", type=int, default=-1, help="descriptor for the ready line")
    parser.add_argument("--parent", type=int, default=0, help="end when this process has ended")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the exporter of a configuration directory; returns the exit code."""
    options = _arguments(arguments)
    observe_log.configure("exporter")
    try:
        harden()
        if options.parent:
            end_with_parent(options.parent)
        settings = load(options.config)
        return serve(settings.node.data_dir, settings.metrics.listen, options.ready_fd)
    except TapswitchError as error:
        log.error("exporter.refused", code=error.code, reason=str(error))  # noqa: TRY400
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
