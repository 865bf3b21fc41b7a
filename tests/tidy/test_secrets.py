"""No card number of the real world, and no key, stands in the tree: only the test range 6299."""

import re
from typing import Final

import pytest

from tests.support.tree import text_of, tracked

pytestmark = pytest.mark.tidy

TEST_RANGE: Final = "6299"
LOCKS: Final = {".lock", ".txt"}
"""Lock files are full of hashes."""

DIGITS: Final = re.compile(r"(?<![0-9A-Za-z_.])\d{13,19}(?![0-9A-Za-z_.])")


def luhn_valid(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def test_luhn_knows_a_card_number() -> None:
    assert luhn_valid("79927398713")
    assert not luhn_valid("79927398710")


def test_no_card_number_outside_the_test_range() -> None:
    hits = [
        f"{path}:{number}: {found[:6]}...{found[-4:]}"
        for path in tracked()
        if path.suffix not in LOCKS
        for number, line in enumerate(text_of(path).splitlines(), 1)
        for found in DIGITS.findall(line)
        if not found.startswith(TEST_RANGE)
        and len(set(found)) > 2
        and found[0] in "3456"
        and luhn_valid(found)
    ]
    assert hits == []


def test_no_key_file_is_tracked() -> None:
    assert [
        str(path) for path in tracked() if path.suffix in {".key", ".keys", ".pem", ".p12", ".pfx"}
    ] == []


def test_no_private_key_text() -> None:
    marker = "PRIVATE " + "KEY-----"
    assert [str(path) for path in tracked() if marker in text_of(path)] == []
