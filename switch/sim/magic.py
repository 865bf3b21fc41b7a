"""Magic cards, amounts and tokens: what a simulated bank does, and what is wrong with a tap.

Four digits choose the outcome. They stand either in the card number (digits 7 to 10) or at the end
of the amount (its last four digits, in minor units); the card wins. Anything below 9000 is an
ordinary purchase that the account's balance decides. The same table serves the issuer simulator,
the terminals' mixture, ``tapswitch sim issuer --help`` and docs/reference/test-cards.md, so that
the four can never disagree.

A test token has the same four digits at the same place. From 9000 on they are its card's, so the
bank misbehaves; rows of `TAPS` make the tap itself one that the switch must refuse.
"""

from enum import StrEnum, unique
from typing import Final

import msgspec

__all__ = [
    "CODE_MIN",
    "ORDINARY",
    "TABLE",
    "TAPS",
    "Act",
    "Magic",
    "MagicTap",
    "Trick",
    "find",
    "find_tap",
    "markdown",
    "tap_markdown",
    "text",
]

CODE_MIN: Final = 9000
"""Four digits from here on are magic; ordinary cards and amounts stay below."""


@unique
class Act(StrEnum):
    """What the bank does with a request."""

    ORDINARY = "ordinary"
    """The account decides: 00, or 51 when the balance is too low, or 14 when the card is not the
    bank's.
    """
    APPROVE = "approve"
    DECLINE = "decline"
    PARTIAL = "partial"
    """Approves half of the amount with code 10 and holds that half."""
    UNKNOWN_CODE = "unknown_code"
    """Holds the money and answers a response code that no dialect lists."""
    SLOW = "slow"
    SILENT = "silent"
    """Holds the money; the answer is never sent."""
    LOST = "lost"
    """The request is lost before it has any effect: no hold, no answer."""
    DEAF = "deaf"
    """As silent, and the first reversal is not acknowledged either; its repeat is."""
    LATE = "late"
    LATE_DECLINE = "late_decline"
    DUPLICATE = "duplicate"
    """Approves and sends the answer twice."""
    WRONG_STAN = "wrong_stan"
    """Holds the money; the answer carries another STAN and so belongs to nobody."""
    WRONG_TERMINAL = "wrong_terminal"
    """Holds the money; the answer names another terminal and must not be believed."""
    HANG_UP = "hang_up"
    """Holds the money and closes the connection instead of answering."""


class Magic(msgspec.Struct, frozen=True):
    """One row: four digits, what happens, with which response code."""

    digits: int
    act: Act
    code: str
    """Response code of the bank's answer, empty when no answer is sent."""
    holds: bool
    """True when the bank holds money for the request until it is reversed."""
    meaning: str


ORDINARY: Final = Magic(0, Act.ORDINARY, "00", holds=True, meaning="the account's balance decides")

_DECLINES: Final = {
    "05": "do not honour",
    "12": "invalid transaction",
    "13": "invalid amount",
    "14": "no such card",
    "41": "lost card",
    "43": "stolen card",
    "51": "insufficient funds",
    "54": "expired card",
    "55": "wrong PIN",
    "57": "not permitted to this card",
    "58": "not permitted to this terminal",
    "61": "amount limit exceeded",
    "62": "restricted card",
    "65": "count limit exceeded",
    "75": "too many PIN tries",
    "91": "bank's own host is down (technical)",
    "96": "bank's own malfunction (technical)",
}


def _rows() -> dict[int, Magic]:
    rows = [Magic(9000, Act.APPROVE, "00", holds=True, meaning="approved, whatever the balance")]
    rows += [
        Magic(9000 + int(code), Act.DECLINE, code, holds=False, meaning=f"declined {code}: {why}")
        for code, why in _DECLINES.items()
    ]
    rows += [
        Magic(9100, Act.PARTIAL, "10", holds=True, meaning="partial approval of half the amount"),
        Magic(
            9110,
            Act.UNKNOWN_CODE,
            "X9",
            holds=True,
            meaning="a response code that no dialect lists",
        ),
        Magic(9200, Act.SLOW, "00", holds=True, meaning="approved slowly, still in time"),
        Magic(9300, Act.SILENT, "", holds=True, meaning="silence: money held, never answered"),
        Magic(9301, Act.LOST, "", holds=False, meaning="silence: request lost, nothing held"),
        Magic(
            9302,
            Act.DEAF,
            "",
            holds=True,
            meaning="silence, and the first reversal is not acknowledged",
        ),
        Magic(9400, Act.LATE, "00", holds=True, meaning="approved after the deadline"),
        Magic(9401, Act.LATE_DECLINE, "05", holds=False, meaning="declined after the deadline"),
        Magic(9500, Act.DUPLICATE, "00", holds=True, meaning="approved, the answer sent twice"),
        Magic(
            9600,
            Act.WRONG_STAN,
            "00",
            holds=True,
            meaning="approved, the answer carries a wrong STAN",
        ),
        Magic(
            9601,
            Act.WRONG_TERMINAL,
            "00",
            holds=True,
            meaning="approved, the answer names a wrong terminal",
        ),
        Magic(
            9700,
            Act.HANG_UP,
            "",
            holds=True,
            meaning="money held, connection closed instead of an answer",
        ),
    ]
    return {row.digits: row for row in rows}


