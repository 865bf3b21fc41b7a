"""Amounts are whole minor units of one currency."""

import pytest

from switch.errors import UsageError
from switch.model.money import AMOUNT_MINOR_MAX, Money


def test_it_prints_in_the_currencys_unit() -> None:
    assert str(Money(1050, "156")) == "10.50 156"
    assert str(Money(5, "156")) == "0.05 156"
    assert str(Money(1050, "392")) == "1050 392"
    assert str(Money(1050, "414")) == "1.050 414"


def test_sums_stay_in_one_currency_and_in_twelve_digits() -> None:
    assert Money(1, "156") + Money(2, "156") == Money(3, "156")
    assert Money(3, "156") - Money(3, "156") == Money(0, "156")
    with pytest.raises(UsageError):
        Money(1, "156") + Money(1, "840")
    with pytest.raises(UsageError):
        Money(1, "156") - Money(2, "156")
    with pytest.raises(UsageError):
        Money(AMOUNT_MINOR_MAX, "156") + Money(1, "156")


@pytest.mark.parametrize("currency", ["15", "CNY", "1560", ""])
def test_a_currency_is_three_digits(currency: str) -> None:
    with pytest.raises(UsageError):
        Money(1, currency)
