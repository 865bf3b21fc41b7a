"""The generator and the bank through their Python door; the arithmetic is tested natively."""

import pytest

from switch.errors import UnreachableError, UsageError
from switch.native import load
from switch.sim.steering import load_dialect
from switch.wire import Dialect


@pytest.fixture(scope="module")
def dialect() -> Dialect:
    return load_dialect(None)


def test_the_codec_reads_what_the_generator_writes(dialect: Dialect) -> None:
    """The generator has a layout of its own, so that a fault of the codec cannot hide in both."""
    frame, offset = load.request(1_000_123, acquirer_code="10000001", date_s=1_795_454_445)
    assert frame[offset : offset + 6] == b"000125"
    message = dialect.decode(frame[2:])
    assert int.from_bytes(frame[:2], "big") == len(frame) - 2
    assert (message.mti, message.stan, message.amount_minor) == ("0200", 125, 200)
    assert (message.kind, message.check) == (2, 0)
    assert message.masked_pan().startswith("629900")
    assert message.get("transmission_time") == "1123172045"
    assert message.get("rrn") == "000001000123"
    assert message.get("terminal_id") == "B0001123"


def test_the_codec_reads_what_the_bank_answers(dialect: Dialect) -> None:
    import socket

    bank = load.Bank(answer="51")
    host, _, port = bank.address.rpartition(":")
    frame, _ = load.request(7)
    with socket.create_connection((host, int(port)), timeout=5) as peer:
        peer.sendall(frame)
        answer = peer.recv(4096)
    bank.close()
    request, reply = dialect.decode(frame[2:]), dialect.decode(answer[2:])
    assert (reply.mti, reply.get("response_code")) == ("0210", "51")
    assert reply.agrees(request, request.stan, request.get("transmission_time") or "")


def test_a_histogram_keeps_three_digits() -> None:
    histogram = load.Histogram()
    for value in range(1, 100_001):
        histogram.record(value * 1_000)
    assert len(histogram) == 100_000
    assert histogram.maximum == 100_000_000
    for q in (0.5, 0.99, 0.999):
        assert histogram.quantile(q) == pytest.approx(q * 100_000_000, rel=0.001)


def test_every_request_ends_in_one_bucket() -> None:
    bank = load.Bank()
    generator = load.Generator(bank.address, 4)
    schedule = load.Schedule.poisson(1_000, 0.2, seed=5)
    for answer in ("00", "05", None):
        bank.set_answer(answer)
        out = generator.open(schedule, warm_ms=50, drain_ms=100)
        ends = ("answered", "other_code", "wrong", "missing", "closed", "not_sent")
        counts = dict(out)
        assert out["offered"] == len(schedule) == sum(int(str(counts[end])) for end in ends)
        right = {"00": "answered", "05": "other_code", None: "missing"}[answer]
        assert counts[right] == out["offered"]
        assert out["clean"] is (answer == "00")
    generator.close()
    bank.close()
    with pytest.raises(UsageError):
        generator.sign_on()


def test_nobody_there_is_unreachable() -> None:
    bank = load.Bank()
    address = bank.address
    bank.close()
    with pytest.raises(UnreachableError):
        load.Generator(address, 1)
    with pytest.raises(UsageError):
        load.Bank(answer="000")
    with pytest.raises(UsageError):
        load.Schedule.poisson(-1, 1, 1)