TABLE: Final[dict[int, Magic]] = _rows()
"""Four digits to row, in ascending order."""


def find(pan: str, amount_minor: int) -> Magic:
    """The row that a card number and an amount in minor units choose; `ORDINARY` when neither is
    magic.

    Digits from `CODE_MIN` on that are in no row are ordinary too.
    """
    if len(pan) >= 10 and pan[6] == "9" and (row := TABLE.get(int(pan[6:10]))) is not None:
        return row
    return TABLE.get(amount_minor % 10_000, ORDINARY)


@unique
class Trick(StrEnum):
    """What is wrong with a tap."""

    NOTHING = "nothing"
    WRONG_CRYPTOGRAM = "wrong_cryptogram"
    REPLAYED_COUNTER = "replayed_counter"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    WRONG_MERCHANT = "wrong_merchant"
    ABOVE_CEILING = "above_ceiling"
    UNKNOWN = "unknown"


class MagicTap(msgspec.Struct, frozen=True):
    """One row: four digits of a token, what is wrong, what the switch answers and writes down."""

    digits: int
    trick: Trick
    code: str
    """Response code that the terminal gets. No bank hears of the tap."""
    reason: str
    """The switch's own reason, in journal and metrics."""
    meaning: str


TAPS: Final[dict[int, MagicTap]] = {
    row.digits: row
    for row in (
        MagicTap(8005, Trick.WRONG_CRYPTOGRAM, "05", "cryptogram", "one bit of the cryptogram"),
        MagicTap(8014, Trick.UNKNOWN, "14", "token_unknown", "a number of the range, never issued"),
        MagicTap(8054, Trick.EXPIRED, "54", "token_expired", "the token's month has passed"),
        MagicTap(
            8057, Trick.WRONG_MERCHANT, "57", "mcc_forbidden", "for buses only, used in a shop"
        ),
        MagicTap(
            8061, Trick.ABOVE_CEILING, "61", "above_ceiling", "more than the token's 50.00 allow"
        ),
        MagicTap(8062, Trick.SUSPENDED, "62", "token_suspended", "the token is suspended"),
        MagicTap(
            8105, Trick.REPLAYED_COUNTER, "05", "atc_seen", "a copied device, with a used counter"
        ),
    )
}
"""Four digits to row, in ascending order; all below `CODE_MIN`, so that the card is ordinary."""


def find_tap(token: str) -> MagicTap | None:
    """The row that a token's digits 7 to 10 choose; None when nothing is wrong with its taps."""
    return TAPS.get(int(token[6:10]))


def text() -> str:
    """The table for a terminal, one row a line."""
    lines = [f"  {row.digits}  {row.code or '--'}  {row.meaning}" for row in TABLE.values()]
    taps = [f"  {row.digits}  {row.code}  {row.meaning}" for row in TAPS.values()]
    return "\n".join(
        ["Four digits, response code, outcome:", *lines, "", "Of a token: refused taps:", *taps]
    )


def markdown() -> str:
    """The table for docs/reference/test-cards.md."""
    lines = [
        f"| `{row.digits}` | {f'`{row.code}`' if row.code else 'none'} "
        f"| {'yes' if row.holds else 'no'} | {row.meaning} |"
        for row in TABLE.values()
    ]
    return (
        "\n".join(
            ["| digits | response code | money held | outcome |", "|---|---|---|---|", *lines]
        )
        + "\n"
    )


def tap_markdown() -> str:
    """The table of taps for docs/reference/test-cards.md."""
    lines = [
        f"| `{row.digits}` | `{row.code}` | `{row.reason}` | {row.meaning} |"
        for row in TAPS.values()
    ]
    head = ["| digits | response code | reason | what is wrong |", "|---|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"
