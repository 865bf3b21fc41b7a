"""Starts the processes of one node, restarts a dead worker, forwards signals, drains.

It holds no keys, no links and no journal, so that nothing it does can lose money; a worker that
dies at any instruction is recovered from its journal by the next one. Children are started by exec,
never by fork: a forked copy of a process with an event loop, threads or mapped files is not a
working process.

What it does not do: it never decides that a worker is slow. A worker that fails to become ready
`STARTS_MAX` times in a row is an operator's matter (damaged journal, wrong key), and the node ends
with the worker's own exit code.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from switch.apps.drill import Lives
from switch.apps.handover import Estate, pair
from switch.constants import DRAIN_S_MAX
from switch.errors import OperatorError
from switch.observe import log as observe_log
from switch.observe.place import Hold, meter_directory, sweep
from switch.settings.load import load
from switch.settings.sources import in_force_file

__all__ = ["BACKOFF_MAX_S", "STARTS_MAX", "Plan", "Supervisor", "run_node"]

log = structlog.get_logger("supervisor")

STARTS_MAX: Final = 5
"""Starts in a row that end before the ready signal; after a first ready worker only. A worker
that cannot start at all ends the node at once: settings do not mend themselves."""
BACKOFF_MIN_S: Final = 0.05
"""First restart: soon, because in-doubt requests wait for their reversal."""
BACKOFF_MAX_S: Final = 5.0
"""Longer than this and the outage is ours rather than the fault's."""
STABLE_S: Final = 30.0
"""A worker that lived this long starts again without delay."""
READY_S: Final = 60.0
"""A start that takes longer is counted as failed. Recovery of a full journal takes seconds."""
ENDED_S: Final = 1.0
REFUSED: Final = 3
"""Exit code of a worker that its settings do not allow to run."""
INTERRUPTED: Final = 130
TERMINATED: Final = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. The commands are complete but for ``--ready-fd N`` and ``--bind
    NAME=HOST:PORT``."""

    worker: Sequence[str]
    again: Sequence[str] = ()
    """What to run after the first ready worker, with the configuration in force; empty: the
    same."""
    last_good: Sequence[str] = ()
    """What to run when the very first worker refuses its settings; empty: nothing."""
    beside: Sequence[Sequence[str]] = ()
    """Processes that the node can live without (the exporter): restarted, never waited for."""
    keyed: Sequence[Sequence[str]] = ()
    """As `beside`, for those that open keys (the gateway): they get `inherit` too."""
    drain_s: float | Callable[[], float] = 15.0
    """How long a draining worker may take before it is killed (its journal has all it needs)."""
    inherit: Sequence[int] = ()
    """Descriptors passed on, for example the sealing key."""
    handover: bool = False
    """The worker knows `switch.apps.handover`: its listeners outlive it, and it can be replaced."""


@dataclass(slots=True)
class _Life:
    """One worker's process."""

    process: asyncio.subprocess.Process
    ended: "asyncio.Future[int]"
    told: asyncio.StreamReader
    """What it says on its ready descriptor."""
    pipe: asyncio.ReadTransport
    end: socket.socket
    """Ours of its socket pair; see `switch.apps.handover`."""
    go: int = -1
    """It waits for a byte there; -1: it does not wait."""

    def begin(self) -> None:
        """Lets one that waits go on."""
        if self.go >= 0:
            with contextlib.suppress(OSError):
                os.write(self.go, b"g")
            os.close(self.go)
            self.go = -1


