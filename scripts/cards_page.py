# ruff: noqa: INP001 - scripts are no package
"""docs/reference/test-cards.md: which test cards, amounts and tokens do what."""

from typing import Final

from switch.sim.magic import markdown, tap_markdown

__all__ = ["cards_text"]

PAGE: Final = """\
# Test cards, amounts and tokens

What the simulated banks do with a request is chosen by four digits: digits 7 to 10 of the card number, or the last four digits of the amount in minor units. The card wins. Everything below 9000 is an ordinary purchase: approved while the account's balance lasts, else declined 51; a card that is not the bank's is declined 14.

A test card is the bank's prefix (six digits, `629900` to `629999`), the four digits, a serial of five digits and a Luhn digit. With prefix `629901` and digits `9051` that is `6299019051000013`: insufficient funds.

{cards}
A healed bank (the end of a demonstration) answers the silent, lost, deaf, late and wrong rows plainly and at once. Reversals are always acknowledged, except the first one of `9302`.

## Taps

A test token is laid out like a test card: the range of the tokens (six digits, `629977` in the demonstration), the four digits, serial, Luhn digit. From 9000 on the digits are those of its card, and the table above says what the bank does. The digits below make a tap that the switch must refuse by itself, so that no bank hears of it; all other tokens are ordinary.

{taps}
`tapswitch sim terminal --tokens FILE --node DIR` taps with the tokens of a file. The device of a token `8105` signs rightly until the switch has proved a tap of it, and from then on under that used counter. Devices are made of demo card masters only. Each proves the issuer's answer (tag 91): an approval without it, or any wrong one, is a finding when the demonstration compares its ledgers.

Both tables are generated from `switch/sim/magic.py` by `scripts/generate`; `tapswitch sim issuer --help` prints them too.
"""  # noqa: E501


def cards_text() -> str:
    """The whole page."""
    return PAGE.format(cards=markdown(), taps=tap_markdown())
