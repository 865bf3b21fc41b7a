"""What a world does to its node's journal besides cutting it off: checkpoints in the middle of a
day, with the segments behind them gone at once, and damage at rest that a start must refuse.

In production a checkpoint comes after 200,000 records and segments stay for days. A world begins
one early, as the product's own timer would, and lets the product do the rest.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from switch.errors import JournalError, UsageError

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["DAMAGE", "Ordeals", "Place", "records_of"]

DAMAGE: Final = ("flip", "old_record")
"""Kinds of damage at rest."""
BLOCK: Final = 4_096
RECORDS_AT: Final = 2 * BLOCK
FRAME_BYTES_MIN: Final = 56
LINK_MAGIC: Final = b"TSWJLNK1"
AGAIN_S: Final = 0.004
"""How often a checkpoint that cannot begin yet is tried again, and one that has begun goes on: the
product's timer would take a second for it."""
OWED_TRIES: Final = 40
"""So often a checkpoint that wants something owed waits for it."""
NO_CUT: Final = 0.15
"""A draw with which no power cut follows a checkpoint."""
AT_REST_S: Final = 2.0
AFTER_S: Final = 0.2
"""From the end of a checkpoint until the segments behind it are gone."""
DELETE_AFTER_NS: Final = 20_000_000


class Place(msgspec.Struct, frozen=True):
    """One record of a segment's image."""

    offset: int
    length: int
    lsn: int
    group: int
    """LSN of the first record of its group."""


def records_of(image: bytes) -> list[Place]:
    """Where the records of a segment stand, read from lengths alone."""
    found: list[Place] = []
    at = RECORDS_AT
    while at + FRAME_BYTES_MIN <= len(image):
        length = int.from_bytes(image[at : at + 4], "little")
        if length < FRAME_BYTES_MIN or at + length > len(image):
            break
        lsn = int.from_bytes(image[at + 8 : at + 16], "little")
        back = int.from_bytes(image[at + 32 : at + 36], "little")
        found.append(Place(at, length, lsn, lsn - back))
        at += length
    return found


