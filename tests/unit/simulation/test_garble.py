"""Frames that nobody can read are such, and what is made of them is judged."""

from typing import Any

import pytest

from switch.errors import DecodeError, FramingError
from switch.model.kind import Kind
from switch.simulation.garble import ANSWERED, KINDS, LOSES_STREAM, garbled
from switch.simulation.ground import shared
from switch.simulation.ledgers import Garbled
from switch.simulation.oracles import judge
from switch.wire import Framer, Message
from tests.unit.simulation.ledgers import KEY, accepted, answered, bank, evidence, held, seen

VALUES = {
    "pan": "6299000000000000007", "processing_code": "000000", "amount": "000000000100",
    "transmission_time": "1123160000", "stan": "900001", "acquirer_code": "10000",
    "rrn": "900000000001", "terminal_id": "T0000001", "merchant_id": "MERCHANT0000001",
    "currency": "156",
}  # fmt: skip


def read(kind: str) -> Any:
    """What becomes of such a frame and a sound one behind it; the error of a lost stream."""
    dialect = shared().dialect
    how = (tuple(KINDS).index(kind) + 0.5) / len(KINDS)
    named, frame = garbled(dialect, "0200", VALUES, how)
    assert named == kind
    framer = Framer(dialect)
    try:
        return next(iter(framer.feed(frame + 3 * dialect.encode("0200", VALUES), 1)))
    except FramingError as error:
        return error


@pytest.mark.parametrize("kind", KINDS)
def test_it_cannot_be_read(kind: str) -> None:
    item = read(kind)
    if kind in LOSES_STREAM:
        assert isinstance(item, FramingError | DecodeError)
    elif isinstance(item, Message):
        assert kind == "version"
        assert item.kind == Kind.UNKNOWN
    else:
        assert isinstance(item, DecodeError)
        partial = item.partial
        said = partial is not None and partial.stan == 900_001
        assert said == (kind in ANSWERED | {"long"})


def one(**more: Any) -> Garbled:
    row: dict[str, Any] = {
        "acquirer": "10000", "stan": "900001", "rrn": "900000000001", "kind": "field", "link": 1,
        "told": ["30"],
    }  # fmt: skip
    return Garbled(**(row | more))


def judged(of: Garbled, **more: Any) -> set[str]:
    made = evidence(**more, standing=frozenset({1}))
    made.asked.garbled.append(of)
    return {broken.rule for broken in judge(made)}


def test_one_that_was_refused_once_or_whose_connection_went_is_sound() -> None:
    assert judged(one()) == set()
    assert judged(one(told=[], link=2)) == set()
    assert judged(one(told=[], kind="mti")) == set()


def test_one_that_touched_something_or_had_no_outcome_breaks_the_rule() -> None:
    assert "D11" in judged(one(told=[]))
    assert "D11" in judged(one(told=[], kind="length huge"))
    assert "D11" in judged(one(told=["00"]))
    assert "D11" in judged(one(told=["30", "30"]))
    record = accepted(2, kind="DECLINED", lsn=3, stan=900_001)
    for name in ("issuer", "out_stan", "out_time"):
        del record[name]
    assert "D11" in judged(one(), records=[accepted(), answered(), record])
    assert KEY[0] == "10000"
    got = seen("0200", original=None, rrn="900000000001", stan="000009")
    assert "D11" in judged(one(), at_bank=bank(held(), seen=[got]))
