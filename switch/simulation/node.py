"""One node of a world: the real worker over simulated disk and network, its lives and ends."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final

import structlog

from switch.apps.ground import Ground
from switch.apps.worker import Worker
from switch.engine.ports import StandIn
from switch.errors import JournalError, TapswitchError
from switch.native import journal as journals
from switch.runtime.taps import Taps
from switch.settings.schema import Settings
from switch.simulation.loop import LIFE, Life, VirtualLoop
from switch.simulation.network import Network
from switch.wire import Dialect

__all__ = ["Node"]

log = structlog.get_logger("simulation")

US: Final = 1e-6


class _Bell:
    """What the journal's device of one life rings. The device is native, where no collection of
    garbage sees what it holds: when the life ends, the bell lets go of whom it would call."""

    __slots__ = ("answer",)

    def __init__(self, answer: Callable[[], None]) -> None:
        self.answer: Callable[[], None] | None = answer

    def __call__(self) -> None:
        if self.answer is not None:
            self.answer()


class Node:
    """Lives one after another over one disk."""

    def __init__(
        self,
        loop: VirtualLoop,
        network: Network,
        settings: Settings,
        keys: journals.Keys,
        dialect: Dialect,
        disk: Any,
        pump: Callable[[Callable[[], None]], Any],
        sync_s: Callable[[], float],
        restart_s: Callable[[], float],
        ended: Callable[[str, str], None],
        cut: Callable[[], None],
    ) -> None:
        """`pump` makes the journal of a life, told whom to call when a group waits; `sync_s`
        draws how long its device takes to make one durable, `restart_s` how long its supervisor
        waits; `ended` is told how a life ended, and why; `cut` takes the power from the disk."""
        self.loop = loop
        self.network = network
        self.settings = settings
        self.keys = keys
        self.dialect = dialect
        self.disk = disk
        self._make_pump = pump
        self._sync_s = sync_s
        self._restart_s = restart_s
        self._ended = ended
        self._cut = cut
        self.life: Life | None = None
        self.worker: Worker | None = None
        self.pump: Any = None
        self.lives = 0
        self.refused = 0
        """Starts that the journal did not allow."""
        self.shed: Counter[str] = Counter()
        """Requests that were refused before they were looked at, by reason."""
        self.stand_ins: Counter[str] = Counter()
        """What became of approvals in banks' names that a rule covered."""
        self.stopping: asyncio.Event | None = None
        self.up = False
        self.retired = False
        self.starts_ns: list[int] = []
        """When each life began."""
        self.marks: list[tuple[int, int]] = []
        """When which LSN was known to be durable."""
        self.told: Callable[[str], None] | None = None
        """Of what the journal's device does, and of beginnings."""
        self._pumping = False
        self._bell: _Bell | None = None
        self._graves: list[Any] = []
        self.context: Context | None = None
        """That of the life of now, or of the last one."""
        self.half: Callable[[], float] | None = None
        """Asked, when the first part of a group is durable and the rest belongs into the next
        segment, how many seconds the device stalls there."""
        self._stall_s = 0.0
        self.outside = copy_context()
        """Where whoever survives the node's lives works."""

    # -- beginnings -------------------------------------------------------------------------------

    def start(self) -> None:
        """A new life, in a context of its own."""
        if self.retired or self.life is not None:
            return
        self.lives += 1
        self.starts_ns.append(self.loop.now_ns)
        if self.told is not None:
            self.told(f"life {self.lives} starts")
        self.life = life = Life(f"w0/{self.lives}")
        self.context = context = copy_context()
        context.run(LIFE.set, life)
        task = context.run(self.loop.create_task, self._live(life))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._graves.append(task)

    async def _live(self, life: Life) -> None:
        """What the worker's process does, from start to end."""
        ground = Ground(
            keys=lambda _settings: self.keys,
            journal=lambda _settings, _name, _keys: self._journal(life),
            dialect=lambda _settings, _name, _file: self.dialect,
            take=self.network.take,
            boot=lambda: self.lives,
            orders=False,
        )
        worker = Worker(self.settings, ground=ground)
        self._graves.append(worker)
        try:
            worker.open()
            self.worker = worker
            self.stopping = stopping = asyncio.Event()
            await worker.start()
            self.up = True
            if self.told is not None:
                engine = worker.driver.engine
                self.told(
                    f"life {self.lives} is up: {engine.in_flight} in flight,"
                    f" {engine.owed_count} owed, journal at LSN {worker.journal.synced}"
                )
            waiting = asyncio.ensure_future(stopping.wait())
            either: set[asyncio.Future[Any]] = {waiting, worker.driver.failed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            failed = worker.driver.failed
            why = failed.result() if failed.done() else ""
            code = await worker.finish()
            self._over(life, "failed" if code else "stopped", why)
        except JournalError as error:
            self.refused += 1
            self._over(life, "refused", str(error))
        except TapswitchError as error:
            self._over(life, "broken", f"{type(error).__name__}: {error}")

    def _journal(self, life: Life) -> journals.Journal:
        self._bell = _Bell(lambda: self._kick(life))
        self.pump = self._make_pump(self._bell)
        self._pumping = False
        journal: journals.Journal = self.pump.journal
        return journal

    # -- the journal's device ---------------------------------------------------------------------

    def _kick(self, life: Life) -> None:
        if not self._pumping and not life.ended:
            self._pumping = True
            self.loop.call_soon(self._begin, life)

    def _begin(self, life: Life) -> None:
        if life.ended:
            return
        pump = self.pump
        told = pump.begin()
        after = self.disk.spent_us() * US
        if told == "written":
            after, self._stall_s = after + self._stall_s, 0.0
            self.loop.call_later(after + self._sync_s(), self._finish, life)
        elif told == "stalled":
            pump.prepare()
            self.loop.call_later(after + self.disk.spent_us() * US + 0.002, self._begin, life)
        else:
            self._pumping = False
            self._tell()

    def _finish(self, life: Life) -> None:
        if life.ended:
            return
        pump = self.pump
        told = pump.finish()
        self._tell()
        synced = pump.journal.synced
        self.marks.append((self.loop.now_ns, synced))
        if self.told is not None:
            self.told(f"synced to LSN {synced} of {pump.journal.appended} ({told})")
        if pump.wants_segment:
            pump.prepare()
        self.disk.spent_us()
        if told == "more" and self.half is not None:
            self._stall_s = self.half()
        if told == "more" or pump.waiting:
            self._begin(life)
        else:
            self._pumping = False

    def _tell(self) -> None:
        if self.pump.signalled:
            self.loop.readable(self.pump.journal.fileno)

    # -- ends -------------------------------------------------------------------------------------

    def _over(self, life: Life, how: str, why: str) -> None:
        self.loop.call_soon(self._exited, life, how, why, context=self.outside)

    def _exited(self, life: Life, how: str, why: str) -> None:
        """The process has ended by itself."""
        if life is self.life:
            self._bury()
            self._ended(how, why)

    def kill(self, *, power: bool) -> None:
        """Now, in the middle of whatever it does; without power the disk forgets what was not
        synced."""
        if self.life is None:
            return
        if self.told is not None:
            self.told(f"life {self.lives} is killed{', and the power cut' if power else ''}")
        self._bury()
        if power:
            self._cut()

    def _bury(self) -> None:
        assert self.life is not None
        self.life.ended = True
        for one in list(self.life.sockets):
            one.killed()
        self.life = None
        self.up = False
        if self.pump is not None:
            self.loop.readers.pop(self.pump.journal.fileno, None)
            self.pump.kill()
            self._graves.append(self.pump)
            self.pump = None
        if self._bell is not None:
            self._bell.answer = None
            self._bell = None
        worker, self.worker = self.worker, None
        if worker is not None:
            for acquirer in worker.acquirers.values():
                self.shed.update(acquirer.lane.shed)
            for bank in worker.banks.values():
                for (_, fit), count in bank.stand_ins.items():
                    self.stand_ins[StandIn(fit).name.lower()] += count
        if worker is not None and worker.taps is not None:
            # An index is opened once per process: the next life must find it closed.
            for name in Taps.__slots__:
                delattr(worker.taps, name)
        if not self.retired:
            self.loop.call_later(self._restart_s(), self.start, context=self.outside)

    def stop(self) -> None:
        """SIGTERM."""
        if self.stopping is not None and self.life is not None:
            self.stopping.set()

    def clear(self) -> None:
        """Lets go of all that earlier lives left."""
        self.retired = True
        self._graves.clear()
        self.worker = None
        gc.collect()
