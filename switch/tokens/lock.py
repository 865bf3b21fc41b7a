"""Who may open the vault: one process at a time, by a lock that dies with it."""

import fcntl
import os
from pathlib import Path

from switch.errors import VaultError

__all__ = ["VaultLock"]


class VaultLock:
    """The lock beside a vault's file. The kernel releases it when the process ends in whatever
    way."""

    def __init__(self, vault_file: str) -> None:
        self._file = Path(vault_file).with_suffix(".lock")
        self._descriptor = -1

    def take(self) -> bool:
        """True when it is ours now; False when another process has it. Raises: VaultError."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._file, flags, 0o600)
        except OSError as error:
            raise VaultError(
                f"the lock cannot be opened: {error.strerror}", file=str(self._file)
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def holder(self) -> str:
        """Process id of who has it, '' when that cannot be told."""
        try:
            return self._file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def release(self) -> None:
        """Whoever waits may have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
