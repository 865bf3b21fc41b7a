"""The search that other tests rely on finds what it must."""

import base64
from pathlib import Path

import pytest

from tests.support.canary import CHUNK, find, forms

CARD = "6299001234567893"
TRACK = "6299001234567893=30121010000000001"
BLOCK = bytes.fromhex("0412ac89abcdef67")


@pytest.mark.parametrize("secret", [CARD, TRACK, BLOCK])
@pytest.mark.parametrize("before", [0, 1, 2, 3, CHUNK - 5])
def test_every_form_is_found_wherever_it_stands(
    secret: str | bytes, before: int, tmp_path: Path
) -> None:
    for number, needle in enumerate(forms(secret).values()):
        file = tmp_path / f"{number}.bin"
        file.write_bytes(b"x" * before + needle + b"yz")
        assert find({"secret": secret}, [file]), (number, needle)
        file.unlink()


@pytest.mark.parametrize("before", range(7))
def test_base64_of_a_longer_text_is_found(before: int, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(base64.b64encode(b"q" * before + CARD.encode() + b" and more"))
    assert any("base64" in line for line in find({"card": CARD}, [tmp_path]))


def test_masked_number_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("629900******7893 6299001234567894", encoding="ascii")
    assert find({"card": CARD, "track": TRACK, "block": BLOCK}, [tmp_path]) == []