@dataclass(slots=True)
class _Beside:
    command: Sequence[str]
    inherit: Sequence[int] = ()
    keyed: bool = False
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Supervisor:
    """One node's processes. `run` returns the exit code."""

    plan: Plan
    on_ready: Callable[[dict[str, Any]], None]
    """Called with every ready line of a worker, restarts included."""
    restarts: int = 0
    _worker: asyncio.subprocess.Process | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _interrupted: bool = False
    _fell_back: bool = False
    _ready_now: bool = False
    _reload_owed: bool = False
    _bound: dict[str, str] = field(default_factory=dict)
    _beside: list[_Beside] = field(default_factory=list)
    _estate: Estate = field(default_factory=Estate)
    _lives: Lives = field(default_factory=lambda: Lives(os.environ))
    _next: _Life | None = None
    """Stands ready to take the place of the worker that runs."""
    _replacing: "asyncio.Task[None] | None" = None

    async def run(self, *, signals: bool = True) -> int:
        """Starts everything, returns 0 after SIGTERM, 130 after SIGINT, else the worker's exit
        code.

        With `signals` False the caller keeps its own handlers and calls `stop`.
        """
        if signals:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, self.stop)
            loop.add_signal_handler(signal.SIGINT, self._interrupt)
            loop.add_signal_handler(signal.SIGHUP, self.hang_up)
        try:
            code = await self._keep_worker()
        finally:
            self._estate.close()
            if self._replacing is not None:
                self._replacing.cancel()
            if self._next is not None:
                self._signal(self._next.process, signal.SIGKILL)
                await self._over(self._next)
            await self._end_beside()
        # Told before it could listen to the signal, a worker ends by it: that is as good as 0.
        code = 0 if self._stopping.is_set() and code == TERMINATED else code
        return INTERRUPTED if self._interrupted and code == 0 else code

    def stop(self) -> None:
        """First call: drain. Second: end the worker at once; its journal has all that the next
        one needs."""
        if self._stopping.is_set():
            self._signal(self._worker, signal.SIGKILL)
        self._stopping.set()
        # Nobody comes after: the worker's own listeners are the last ones.
        self._estate.close()

    def hang_up(self) -> None:
        """Passes SIGHUP on: the worker reloads; one that is starting does so when it is ready."""
        self._reload_owed = not self._ready_now
        if self._ready_now:
            self._signal(self._worker, signal.SIGHUP)

    def _interrupt(self) -> None:
        self._interrupted = not self._stopping.is_set() or self._interrupted
        self.stop()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker that runs now."""
        running = self._worker is not None and self._worker.returncode is None
        return self._worker.pid if running and self._worker is not None else None

    async def _keep_worker(self) -> int:
        """The life of the worker: start, wait, restart, until told to stop or past mending."""
        loop = asyncio.get_running_loop()
        failures = 0
        short_lives = 0
        while True:
            started_s = loop.time()
            ready, code = await self._one_worker()
            if self._stopping.is_set():
                return code
            if self._next is not None:
                self.restarts += 1
                failures = short_lives = 0
                lived_s = loop.time() - started_s
                log.info("worker.replaced", exit_code=code, lived_s=round(lived_s, 1))
                continue
            if not ready and (self.restarts == 0 and not self._bound):
                if code != REFUSED or not self.plan.last_good or self._fell_back:
                    return code or 1
                self._fell_back = True
                log.error("config.last_good", exit_code=code, help=_MEND)
                continue
            failures = 0 if ready else failures + 1
            if failures >= STARTS_MAX:
                log.error("worker.gave_up", exit_code=code, starts=failures)
                return code or 1
            lived_s = loop.time() - started_s
            short_lives = 0 if lived_s >= STABLE_S else short_lives + 1
            wait_s = self._backoff(short_lives) if short_lives else 0.0
            self.restarts += 1
            log.error(
                "worker.restarting",
                exit_code=code,
                lived_s=round(lived_s, 1),
                after_s=round(wait_s, 2),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
                return 0

    @staticmethod
    def _backoff(failures: int) -> float:
        """Seconds, with jitter, so that several nodes do not come back in step."""
        ceiling = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(failures, 12))
        return random.uniform(ceiling / 2, ceiling)

    async def _one_worker(self) -> tuple[bool, int]:
        """One worker from start to end: (was it ever ready, exit code)."""
        life, self._next = self._next, None
        if life is None:
            life = await self._spawn()
        life.begin()
        process = self._worker = life.process
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            line = await self._line(life)
            if line is not None:
                self._bound = {**line.get("acquirers", {}), **line.get("issuers", {})}
                self._ready_now = True
                self._start_beside()
                self.on_ready(line)
                if self._reload_owed:
                    self.hang_up()
            elif process.returncode is None and not life.ended.done():
                self._signal(process, signal.SIGTERM)
            either: set[asyncio.Future[Any]] = {life.ended, stopping}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not life.ended.done():
                await self._drain(process, life.ended)
            return line is not None, _exit_code(await life.ended)
        finally:
            self._ready_now = False
            stopping.cancel()
            await self._over(life)

    async def _spawn(self, *, wait: bool = False) -> _Life:
        """A worker's process. `wait`: it prepares and then waits for `_Life.begin`."""
        reader, writer = os.pipe()
        ours, theirs = pair()
        held, go = os.pipe() if wait else (-1, -1)
        binds = [part for name, at in self._bound.items() for part in ("--bind", f"{name}={at}")]
        command = [*self._command(), "--ready-fd", str(writer), *binds]
        passed = [writer, *self.plan.inherit]
        if self.plan.handover:
            command += ["--heir-fd", str(theirs.fileno()), *self._estate.arguments]
            command += ["--wait-fd", str(held)] if wait else []
            passed += [theirs.fileno(), *self._estate.descriptors, *([held] if wait else [])]
        try:
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=tuple(passed), process_group=0, env=self._lives.worker()
            )
        finally:
            os.close(writer)
            theirs.close()
            if held >= 0:
                os.close(held)
        loop = asyncio.get_running_loop()
        told = asyncio.StreamReader(limit=1 << 20)
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(told), os.fdopen(reader, "rb", 0)
        )
        self._estate.attend(ours, lambda: self._replace(life))
        life = _Life(process, asyncio.ensure_future(process.wait()), told, pipe, ours, go)
        return life

    async def _over(self, life: _Life) -> None:
        """It has ended, or is of no use."""
        await life.ended
        if life.go >= 0:
            os.close(life.go)
            life.go = -1
        life.pipe.close()
        self._estate.leave(life.end)

    def _replace(self, life: _Life) -> None:
        """The worker asks for the next one."""
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.ensure_future(self._prepare_next(life))

    async def _prepare_next(self, life: _Life) -> None:
        """Starts the next worker; when it stands ready the one that runs may drain, within the
        usual time. When it does not, all stays as it was."""
        following = await self._spawn(wait=True)
        line = await self._line(following)
        if line is None or self._stopping.is_set() or life.ended.done():
            # Its end of the pipe closes a moment before the process is gone.
            ended = bool((await asyncio.wait({following.ended}, timeout=ENDED_S))[0])
            self._signal(following.process, signal.SIGKILL)
            await self._over(following)
            code = _exit_code(following.ended.result())
            why = f"the next one ended with exit code {code}" if ended else "it was not ready"
            log.error("worker.not_replaced", reason=why)
            self._estate.answer(life.end, why)
            return
        self._next = following
        self._estate.answer(life.end)
        drain_s = self.plan.drain_s() if callable(self.plan.drain_s) else self.plan.drain_s
        await asyncio.wait({life.ended}, timeout=drain_s)
        if not life.ended.done():
            log.error("worker.killed", reason="did not drain", drain_s=drain_s)
            self._signal(life.process, signal.SIGKILL)

    def _command(self) -> Sequence[str]:
        if self._bound and self.plan.again:
            return self.plan.again
        return self.plan.last_good if self._fell_back else self.plan.worker

    async def _line(self, life: _Life) -> dict[str, Any] | None:
        """The next line that a worker says of itself; None when it ended, or was told to, before
        that."""
        within_s: float | None = READY_S
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while True:
                reading = asyncio.ensure_future(life.told.readline())
                either: set[asyncio.Future[Any]] = {reading, stopping}
                await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
                line = reading.result() if reading.done() else b""
                reading.cancel()
                if not line:
                    return None
                told: dict[str, Any] = json.loads(line)
                if "waiting" not in told:
                    return told
                # It says why, and goes on by itself: nothing is gained by another start.
                log.warning("worker.waiting", reason=told["waiting"])
                within_s = None
        finally:
            stopping.cancel()

    async def _drain(
        self, process: asyncio.subprocess.Process, ended: "asyncio.Future[int]"
    ) -> None:
        """SIGTERM, then a bounded wait, then SIGKILL."""
        self._signal(process, signal.SIGTERM)
        drain_s = self.plan.drain_s() if callable(self.plan.drain_s) else self.plan.drain_s
        done, _ = await asyncio.wait({ended}, timeout=drain_s)
        if not done:
            log.error("worker.killed", reason="did not drain", drain_s=drain_s)
            self._signal(process, signal.SIGKILL)

    @staticmethod
    def _signal(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
        if process is not None and process.returncode is None:
            # Not `process.send_signal`: that polls, and a child reaped by it leaves asyncio's
            # watcher without an exit code (it then reports 255).
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def _start_beside(self) -> None:
        """The processes beside the worker start with the first ready worker: they read what it
        has made."""
        if self._beside:
            return
        children = [_Beside(command) for command in self.plan.beside]
        children += [_Beside(command, self.plan.inherit, keyed=True) for command in self.plan.keyed]
        for child in children:
            child.task = asyncio.ensure_future(self._keep_beside(child))
            self._beside.append(child)

    async def _keep_beside(self, child: _Beside) -> None:
        failures = 0
        while not self._stopping.is_set():
            child.process = await asyncio.create_subprocess_exec(
                *child.command,
                pass_fds=tuple(child.inherit),
                process_group=0,
                env=self._lives.beside(keyed=child.keyed),
            )
            code = await child.process.wait()
            if self._stopping.is_set():
                return
            failures += 1
            log.warning(
                "process.restarting", command=child.command[-1], exit_code=code, failures=failures
            )
            await asyncio.sleep(self._backoff(failures))

    async def _end_beside(self) -> None:
        self._stopping.set()
        for child in self._beside:
            self._signal(child.process, signal.SIGTERM)
        tasks = [child.task for child in self._beside if child.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=3.0)
            for child in self._beside:
                if child.task in late:
                    self._signal(child.process, signal.SIGKILL)
            for task in late:
                task.cancel()


def _exit_code(returned: int) -> int:
    """A process ended by a signal exits as a shell would say it (128 + number)."""
    return 128 - returned if returned < 0 else returned


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs one of our modules under this very interpreter.

    `-P` keeps the working directory off the module path: what lies there must not be imported.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def run_node(config: str, last_good: str = "") -> int:
    """Runs worker, exporter and, with tokens, the gateway; returns the exit code.

    After the first ready worker every process comes up with the configuration in force, whatever
    stands in the files by then. `last_good` is a snapshot for a first worker that refuses the
    files; empty: the node ends then.
    """
    observe_log.configure("supervisor")
    try:
        first, settings = config, load(config)
    except OperatorError as error:
        if not last_good:
            raise
        log.error("config.last_good", reason=str(error), help=_MEND)  # noqa: TRY400
        first, settings = last_good, load(last_good)
    in_force = str(in_force_file(settings.node.data_dir))
    parent = ("--parent", str(os.getpid()))
    fallback = module_command("switch.apps.worker", "--config", last_good, *parent)
    plan = Plan(
        worker=module_command("switch.apps.worker", "--config", first, *parent),
        again=module_command("switch.apps.worker", "--config", in_force, *parent),
        last_good=fallback if last_good else (),
        beside=(module_command("switch.apps.exporter", "--config", in_force, *parent),),
        keyed=(module_command("switch.apps.gateway", "--config", in_force, *parent),)
        if settings.tokens
        else (),
        drain_s=lambda: _drain_s(in_force),
        inherit=_inherited(settings.keys.sealing_key_file),
        handover=True,
    )
    sweep()
    # Over all lives of its processes: what one of them left for the next is not a dead node's.
    hold = Hold(meter_directory(settings.node.data_dir))
    node = Supervisor(plan, lambda line: log.info("node.ready", pid=line["pid"]))
    code = asyncio.run(node.run())
    if code in {0, INTERRUPTED}:
        hold.release()
    return code


_MEND: Final = (
    "the node comes up with the last good configuration; mend the files, then tapswitch reload"
)


def _drain_s(in_force: str) -> float:
    """How long a drain may take by the configuration in force."""
    longest_s = float(DRAIN_S_MAX)
    with contextlib.suppress(OperatorError):
        longest_s = max(issuer.deadline_ms for issuer in load(in_force).issuers) / 1000
    return min(longest_s, float(DRAIN_S_MAX)) + 5.0


def _inherited(sealing_key_file: str) -> tuple[int, ...]:
    """The descriptor that "fd:N" names is passed on to every worker."""
    number = sealing_key_file.removeprefix("fd:")
    return (int(number),) if number != sealing_key_file and number.isdecimal() else ()
