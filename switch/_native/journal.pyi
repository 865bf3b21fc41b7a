"""The append-only journal. See native/src/journal."""

from collections.abc import Iterator
from typing import Any, final

from switch._native.meter import Meter

__all__ = ["Journal", "Keys", "Reader", "create_key_file", "create_sealing_key"]

def create_sealing_key(path: str) -> None:
    """A new file of mode 0600 with a random key (64 hexadecimal digits) that never is a Python object.

    Raises switch.errors.KeyFileError, also when the file exists.
    """

def create_key_file(path: str, sealing_key: int, demo: bool) -> None:
    """New random journal, PAN and index keys, sealed under the key read from file descriptor `sealing_key`.

    The file is new and of mode 0600. Raises switch.errors.KeyFileError, also when the file exists.
    """

@final
class Keys:
    """Keys opened from a sealed file; native memory only, locked, left out of dumps, wiped on drop."""

    @staticmethod
    def open(path: str, sealing_key: int) -> Keys:
        """`sealing_key` is a file descriptor of 32 bytes or 64 hexadecimal digits; a regular file is read from its
        start, whatever its position. Raises switch.errors.KeyFileError."""
    @property
    def demo(self) -> bool: ...
    def card_hash(self, number: str) -> bytes:
        """The keyed hash under which records know a card or token number (`card`); 8 bytes. Raises
        switch.errors.UsageError, which never quotes the number."""
    @property
    def check_values(self) -> dict[str, str]:
        """Name of key to its 6-digit check value."""

@final
class Journal:
    """One worker's journal, locked exclusively. `append` copies; the writer thread seals, writes, syncs."""

    @staticmethod
    def open(
        directory: str,
        keys: Keys,
        *,
        segment_bytes: int = 67_108_864,
        pending_bytes_max: int = 33_554_432,
    ) -> Journal:
        """Raises switch.errors.JournalError (locked, damaged before valid records, wrong key, no room)."""
    def append(self, record: dict[str, Any]) -> int:
        """Rare records from Python: "kind" (``"STARTED"``) plus named fields (int, str, or bytes for hashes; no PAN).

        Returns the sequence number (LSN). Raises switch.errors.UsageError for what the table of fields does not
        have, JournalError when the journal takes no more.
        """
    def commit(self) -> None:
        """Wakes the writer; call at the end of each tick in which something was appended."""
    @property
    def fileno(self) -> int:
        """eventfd, readable when `synced` moved or the journal failed."""
    def acknowledge(self) -> int:
        """Drains the eventfd; returns `synced`."""
    @property
    def appended(self) -> int: ...
    @property
    def synced(self) -> int: ...
    @property
    def failure(self) -> str | None:
        """Why the journal stopped, or None. After a failure nothing is ever reported synced again."""
    @property
    def shortage(self) -> str | None:
        """Why no next segment can be prepared, while that is so: an alarm. New requests are refused before what was
        begun is."""
    @property
    def torn(self) -> tuple[str, int, int] | None:
        """File, offset and bytes of a group that a crash left unfinished and `open` cut; it was never acknowledged."""
    def stats(self) -> dict[str, int]:
        """appended, synced, groups, bytes, rotations, group_records_max, group_us_sum, group_us_max,
        pending_bytes_max, prepared, prepare_failures, rotation_stalls, checkpoint_lsn, last_boot_lsn."""
    def measure(self, meter: Meter, name: str) -> None:
        """From now on the writer records what each group took in that histogram, by its whole name, and in no other.

        Raises switch.errors.UsageError when the meter has no such histogram.
        """
    def delete_covered(self, older_than_ms: int) -> int:
        """Deletes segments that the newest durable checkpoint covers and that ended before that Unix time.

        Returns how many. A few milliseconds each: call it off the loop.
        """
    def close(self) -> None:
        """Syncs what is pending, writes the clean-stop record, joins the writer, releases the lock."""

@final
class Reader:
    """Reads a journal directory; takes no lock."""

    @staticmethod
    def open(directory: str, keys: Keys) -> Reader: ...
    def records(self, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """One dict a record above LSN `after`, in order: lsn, kind, carried, segment, offset, the named fields that
        are present (hashes as hex), and pan, masked. Raises switch.errors.JournalError at damage."""
    def search(
        self,
        *,
        txn: int = 0,
        stan: int = ...,
        rrn: str = "",
        card: bytes | None = None,
        acquirer: str = "",
        terminal: str = "",
        from_ms: int = 0,
        until_ms: int = 0,
        limit: int = 100,
    ) -> dict[str, Any]:
        """Transactions that match all that is given, newest first, and every record of their lives.

        `stan` (none by default): of the acquirer's message, of the bank's leg or of a reversal. `card`: from `Keys.card_hash`. Times are
        Unix milliseconds, 0 no limit. Returns txns (the original's for an acquirer's reversal), more (older ones beyond
        `limit`), searched (records looked at), records (as `records` gives them, with the starts and stops of processes
        in between). One thread, newest segment first; raises switch.errors.JournalError at damage."""
    def verify(self) -> list[dict[str, Any]]:
        """Findings: structure (checksum, chain, sequence) and the walk's rules. Empty when sound.

        Each: rule (``structure``, ``walk.N``), problem, lsn, txn, file, offset, remedy. Raises
        switch.errors.JournalError for a wrong key or an unreadable file.
        """
    def summary(self) -> dict[str, Any]:
        """How the journal ends, from its last segment: segments (with records), last_lsn, checkpoint_lsn, torn (None, or a dict of
        file, offset, bytes). Raises as `records`."""
