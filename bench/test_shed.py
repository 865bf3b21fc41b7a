"""What a request costs that is refused before it is looked at. Beside `test_walk` of the same run
it says how much of a walk that is, and so how much of the knee is left at a multiple of it."""

import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.floor.durable import open_journal
from bench.test_walk import World
from switch.native import load
from switch.runtime.clock import monotonic_ns, wall_s
from switch.sim.steering import load_dialect
from switch.wire import Framer

CONNECTIONS = 8
EACH = 32
WARM = 20_000
ALL = (1 << 64) - 2


@pytest.mark.benchmark(timer=time.thread_time)
def test_shed(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """256 requests on eight connections: cut, refused, and their answers handed out."""
    with open_journal(str(tmp_path)) as (keys, log):
        world = World(keys, log)
        native, dialect = world.native, load_dialect(None)
        framers = [Framer(dialect) for _ in range(CONNECTIONS)]
        slots = [native.attach(world.acquirer, dialect) for _ in range(CONNECTIONS)]
        serials = iter(range(1, 1 << 30, EACH))

        def shed(chunks: list[bytes]) -> dict[int, bytes]:
            now_ns, now_s = monotonic_ns(), wall_s()
            for framer, chunk in zip(framers, chunks, strict=True):
                framer.queue(chunk, now_ns)
            native.shed(framers, slots, ALL, ALL, EACH * CONNECTIONS, "91", "RF", now_s)
            return dict(native.release(now_ns))

        def requests() -> tuple[tuple[list[bytes]], dict[str, object]]:
            return ([load.request(next(serials), EACH)[0] for _ in framers],), {}

        # The table of those refused lately is there first, page by page, as it is under load.
        framers[0].queue(load.request(next(serials), WARM)[0], monotonic_ns())
        native.shed(framers[:1], slots[:1], ALL, ALL, WARM, "91", "RF", wall_s())
        native.release(monotonic_ns())
        serials = iter(range(WARM + 1, 1 << 30, EACH))

        answers = benchmark.pedantic(  # type: ignore[no-untyped-call]
            shed, setup=requests, rounds=50, warmup_rounds=20
        )
        assert set(answers) == set(slots)
        assert all(answer.count(b"0210") >= EACH for answer in answers.values())
        assert not log.appended