class Ordeals:
    """Those of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.calm = False
        """The world is at rest, and a checkpoint is wanted all the same."""
        self.damaged: tuple[str, str, bytes] | None = None
        """Which damage waits to be found, in which file, and the file's sound image."""

    @property
    def _over(self) -> bool:
        """The world has healed, and nobody wants a checkpoint for its audit."""
        return self._world.network.healed and not self.calm

    # -- checkpoints ------------------------------------------------------------------------------

    def checkpoint(self, how: float) -> None:
        """Begins one in the node's own context, for half of them when something is owed; after
        half of them the power goes."""
        self._in_node(self._begin, how, OWED_TRIES if how < 0.6 else 0)

    async def checkpoint_at_rest(self) -> bool:
        """One from begin to end, and the segments that it stands for gone; false when none came to
        its end."""
        before = self._world.counts["checkpoint"]
        self.calm = True
        self._in_node(self._begin, NO_CUT, 0)
        done = await self._world.until(lambda: self._world.counts["checkpoint"] > before, AT_REST_S)
        self.calm = False
        await asyncio.sleep(AFTER_S)
        return done

    def _in_node(self, call: Any, *args: Any) -> None:
        node, loop = self._world.node, self._world.loop
        if self._over:
            return
        if node.context is not None and node.life is not None:
            loop.call_soon(call, *args, context=node.context)
        else:
            loop.call_later(AGAIN_S, self._in_node, call, *args, context=node.outside)

    def _later(self, call: Any, *args: Any) -> None:
        node, loop = self._world.node, self._world.loop
        loop.call_later(AGAIN_S, self._in_node, call, *args, context=node.outside)

    def _begin(self, how: float, tries: int) -> None:
        world = self._world
        worker: Any = world.node.worker
        if self._over:
            return
        if worker is None or not world.node.up or worker.driver.failed.done():
            self._later(self._begin, how, tries)
            return
        if tries and not worker.driver.engine.owed_count:
            self._later(self._begin, how, tries - 1)
            return
        upkeep = worker.upkeep
        upkeep.adopt(0)
        upkeep.delete_after_ns = DELETE_AFTER_NS
        owed = worker.driver.engine.owed_count
        world.counts["checkpoint begun"] += 1
        try:
            worker.native.checkpoint(world.wall_ns() // 1_000_000)
        except (UsageError, JournalError):
            # Something is in doubt, or the journal has just failed: then there is none.
            return
        world.note("a checkpoint begins")
        worker.driver.arm()
        self._later(self._look, how, owed)

    def _look(self, how: float, owed: int) -> None:
        world = self._world
        worker: Any = world.node.worker
        if worker is None or not world.node.up:
            return
        if worker.native.checkpoint_due():
            worker.upkeep.step()
            self._later(self._look, how, owed)
            return
        world.note("a checkpoint is complete")
        world.counts["checkpoint"] += 1
        if owed:
            world.counts["checkpoint while reversals owed"] += 1
        if how % 0.2 < 0.1:
            world.loop.call_later(
                how * 0.02, self._cut, "behind a checkpoint", context=world.node.outside
            )

    def _cut(self, why: str) -> None:
        if not self._world.network.healed:
            self._world.counts["cut behind a checkpoint"] += 1
            self._world.power_cut(why=why)

    # -- damage at rest ---------------------------------------------------------------------------

    def damage(self, kind: str, how: float) -> None:
        """The power goes, and what was durable is not what it was: the next start must refuse."""
        world = self._world
        if world.network.healed or self.damaged is not None or world.node.life is None:
            return
        world.struck(kind)
        world.power_cut(why=f"before damage: {kind}")
        found = self._last_segment()
        if found is None:
            return
        name, image = found
        if self._flip(name, image, how) if kind == "flip" else self._forge(name, how):
            world.note(f"damage: {kind} in {name}")
            world.counts[kind] += 1
            self.damaged = kind, name, image
            world.loop.call_later(AGAIN_S, self._watch, context=world.node.outside)

    def _last_segment(self) -> tuple[str, bytes] | None:
        """The last one with records: a start reads it whatever a checkpoint stands for."""
        disk = self._world.disk
        for name in sorted(disk.files(), reverse=True):
            image = disk.read(name)
            if image[BLOCK : BLOCK + len(LINK_MAGIC)] == LINK_MAGIC:
                return name, image
        return None

    def _flip(self, name: str, image: bytes, how: float) -> bool:
        """A bit of a record behind which another group stands: it was durable before that began."""
        places = records_of(image)
        certain = [one for one in places if one.lsn < places[-1].group]
        if not certain:
            return False
        number = int(how * 1_000_003)
        place = certain[number % len(certain)]
        offset = place.offset + (number // 7) % place.length
        self._world.disk.flip(name, offset, 1 << (number % 8))
        return True

    def _forge(self, name: str, how: float) -> bool:
        return self._world.disk.forge(name, int(how * 1_000_003)) is not None

    def _watch(self) -> None:
        """J2: what has come up over damage has taken it for the truth."""
        if self.damaged is None:
            return
        kind, name, _ = self.damaged
        if self._world.node.up:
            self._world.breaks("J2", f"the node came up over damage at rest: {kind} in {name}")
            self.damaged = None
            return
        self._world.loop.call_later(AGAIN_S, self._watch, context=self._world.node.outside)

    def refused(self) -> bool:
        """The node did not start. True when that was right: then the file is restored."""
        if self.damaged is None:
            return False
        kind, name, image = self.damaged
        self._world.disk.replace(name, image)
        self._world.note(f"{kind} was refused, and {name} is restored")
        self._world.counts[f"{kind} refused"] += 1
        self.damaged = None
        return True
