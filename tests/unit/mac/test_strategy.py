"""Message codes by every strategy: published vectors, and two oracles for what has none."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from hypothesis import given
from hypothesis import strategies as st
from psec import des
from psec import mac as oracle

from switch.errors import KeyFileError, UsageError
from switch.native import codec, mac
from tests.support.emv import pipe
from tests.support.tree import ROOT

VECTORS = codec.parse_toml(
    (ROOT / "tests" / "vectors" / "mac.toml").read_text(encoding="utf-8")
)[0]  # fmt: skip

ECB = ("cup-ecb", "xor", "hex", 8)


def key_of(cipher: str, key: bytes) -> mac.Key:
    with pipe(key) as descriptor:
        return mac.Key.read(descriptor, cipher)


def code(
    algorithm: str, cipher: str, chain: str, form: str, length: int, key: bytes, data: bytes
) -> bytes:
    return mac.Strategy(algorithm, cipher, chain, form, length).code(key_of(cipher, key), data)


def single(key: bytes, block: bytes) -> bytes:
    """One block under DES (8 bytes) or triple DES (16), by the oracle."""
    return des.encrypt_tdes_ecb(key, block)


def sm4(key: bytes, block: bytes) -> bytes:
    return Cipher(SM4(key), modes.ECB()).encryptor().update(block)  # noqa: S305 - one block


def blocks(data: bytes, size: int) -> list[bytes]:
    filled = data + bytes(-len(data) % size)
    return [filled[at : at + size] for at in range(0, len(filled), size)]


def over(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def folded(encrypt: Any, key: bytes, data: bytes, size: int) -> bytes:
    """The fold and the two encryptions, step by step as the terminals' papers tell it."""
    total = bytes(size)
    for block in blocks(data, size):
        total = over(total, block)
    text = total.hex().upper().encode()
    last: bytes = encrypt(key, over(encrypt(key, text[:size]), text[size:]))
    return last


@pytest.mark.parametrize("row", VECTORS["code"], ids=lambda row: row["name"])
def test_published_code_is_made_and_proved(row: dict[str, Any]) -> None:
    strategy = mac.Strategy(
        row["algorithm"], row["cipher"], row["chain"], row["form"], row["length"]
    )
    key = key_of(row["cipher"], row["key"].encode())
    data, expected = bytes.fromhex(row["data"]), bytes.fromhex(row["code"])
    assert strategy.code(key, data) == expected
    assert strategy.proves(key, data, expected)
    assert not strategy.proves(key, data + b"\x01", expected)
    assert not strategy.proves(key, data, expected[:-1] + b"\xff")
    assert not strategy.proves(key, data, expected[:4])


@given(st.binary(max_size=120), st.binary(min_size=16, max_size=16))
def test_folded_codes_are_those_of_the_oracle(data: bytes, key: bytes) -> None:
    for cipher, used in (("des", key[:8]), ("3des", key)):
        last = folded(single, used, data, 8)
        assert (
            code("cup-ecb", cipher, "xor", "hex", 8, used, data) == last[:4].hex().upper().encode()
        )
        assert code("cup-ecb", cipher, "xor", "binary", 8, used, data) == last
    last = folded(sm4, key, data, 16)
    assert code("cup-ecb", "sm4", "xor", "hex", 8, key, data) == last[:4].hex().upper().encode()
    assert code("cup-ecb", "sm4", "xor", "binary", 8, key, data) == last[:8]


@given(st.binary(min_size=1, max_size=120), st.binary(min_size=16, max_size=16))
def test_chained_codes_are_those_of_the_oracle(data: bytes, key: bytes) -> None:
    assert code("x9.9", "des", "cbc", "binary", 8, key[:8], data) == oracle.generate_cbc_mac(
        key[:8], data, 1, 8
    )
    assert code("cup-ecb", "3des", "cbc", "binary", 8, key, data) == oracle.generate_cbc_mac(
        key, data, 1, 8
    )
    retail = oracle.generate_retail_mac(key[:8], key[8:], data, 1, 8)
    assert code("x9.19", "3des", "retail", "binary", 8, key, data) == retail
    assert code("x9.19", "3des", "retail", "binary", 4, key, data) == retail[:4] + bytes(4)
    chain = Cipher(SM4(key), modes.CBC(bytes(16))).encryptor()
    last = chain.update(b"".join(blocks(data, 16)))[-16:]
    assert code("cup-ecb", "sm4", "cbc", "binary", 8, key, data) == last[:8]


@pytest.mark.parametrize("row", VECTORS["download"], ids=lambda row: row["name"])
def test_downloaded_keys_have_their_check_values(row: dict[str, Any]) -> None:
    for one in row["keys"]:
        clear = des.decrypt_tdes_ecb(bytes.fromhex(row["master"]), bytes.fromhex(one["cipher"]))
        assert clear.hex().upper() == one["key"]
        ours = key_of("des" if len(clear) == 8 else "3des", clear).check_value
        assert ours == des.generate_kcv(clear, 4).hex().upper()
        assert one["check"] in ("", ours)


@pytest.mark.parametrize(
    "parameters",
    [
        ("x9.9", "3des", "cbc", "binary", 8),
        ("x9.19", "des", "retail", "binary", 8),
        ("cup-ecb", "des", "retail", "hex", 8),
        ("cup-ecb", "des", "xor", "hex", 4),
        ("x9.19", "3des", "retail", "binary", 5),
        ("md5", "des", "xor", "hex", 8),
        ("cup-ecb", "aes", "xor", "hex", 8),
    ],
)
def test_parameters_that_do_not_fit_are_refused(
    parameters: tuple[str, str, str, str, int],
) -> None:
    with pytest.raises(UsageError):
        mac.Strategy(*parameters)


def test_key_of_another_length_or_cipher_is_refused() -> None:
    with pytest.raises(KeyFileError, match="8 bytes, or 16 hexadecimal digits"):
        key_of("des", bytes(16))
    with pytest.raises(UsageError):
        mac.Strategy("cup-ecb", "des", "xor", "hex", 8).code(key_of("3des", bytes(range(16))), b"x")


def test_key_shows_nothing_of_itself() -> None:
    key = key_of("3des", b"0123456789ABCDEFFEDCBA9876543210")
    assert repr(key) == "<Key>"
    assert key.check_value == "08D7B4FB"
    assert key.cipher == "3des"
