"""One tap proved and answered: tags, keys derived anew, cryptogram; and the same by pyemv.

No key is cached: every tap pays for its card key and its session key.
"""

from typing import Any

import pytest
from pyemv import ac, kd, tools
from pytest_benchmark.fixture import BenchmarkFixture

from switch.crypto.profiles import Option, Proof, Refusal
from tests.support.emv import field, ring, vectors

ROWS = vectors()


def parts(row: dict[str, Any]) -> tuple[Any, ...]:
    """A ring and what `verify` takes for the row's tap."""
    key = bytes.fromhex(row["master"])
    keys = ring(row["scheme"], row["number"][:6], 1, key, Option(row["option"]))
    amount, currency = (int(row["tags"][tag].hex()) for tag in ("9F02", "5F2A"))
    return keys, field(row["tags"]), row["number"], row["sequence"], amount, currency


@pytest.mark.parametrize("row", ROWS, ids=[row["profile"] for row in ROWS])
def test_verify(benchmark: BenchmarkFixture, row: dict[str, Any]) -> None:
    keys, *tap = parts(row)
    proof = benchmark(keys.verify, *tap)
    assert isinstance(proof, Proof)


def test_refuse(benchmark: BenchmarkFixture) -> None:
    """A wrong cryptogram costs what a right one costs."""
    row = vectors()[0]
    row["tags"]["9F26"] = bytes(8)
    keys, *tap = parts(row)
    refused = benchmark(keys.verify, *tap)
    assert isinstance(refused, Refusal)
    assert refused.reason == "cryptogram"


def test_answer(benchmark: BenchmarkFixture) -> None:
    """Tag 91, from the session key that the proof keeps."""
    row = ROWS[0]
    keys, *tap = parts(row)
    proof = keys.verify(*tap)
    assert benchmark(proof.answer_code, b"01") == bytes.fromhex(row["answer"])


def test_pyemv(benchmark: BenchmarkFixture) -> None:
    """The first row by Python over a C library: the same keys, cryptogram and comparison."""
    row = ROWS[0]
    key = bytes.fromhex(row["master"])
    signed = bytes.fromhex(row["data"]) + row["tags"]["9F10"][3:7]
    atc = row["tags"]["9F36"]
    diversified = bytes(6) + atc + bytes(6) + bytes(byte ^ 0xFF for byte in atc)

    def verify() -> bool:
        card = kd.derive_icc_mk_a(key, row["number"], f"{row['sequence']:02d}")
        session = tools.adjust_key_parity(tools.encrypt_tdes_ecb(card, diversified))
        return bool(ac.generate_ac(session, signed) == row["tags"]["9F26"])

    assert benchmark(verify)
