"""Differential tests: pyemv (MIT) derives the same keys, cryptograms and answers.

It is the oracle, in tests only. PBOC's session key is not in it; its rule is written out here over
pyemv's triple DES.
"""

import hashlib
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from pyemv import ac, kd, tools

from switch.crypto.profiles import Option, Proof, Refusal
from tests.support.emv import SIGNED, field, master, ring

CASES: Final = 1_500
RESULTS: Final = b"\xa0\x10\x02"
"""First GENERATE AC, ARQC; the other bits are the card's business."""

PARITY: Final = b"\xfe" * 8
halves = st.binary(min_size=8, max_size=8)


def is_double(key: bytes) -> bool:
    return any((a ^ b) & m for a, b, m in zip(key[:8], key[8:], PARITY, strict=True))


keys = st.tuples(halves, halves).map(b"".join).filter(is_double)
numbers = st.text("0123456789", min_size=8, max_size=19)
sequences = st.integers(0, 99)
counters = st.integers(0, 65_535)
options = st.sampled_from(Option)
amounts = st.integers(0, 10**12 - 1)
currencies = st.integers(1, 999)


def card_key(key: bytes, option: Option, number: str, sequence: int) -> bytes:
    derive = {Option.A: kd.derive_icc_mk_a, Option.B: kd.derive_icc_mk_b}[option]
    return derive(key, number, f"{sequence:02d}")


def session_key(kind: str, key: bytes, counter: int) -> bytes:
    if kind == "none":
        return key
    atc = counter.to_bytes(2, "big")
    if kind == "common":
        return kd.derive_common_sk(key, atc + bytes(6))
    assert kind == "pboc"
    inverse = bytes(byte ^ 0xFF for byte in atc)
    derived = tools.encrypt_tdes_ecb(key, bytes(6) + atc + bytes(6) + inverse)
    return tools.adjust_key_parity(derived)


def digest(packed: str) -> str:
    return hashlib.sha1(bytes.fromhex(packed), usedforsecurity=False).hexdigest()


def check(key: bytes) -> str:
    return tools.key_check_digits(key, 3).hex().upper()


@settings(max_examples=CASES)
@given(keys, options, numbers, sequences, counters)
def test_keys_are_derived_alike(
    key: bytes, option: Option, number: str, sequence: int, counter: int
) -> None:
    ours = master(key, option)
    card = card_key(key, option, number, sequence)
    assert ours.card_check_value(number, sequence) == check(card)
    for kind in ("none", "pboc", "common"):
        session = session_key(kind, card, counter)
        assert ours.session_check_value(number, sequence, kind, counter) == check(session)


def test_hash_with_few_digits_is_filled_with_letters() -> None:
    """Option B takes digits first; one hash in a thousand has fewer than the sixteen it needs."""
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    ours = master(key, Option.B)
    few = [
        number
        for number in (f"6299{n:015d}" for n in range(20_000))
        if sum(c.isdecimal() for c in digest(f"0{number}07")) < 16
    ]
    assert len(few) >= 5
    for number in few:
        card = card_key(key, Option.B, number, 7)
        assert ours.card_check_value(number, 7) == check(card)


PROFILES: Final = {
    "unionpay-01": ("unionpay", 0x01, "pboc", ac.PaddingType.EMV),
    "visa-10": ("visa", 0x0A, "none", ac.PaddingType.VISA),
    "visa-18": ("visa", 0x12, "common", ac.PaddingType.EMV),
}


@settings(max_examples=2 * CASES)
@given(
    st.sampled_from(sorted(PROFILES)), keys, options, numbers, sequences, amounts, currencies,
    st.binary(min_size=25, max_size=25), st.integers(0, 255), st.binary(max_size=24), st.data(),
)  # fmt: skip
def test_cryptograms_and_answers_are_the_same(
    profile: str, key: bytes, option: Option, number: str, sequence: int, amount: int,
    currency: int, rest: bytes, index: int, issuer: bytes, data: st.DataObject,
) -> None:  # fmt: skip
    scheme, version, kind, padding = PROFILES[profile]
    tags, at = {}, 0
    for tag, length in SIGNED.items():
        tags[tag] = (rest + rest)[at : at + length]
        at += length
    tags["9F02"] = bytes.fromhex(f"{amount:012d}")
    tags["5F2A"] = bytes.fromhex(f"{currency:04d}")
    head = b"\x07" if scheme == "unionpay" else b"\x06"
    results = b"\x03" + RESULTS
    algorithm = b"\x01" if scheme == "unionpay" else b""
    tags["9F10"] = head + bytes([index, version]) + results + algorithm + issuer

    signed = b"".join(tags[tag] for tag in SIGNED)
    signed += tags["9F10"] if profile == "visa-18" else results
    counter = int.from_bytes(tags["9F36"], "big")
    session = session_key(kind, card_key(key, option, number, sequence), counter)
    cryptogram = ac.generate_ac(session, signed, padding)
    tags["9F26"], tags["9F27"] = cryptogram, b"\x80"

    ours = ring(scheme, number[:8], index, key, option)
    proof = ours.verify(field(tags), number, sequence, amount, currency)
    assert isinstance(proof, Proof)
    assert (proof.profile, proof.counter, proof.index) == (profile, counter, index)
    assert proof.results == results
    if profile == "visa-18":
        status, own = data.draw(st.binary(min_size=4, max_size=4)), data.draw(st.binary(max_size=8))
        arpc = ac.generate_arpc_2(session, cryptogram, status, own)
        assert proof.answer_status(status, own) == arpc + status + own
    else:
        code = data.draw(st.binary(min_size=2, max_size=2))
        assert proof.answer_code(code) == ac.generate_arpc_1(session, cryptogram, code) + code

    bit = data.draw(st.integers(0, 63))
    tags["9F26"] = (int.from_bytes(cryptogram, "big") ^ 1 << bit).to_bytes(8, "big")
    refused = ours.verify(field(tags), number, sequence, amount, currency)
    assert isinstance(refused, Refusal)
    assert refused.reason == "cryptogram"
