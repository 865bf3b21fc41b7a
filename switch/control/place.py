"""Where a worker listens for orders: found from the settings alone."""

from pathlib import Path
from typing import Final

__all__ = ["socket_file"]

SOCKET_NAME: Final = "worker.sock"


def socket_file(data_dir: str | Path) -> Path:
    """`run/worker.sock` in the data directory."""
    return Path(data_dir) / "run" / SOCKET_NAME
