"""Framing, decoding and encoding of one request of about 250 bytes and 19 fields."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.reference import decode as reference_decode
from switch.errors import DecodeError
from switch.native import load
from switch.sim.steering import load_dialect
from switch.wire import Dialect, Framer
from tests.support.message import DIALECT
from tests.support.wire import CHIP, body, decoded, purchase

CHUNK = 16
"""Messages that arrive together: what a busy link reads at once."""


@pytest.fixture(scope="module")
def dialect() -> Dialect:
    return load_dialect(None)


def test_framing(benchmark: BenchmarkFixture, dialect: Dialect) -> None:
    """A chunk of 16 messages cut, decoded and checked in one native call."""
    chunk, _ = load.request(1, CHUNK)
    framer = Framer(dialect)
    messages = benchmark(framer.feed, chunk, 1)
    assert [message.stan for message in messages] == list(range(2, CHUNK + 2))
    assert framer.buffered == 0


def test_decode(benchmark: BenchmarkFixture, dialect: Dialect) -> None:
    """One body, alone."""
    frame, _ = load.request(1_000_123)
    message = benchmark(dialect.decode, frame[2:], 1)
    assert (message.mti, message.stan, message.check) == ("0200", 125, 0)


def test_field(benchmark: BenchmarkFixture, dialect: Dialect) -> None:
    """One field of a decoded message as text."""
    frame, _ = load.request(1_000_123)
    message = dialect.decode(frame[2:], 1)
    assert benchmark(message.get, "terminal_id") == "B0001123"


def test_encode(benchmark: BenchmarkFixture, dialect: Dialect) -> None:
    """A message from canonical names; simulators and tools do this, the walk builds legs."""
    frame, _ = load.request(1_000_123)
    message = dialect.decode(frame[2:], 1)
    _, fields = reference_decode(frame)
    names = {int(path): name for path, name in _names(dialect)}
    values = {
        names[number]: value if number == 55 else value.decode() for number, value in fields.items()
    }
    assert benchmark(dialect.encode, message.mti, values) == frame


def test_tag(benchmark: BenchmarkFixture) -> None:
    """One tag of field 55, found in its TLV."""
    message = DIALECT.decode(body(purchase(**CHIP)))
    assert benchmark(message.get, "icc.9F36") == "0001"


def test_what_the_walk_reads(benchmark: BenchmarkFixture) -> None:
    """Kind, check and STAN: integers that decoding left ready."""
    message = DIALECT.decode(body(purchase(**CHIP)))
    assert benchmark(lambda: message.kind + message.check + message.stan) == 3


def test_refuse(benchmark: BenchmarkFixture) -> None:
    """A broken message costs more than a sound one, but too little to be an attack."""
    broken = body(purchase(**CHIP)).replace(b"1123170000", b"11231700x0")
    fault = benchmark(decoded, DIALECT, broken)
    assert isinstance(fault, DecodeError)
    assert fault.path == "field 7"


def _names(dialect: Dialect) -> list[tuple[str, str]]:
    return [
        (str(row["number"]), str(row["name"]))
        for row in dialect.fields()
        if str(row["number"]).isdecimal() and row["name"]
    ]
