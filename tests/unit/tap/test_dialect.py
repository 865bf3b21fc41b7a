"""What a dialect says of taps: refused by name where it would leak or lie."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from switch.errors import DialectError
from switch.native import codec
from tests.support.emv import field
from tests.support.tap import Taps, open_taps

FILE: Final = Path(__file__).parents[3] / "config/dialects/iso87-ascii.toml"
TEXT: Final = FILE.read_text(encoding="utf-8")


def compiled(*changes: tuple[str, str]) -> codec.Dialect:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return codec.Dialect.compile(text, "changed.toml")


@pytest.mark.parametrize(
    "name",
    ["track1", "track2", "track3", "pin_block", "icc", "mac", "extended_pan"],
)
def test_nothing_that_is_the_terminals_goes_to_a_bank_with_a_tap(name: str) -> None:
    head, leg = TEXT.split("[legs.tap]\n")
    leg = leg.replace(f'\n{name} = "switch"', "", 1)
    with pytest.raises(DialectError, match="from the vault, or not at all"):
        codec.Dialect.compile(f'{head}[legs.tap]\n{name} = "request"\n{leg}', "changed.toml")


@pytest.mark.parametrize("name", ["pan", "expiry", "card_sequence"])
def test_number_expiry_and_sequence_are_the_cards(name: str) -> None:
    head, leg = TEXT.split("[legs.tap]")
    assert f'\n{name} = "vault"' in leg
    leg = leg.replace(f'\n{name} = "vault"', f'\n{name} = "request"', 1)
    with pytest.raises(DialectError, match="from the vault, or not at all"):
        codec.Dialect.compile(f"{head}[legs.tap]{leg}", "changed.toml")


@pytest.mark.parametrize("leg", ["answer", "reversal_answer", "request", "reversal"])
def test_only_a_taps_request_knows_the_vault(leg: str) -> None:
    head, tail = TEXT.split(f"[legs.{leg}]\n")
    for line in ('expiry = "vault"', 'reserved_private_63 = "proof"'):
        name = line.split()[0]
        section, *rest = tail.split("\n[", 1)
        kept = "\n".join(row for row in section.splitlines() if not row.startswith(f"{name} "))
        text = f"{head}[legs.{leg}]\n{line}\n{kept}\n" + "".join(f"\n[{part}" for part in rest)
        with pytest.raises(DialectError, match="only the leg tap"):
            codec.Dialect.compile(text, "changed.toml")


def test_a_proof_needs_sub_fields_and_sub_fields_need_a_layout() -> None:
    with pytest.raises(DialectError, match="no sub-field"):
        compiled(('result = "reserved_private_63.01"', 'result = "reserved_private_62"'))
    with pytest.raises(DialectError, match="no sub-field that the table tap names"):
        compiled(('reserved_private_63 = "proof"', 'reserved_private_62 = "proof"'))
    with pytest.raises(DialectError):
        compiled(('result = "reserved_private_63.01"', 'outcome = "reserved_private_63.01"'))


MCC: Final = '\n[tap.mcc]\nfield = "merchant_id"\nfrom = 8\nto = 11\n'


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Taps]:
    """Taps in a terminal dialect, for a token that may only be used in category 5411."""
    with open_taps(tmp_path, mccs=[5411]) as taps:
        taps.world.dialect = compiled(
            (
                'assurance = "reserved_private_63.04"\n',
                'assurance = "reserved_private_63.04"\n' + MCC,
            )
        )
        yield taps


@pytest.mark.parametrize(
    ("merchant", "expected"),
    [
        ("102345654110001", "genuine"),
        ("102345658120001", "mcc_forbidden"),
        ("5411   5812", "mcc_forbidden"),
        ("1023456541100", "genuine"),
        ("1023456A4110001", "mcc_missing"),
        ("1023456", "mcc_missing"),
    ],
)
def test_a_terminal_dialect_has_the_category_in_the_merchants_number(
    terminals: Taps, merchant: str, expected: str
) -> None:
    message = terminals.message(1, merchant_id=merchant, mcc="5411")
    assert terminals.verdict(message) == expected


def test_the_place_of_the_category_has_four_digits() -> None:
    with pytest.raises(DialectError, match="four"):
        compiled(
            ("04 = { class", "04 = { class"),
            ("\n# Allow-lists", MCC.replace("11", "12") + "\n# Allow-lists"),
        )


def test_a_chip_field_of_many_tags_is_no_problem(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        tags = taps.device.tags()
        more = {f"DF{n:02X}": b"\x00" for n in range(1, 100)}
        assert taps.verdict(taps.message(1, icc=field({**tags, **more}))) == "genuine"
