"""A card number cannot be printed by accident."""

import copy

import msgspec
import pytest

from switch.errors import UsageError
from switch.model.pan import Pan, luhn_digit

_DIGITS = "6299000000000004"


def test_no_way_of_printing_shows_more_than_ten_digits() -> None:
    pan = Pan(_DIGITS)
    shown = [repr(pan), str(pan), f"{pan}", f"{pan:>30}", f"{pan!s}", "%s" % pan, pan.masked]  # noqa: UP031
    assert all("629900******0004" in text for text in shown)
    assert not any(_DIGITS in text for text in shown)
    assert _DIGITS not in str(vars(Pan)) + str(dir(pan))


def test_it_is_not_serialised_by_accident() -> None:
    pan = Pan(_DIGITS)
    with pytest.raises(UsageError):
        copy.copy(pan)
    with pytest.raises(TypeError):
        msgspec.json.encode({"pan": pan})


def test_only_reveal_gives_it_and_equals_are_equal() -> None:
    pan = Pan(_DIGITS)
    assert pan.reveal() == _DIGITS
    assert pan == Pan(_DIGITS)
    assert hash(pan) == hash(Pan(_DIGITS))
    assert pan != Pan("6299000000000012")
    assert pan != _DIGITS


@pytest.mark.parametrize("text", ["", "62990000000", "6" * 20, "6299-0000-0004", "６２９９" * 4])
def test_what_is_no_card_number_is_refused_without_a_quote(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Pan(text)
    assert not text or text not in str(caught.value)


def test_luhn() -> None:
    """Source: the example of ISO/IEC 7812-1, annex B: 4992739871 takes 6."""
    assert luhn_digit("4992739871") == "6"
    assert Pan("499273987160").luhn_valid is (luhn_digit("49927398716") == "0")
    assert not Pan("6299000000000013").luhn_valid
