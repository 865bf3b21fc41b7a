"""Every bit of a tap that must matter matters, and none that must not does."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.emv import SIGNED
from tests.support.tap import CARD, Taps, open_taps

PROFILES: Final = ("unionpay-01", "visa-10", "visa-18")

MUST_NOT: Final = {
    "9F33": "E0B0C8", "9F34": "3F0000", "9F35": "22", "9F1E": "3132333435363738", "9F09": "0020",
    "9F41": "00000001", "DF31": "0102", "9F06": "A000000333010101",
}  # fmt: skip
"""Tags that a terminal may send and no profile signs."""

TWO_WAYS: Final = bytes.fromhex("06010103A0000201")
"""UnionPay's application data with one byte less: without the algorithm, which is then triple DES,
as it was. The length is not signed."""


@pytest.fixture(scope="module", params=PROFILES)
def taps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Taps]:
    with open_taps(tmp_path_factory.mktemp("taps"), request.param) as opened:
        yield opened


def flips(value: bytes) -> Iterator[bytes]:
    """Every value that is one bit away."""
    for bit in range(8 * len(value)):
        yield (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")


_stans = iter(range(1, 1_000_000))


def verdict(taps: Taps, tags: dict[str, bytes], **changes: str | bytes) -> str:
    return taps.verdict(taps.message(next(_stans), tags, **changes))


@pytest.mark.parametrize("tag", [*SIGNED, "9F26", "9F10"])
def test_every_signed_bit_matters(taps: Taps, tag: str) -> None:
    tags = taps.device.tags()
    for flipped in flips(tags[tag]):
        if flipped == TWO_WAYS:
            continue
        assert verdict(taps, {**tags, tag: flipped}) not in {"genuine", "plain"}, flipped.hex()
    assert verdict(taps, tags) == "genuine", "and the counter was still to be had"


def test_the_kind_of_cryptogram_matters_and_its_advice_does_not(taps: Taps) -> None:
    for flipped in flips(b"\x80"):
        tags = taps.device.tags()
        expected = "genuine" if flipped[0] & 0xC0 == 0x80 else "not_a_request"
        assert verdict(taps, {**tags, "9F27": flipped}) == expected


def test_every_bit_of_the_application_provider_matters(taps: Taps) -> None:
    tags = taps.device.tags()
    for place, flipped in enumerate(flips(tags["84"])):
        if place >= 8 * (len(tags["84"]) - 5):
            assert verdict(taps, {**tags, "84": flipped}) == "application_unknown"
    assert verdict(taps, tags) == "genuine"


def test_no_bit_of_an_unsigned_tag_matters(taps: Taps) -> None:
    unsigned = {tag: bytes.fromhex(text) for tag, text in MUST_NOT.items() if tag != "9F06"}
    for tag, value in unsigned.items():
        for flipped in flips(value):
            tags = taps.device.tags()
            assert verdict(taps, {**tags, **unsigned, tag: flipped}) == "genuine", tag


def test_the_order_of_tags_does_not_matter(taps: Taps) -> None:
    tags = taps.device.tags()
    assert verdict(taps, dict(reversed(tags.items()))) == "genuine"


def test_every_digit_of_amount_currency_and_token_matters(taps: Taps) -> None:
    tags = taps.device.tags()
    for name, value in {
        "amount": "000000001234", "currency": "156", "pan": taps.device.number,
        "expiry": "3012", "card_sequence": "001",
    }.items():  # fmt: skip
        for place, digit in enumerate(value):
            other = str((int(digit) + 1) % 10)
            changed = value[:place] + other + value[place + 1 :]
            said = verdict(taps, tags, **{name: changed})
            inside = name != "pan" or changed.startswith("629977")
            assert said != "genuine", (name, place)
            assert (said == "plain") is not inside, (name, place)
    assert verdict(taps, tags) == "genuine"


def test_what_no_rule_reads_does_not_matter(taps: Taps) -> None:
    others = {
        "rrn": "000000000099", "terminal_id": "TERM0009", "merchant_id": "MERCHANT0000009",
        "local_time": "235959", "local_date": "0101", "mcc": "0001", "condition_code": "08",
        "merchant_name": "ELSEWHERE", "entry_mode": "051", "acquirer_country": "840",
    }  # fmt: skip
    for name, value in others.items():
        assert verdict(taps, taps.device.tags(), **{name: value}) == "genuine", name


def test_a_card_number_that_no_token_range_holds_is_a_plain_card(taps: Taps) -> None:
    assert verdict(taps, taps.device.tags(), pan=CARD) == "plain"
