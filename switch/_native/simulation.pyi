"""The ground of a simulation: time, chance and disk of one process. See native/src/simulation.

Only `switch.simulation` and tests use it. A process with a real journal cannot become one.
"""

from collections.abc import Callable
from typing import Any, Literal, final

from switch._native.journal import Journal, Keys

__all__ = [
    "Disk",
    "Pump",
    "active",
    "begin",
    "end",
    "heal",
    "mutants",
    "mutate",
    "set_now",
]

def begin(seed: int, monotonic_ns: int, wall_ns: int) -> None:
    """From here to `end` the clocks stand where they are set, and every native random byte comes from `seed`.

    Raises switch.errors.UsageError while a real journal is open in this process, or a simulation is on. No real journal
    opens until `end`.
    """

def end() -> None:
    """The kernel's clocks and chance again; no defect on, no crash point armed."""

def active() -> bool: ...
def set_now(monotonic_ns: int, wall_ns: int) -> None:
    """Both clocks. The wall clock may be stepped to anywhere; raises switch.errors.UsageError when the monotonic one
    would go back, or no simulation is on."""

def mutate(name: str) -> None:
    """Turns a native defect on until `heal` or `end`, to see that the oracles notice it. Raises switch.errors.UsageError for
    an unknown one, and when no simulation is on."""

def heal() -> None:
    """No defect is on any more."""

def mutants() -> list[tuple[str, str]]:
    """Every native defect: its name, and what it does."""

@final
class Disk:
    """A disk in memory: per file a volatile image (what this boot reads) and a durable one (what a power cut leaves).

    It survives its node. Kinds of faults are in `faults()`; each that happened is counted under its name. A name or
    place that is not there raises switch.errors.UsageError.
    """

    def __new__(cls, seed: int) -> Disk: ...
    def crash(self, keep: list[tuple[str, int]] | None = None) -> None:
        """A power cut: of the unsynced 512-byte sectors exactly those in `keep` survive, drawn ones without it. Journals
        of before get errors from now on."""
    def unsynced(self) -> list[tuple[str, int]]:
        """File and sector of everything a power cut could take now."""
    def image_hash(self) -> str:
        """SHA-256 over names, lengths and durable images, in hex."""
    def files(self) -> dict[str, int]:
        """Name to bytes."""
    def read(self, name: str) -> bytes:
        """The durable image."""
    def replace(self, name: str, data: bytes) -> None:
        """Gives a file this content, durably: an older copy of it, for instance."""
    def delete(self, name: str) -> None: ...
    def flip(self, name: str, offset: int, mask: int) -> None:
        """Flips bits of one byte, at rest."""
    def copy(self) -> Disk:
        """Another disk with the same images, and no faults."""
    def archive(self) -> Disk:
        """As `copy`, with the oldest segments that the product has removed put back: what an archive of them holds."""
    def forge(self, name: str, nth: int) -> tuple[int, int] | None:
        """Puts an earlier record of a segment in the place of a later one as long as it, with the checksum that fits
        there: what somebody can do who may write to the file and has no key. `nth` chooses the pair; its two offsets,
        None when there is no pair."""
    def export(self, directory: str) -> None:
        """The durable images as files, for `tapswitch journal verify`. Raises OSError."""
    def verify(self, keys: Keys) -> list[dict[str, Any]]:
        """What `Reader.verify` would find in the durable images."""
    def records(self, keys: Keys) -> list[dict[str, Any]]:
        """What `Reader.records` would read in the durable images. Raises switch.errors.JournalError at damage."""
    def fail(self, kind: str, nth: int = 1, *, sticky: bool = False) -> None:
        """This fault happens to the nth operation from now that it can happen to (1: the next); with `sticky` to every
        one from that on. 0 takes the plan back."""
    def chance(self, kind: str, per_million: int) -> None:
        """This fault happens to so many of a million operations, drawn from a stream of its own."""
    @staticmethod
    def faults() -> list[str]: ...
    def mend(self) -> None:
        """No fault any more, as quick and as large as can be; what is damaged stays damaged."""
    @property
    def capacity_bytes(self) -> int | None:
        """No file is made when all would be larger than this."""
    @capacity_bytes.setter
    def capacity_bytes(self, value: int | None) -> None: ...
    def speed(
        self,
        *,
        write_us: int = 0,
        sync_us: int = 0,
        create_us: int = 0,
        spread: float = 0.0,
        stall_per_million: int = 0,
        stall_us: int = 0,
    ) -> None:
        """What operations take in virtual time; each up to `spread` (a share) longer, some a stall longer."""
    def spent_us(self) -> int:
        """What the operations since the last call took, in virtual microseconds."""
    def counts(self) -> dict[str, int]:
        """Operations, crashes, and every fault that happened."""

@final
class Pump:
    """A journal without threads: the world says when a group is written, when it is synced, when a segment is made.

    Opens the journal on `disk` as `Journal.open` does in a directory, and raises the same errors; `kick` is called when
    a group waits, from within `commit`: it may schedule, not touch gate or journal. Calls raise `hook.Crashed` when they
    come to the point that was armed. Raises switch.errors.UsageError when no simulation is on.
    """

    def __new__(
        cls,
        disk: Disk,
        keys: Keys,
        *,
        segment_bytes: int = 65_536,
        pending_bytes_max: int = 1_048_576,
        kick: Callable[[], object] | None = None,
    ) -> Pump: ...
    @property
    def journal(self) -> Journal:
        """What the node gets: the product's own class."""
    @property
    def here(self) -> bool:
        """Whether `commit` of the gate writes a small group itself; False at first."""
    @here.setter
    def here(self, here: bool) -> None: ...
    @property
    def waiting(self) -> bool:
        """There is something to begin or to finish."""
    def begin(self) -> Literal["idle", "written", "stalled", "failed"]:
        """Takes the group, seals it, writes it into the volatile image: `finish` next. ``stalled``: it needs a segment;
        `prepare`, then call again."""
    def finish(self) -> Literal["idle", "synced", "more", "failed"]:
        """Syncs. ``synced``: `synced` has moved and the signal is set. ``more``: the rest of the group belongs into
        another segment; `begin` again."""
    @property
    def signalled(self) -> bool:
        """The journal's eventfd is readable."""
    @property
    def wants_segment(self) -> bool:
        """No next segment is ready."""
    def prepare(self) -> bool:
        """One attempt at the next segment, when it is wanted; False when it failed: the journal's `shortage` says why."""
    def kill(self) -> None:
        """The node has gone: whatever is still called, nothing is written any more."""
