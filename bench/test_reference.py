"""The yardstick itself; `compare` divides everything else by it."""

from pytest_benchmark.fixture import BenchmarkFixture

from bench.reference import decode, encode
from switch.native import load


def test_reference(benchmark: BenchmarkFixture) -> None:
    frame, _ = load.request(1_000_123)

    def both() -> bytes:
        return encode(*decode(frame))

    assert benchmark(both) == frame
