"""What the shape of the stream costs: the same 64 messages whole, one by one, and in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from switch.wire import Framer, KeepAlive, Message
from tests.support.message import DIALECT
from tests.support.wire import CHIP, purchase

MESSAGES: Final = 64
FRAMES: Final = [purchase(**CHIP, stan=f"{n:06d}") for n in range(1, MESSAGES + 1)]
STREAM: Final = b"".join(FRAMES)
HALF: Final = len(FRAMES[0]) // 2

SHAPES: Final[dict[str, Sequence[bytes]]] = {
    "chunk": [STREAM],
    "one_by_one": FRAMES,
    "in_pieces": [STREAM[at : at + HALF] for at in range(0, len(STREAM), HALF)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_feed(benchmark: BenchmarkFixture, shape: str) -> None:
    framer = Framer(DIALECT)

    def feed_all() -> list[Message | Exception | KeepAlive]:
        return [item for chunk in SHAPES[shape] for item in framer.feed(chunk, 1)]

    found = benchmark(feed_all)
    stans = [item.stan for item in found if isinstance(item, Message)]
    assert stans == list(range(1, MESSAGES + 1))
