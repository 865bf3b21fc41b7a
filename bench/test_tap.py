"""The verdict on a tap: look-up, domain, keys derived anew, cryptogram and counter in one call.

64 messages that arrived together, each with a key of its own that was claimed before; the figure is
for all of them. Beside it the same without a token range, which is what the call costs a plain
card, and a refusal before and after the cryptogram.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from switch.native import codec, tap
from tests.support.tap import Taps, open_taps
from tests.support.walk import NOW_S

BATCH = 64
ROUNDS = 100
CAPACITY = BATCH * (ROUNDS + 20)


@pytest.fixture(params=["unionpay-01", "visa-10", "visa-18"])
def taps(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Taps]:
    with open_taps(tmp_path, request.param, CAPACITY) as opened:
        yield opened


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Taps]:
    with open_taps(tmp_path, "unionpay-01", CAPACITY) as opened:
        yield opened


def judge(benchmark: BenchmarkFixture, taps: Taps, expected: str, **changes: str) -> None:
    """Checks fresh taps, `BATCH` a round; all get the same verdict."""
    stans = iter(range(1, 1_000_000))

    def chunk() -> tuple[tuple[list[codec.Message]], dict[str, object]]:
        messages = [taps.message(next(stans), **changes) for _ in range(BATCH)]
        for message in messages:
            assert taps.world.claim(message, taps.world.next_txn()) == 0
        return (messages,), {}

    check = taps.verifier.check

    def run(messages: list[codec.Message]) -> int:
        verdict = 0
        for message in messages:
            verdict = check(message, NOW_S)
        return verdict

    verdict = benchmark.pedantic(run, setup=chunk, rounds=ROUNDS, warmup_rounds=5)  # type: ignore[no-untyped-call]
    assert verdict == {
        "plain": 0, "genuine": 1, "token_suspended": _place("token_suspended"),
        "cryptogram": _place("cryptogram"),
    }[expected]  # fmt: skip


def _place(reason: str) -> int:
    return tap.REFUSED + tap.REASONS.index(reason)


@pytest.mark.benchmark(timer=time.thread_time)
def test_genuine(benchmark: BenchmarkFixture, taps: Taps) -> None:
    judge(benchmark, taps, "genuine")


@pytest.mark.benchmark(timer=time.thread_time)
def test_plain(benchmark: BenchmarkFixture, one: Taps) -> None:
    judge(benchmark, one, "plain", pan="6299001234567891")


@pytest.mark.benchmark(timer=time.thread_time)
def test_refused_by_state(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    with open_taps(tmp_path, "unionpay-01", CAPACITY, state=3) as taps:
        judge(benchmark, taps, "token_suspended")


@pytest.mark.benchmark(timer=time.thread_time)
def test_refused_by_cryptogram(benchmark: BenchmarkFixture, one: Taps) -> None:
    one.device.tap_wrongly()
    judge(benchmark, one, "cryptogram")
