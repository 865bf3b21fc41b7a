"""The thin side of cryptograms: masters through a descriptor, the ring, proofs and refusals."""

from typing import Any

import pytest

from switch.crypto.profiles import (
    REASONS,
    CardMaster,
    Option,
    Proof,
    Refusal,
    Ring,
    Scheme,
    card_master,
)
from switch.errors import KeyFileError, UsageError
from tests.support.emv import field, master, pipe, ring, vectors

KEY = "0123456789ABCDEFFEDCBA9876543210"


def verify(row: dict[str, Any], *, amount: int | None = None) -> Proof | Refusal:
    keys = ring(
        row["scheme"], row["number"][:6], 1, bytes.fromhex(row["master"]), Option(row["option"])
    )
    tags = row["tags"]
    asked = int(tags["9F02"].hex()) if amount is None else amount
    currency = int(tags["5F2A"].hex())
    return keys.verify(field(tags), row["number"], row["sequence"], asked, currency)


@pytest.mark.parametrize("row", vectors(), ids=lambda row: row["profile"])
def test_published_tap_is_proved_and_answered(row: dict[str, Any]) -> None:
    proof = verify(row)
    assert isinstance(proof, Proof)
    assert proof.profile == row["profile"]
    assert proof.counter.to_bytes(2, "big") == row["tags"]["9F36"]
    assert proof.results == row["tags"]["9F10"][3:7]
    if "code" in row:
        answer = proof.answer_code(bytes.fromhex(row["code"]))
        with pytest.raises(UsageError, match="other method"):
            proof.answer_status(bytes(4))
    else:
        answer = proof.answer_status(bytes.fromhex(row["status"]))
        with pytest.raises(UsageError, match="at most 8 bytes"):
            proof.answer_status(bytes(4), bytes(9))
        with pytest.raises(UsageError, match="other method"):
            proof.answer_code(b"00")
    assert answer == bytes.fromhex(row["answer"])


def test_refusal_has_a_word_and_what_it_is_about() -> None:
    row = vectors()[0]
    refused = verify(row, amount=2)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.about) == ("amount_differs", "")
    del row["tags"]["9F37"]
    row["tags"]["9F02"] = bytes(5)
    refused = verify(row)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.about) == ("tag_length", "9F02")
    assert repr(refused) == "<Refusal tag_length 9F02>"
    assert refused.reason in REASONS
    assert len(set(REASONS)) == len(REASONS) == 16


def test_nothing_shows_a_key_or_a_number() -> None:
    row = vectors()[0]
    proof = verify(row)
    texts = [repr(part) for part in (proof, master(bytes.fromhex(KEY)), Ring())]
    for text in texts:
        assert row["number"] not in text
        assert row["master"].lower() not in text.lower()
    assert texts[:2] == ["<Proof unionpay-01 counter 576>", "<CardMaster>"]


def test_master_is_read_from_a_descriptor() -> None:
    for content in (KEY.encode(), f"{KEY.lower()}\n".encode(), bytes.fromhex(KEY)):
        with pipe(content) as descriptor:
            read = card_master(descriptor, Option.A, "08D7B4")
        assert read.card_check_value("6299000000000004", 1) == master(
            bytes.fromhex(KEY)
        ).card_check_value("6299000000000004", 1)


@pytest.mark.parametrize(
    ("content", "check_value", "problem"),
    [
        (KEY.encode(), "08D7B5", "check value 08D7B5; it is 08D7B4"),
        (b"", "08D7B4", "16 bytes, or 32 hexadecimal digits"),
        (bytes(17), "08D7B4", "16 bytes, or 32 hexadecimal digits"),
        (b"0123456789ABCDEF" * 2, "08D7B4", "single DES"),
    ],
)
def test_what_is_no_master_is_refused(content: bytes, check_value: str, problem: str) -> None:
    with pipe(content) as descriptor, pytest.raises(KeyFileError, match=problem):
        card_master(descriptor, Option.A, check_value)


def test_closed_descriptor_is_an_error() -> None:
    with pytest.raises(KeyFileError, match="cannot read the key"):
        card_master(-1, Option.B, "08D7B4")


def test_ring_takes_a_key_over_once() -> None:
    keys, read = Ring(), master(bytes.fromhex(KEY))
    for prefix in ("", "62990x", "6299000000000"):
        with pytest.raises(UsageError, match="1 to 12 digits"):
            keys.add(Scheme.VISA, prefix, 1, read)
    with pytest.raises(UsageError, match="no such scheme"):
        keys.add("other", "6299", 1, read)
    keys.add(Scheme.VISA, "6299", 1, read)
    for used in (lambda: keys.add(Scheme.VISA, "6299", 2, read), lambda: check_value(read)):
        with pytest.raises(UsageError, match="a ring has taken this key"):
            used()
    with pytest.raises(UsageError, match="already"):
        keys.add(Scheme.VISA, "6299", 1, master(bytes.fromhex(KEY)))
    assert len(keys) == 1


def check_value(read: CardMaster) -> str:
    return read.card_check_value("6299000000000004", 1)


def test_words_that_are_none_are_refused() -> None:
    read = master(bytes.fromhex(KEY))
    with pipe(KEY.encode()) as descriptor, pytest.raises(UsageError, match="A or B"):
        CardMaster.read(descriptor, "C", bytes.fromhex("08D7B4"))
    with pytest.raises(UsageError, match="no such session key"):
        read.session_check_value("6299000000000004", 1, "other", 1)
    for number, sequence in (("629900000000000x", 1), ("6299", 1), ("6299000000000004", 100)):
        with pytest.raises(UsageError, match="8 to 19 digits"):
            read.card_check_value(number, sequence)
        with pytest.raises(UsageError, match="8 to 19 digits"):
            Ring().verify(b"", number, sequence, 1, 156)
