"""One tap in the dialects that ship: what packed digits, sub-fields, TPDU and header cost.

The same card, terminal, amount and chip data; each in a chunk of 64, as a busy link reads them. A
tap in `pos-cn` may cost 1.2 of one in `iso87-ascii`; the benches stand in one group, so that a run
shows the ratio.
"""

from __future__ import annotations

from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from switch.wire import Dialect, Framer, KeepAlive, Message
from switch.wire.dialect import load
from tests.support.message import DIALECT
from tests.support.pos import POS, pos_message
from tests.support.tree import ROOT
from tests.support.wire import CHIP, purchase

MESSAGES: Final = 64
BCD: Final = load(ROOT / "config" / "dialects", "iso87-bcd")
MORE: Final = {"expiry": "3012", "card_sequence": "001"}


def _iso(dialect: Dialect, stan: str) -> bytes:
    message = DIALECT.decode(purchase(**CHIP, **MORE, mcc="5411", stan=stan)[2:])
    names = [row[1] for row in message.describe()[1:] if "." not in row[0]]
    binary = {"icc"}
    values = {name: message.reveal(name) or "" for name in names}
    fields: dict[str, str | bytes] = {
        name: bytes.fromhex(value) if name in binary else value for name, value in values.items()
    }
    return dialect.encode("0200", fields)


def _pos(stan: str) -> bytes:
    values = pos_message(stan=stan, track2="6299001234567891=3012201000000000000")
    return POS.encode("0200", {**values, **MORE, **CHIP, "mac": b"A1B2C3D4"})


STANS: Final = [f"{number:06d}" for number in range(1, MESSAGES + 1)]
TAPS: Final[dict[str, tuple[Dialect, bytes]]] = {
    "iso87-ascii": (DIALECT, b"".join(_iso(DIALECT, stan) for stan in STANS)),
    "iso87-bcd": (BCD, b"".join(_iso(BCD, stan) for stan in STANS)),
    "pos-cn": (POS, b"".join(map(_pos, STANS))),
}


@pytest.mark.parametrize("name", TAPS)
@pytest.mark.benchmark(group="a tap by dialect")
def test_tap(benchmark: BenchmarkFixture, name: str) -> None:
    dialect, stream = TAPS[name]
    framer = Framer(dialect)

    def feed() -> list[Message | Exception | KeepAlive]:
        return framer.feed(stream, 1)

    found = benchmark(feed)
    stans = [item.stan for item in found if isinstance(item, Message)]
    assert stans == list(range(1, MESSAGES + 1))
