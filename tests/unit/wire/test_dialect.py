"""Dialect files: what ships compiles and classifies everything; faults name their place."""

from pathlib import Path

import pytest

from switch.errors import DecodeError, DialectError, EncodeError, UsageError
from switch.model.kind import Check, Kind
from switch.model.response import RcClass
from switch.wire import Dialect, Framer, Message
from switch.wire.dialect import load, load_all
from tests.support.message import DIALECT, LENGTH_PREFIX, PURCHASE
from tests.support.tree import ROOT
from tests.support.wire import TEXT, body, packed, purchase, variant

DIALECTS = ROOT / "config" / "dialects"
CLASSES = {"C1", "C2", "C3", "SAD"}


@pytest.mark.parametrize("path", sorted(DIALECTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_dialect_classifies_every_field_sub_field_and_tag(path: Path) -> None:
    dialect = load(DIALECTS, path.stem)
    rows = dialect.fields()
    assert len(rows) > 120
    assert {row["class"] for row in rows} == CLASSES
    assert all(row["title_en"] for row in rows)
    sad = {row["name"] for row in rows if row["class"] == "SAD"}
    known = {row["name"] for row in rows}
    secret = {"track1", "track2", "track3", "pin_block", "icc", "icc.57", "icc.9F6B"}
    assert secret & known <= sad
    assert {"track2", "pin_block", "icc"} <= known
    assert all(
        row["class"] in {"C3", "SAD"}
        for row in rows
        if row["name"].startswith("reserved_") and "." not in row["name"]
    )


@pytest.mark.parametrize(
    ("old", "new", "message", "line_of", "help_"),
    [
        ('class = "SAD", ', "", "fields.35.class is missing", "35 = {", ""),
        (', class = "C1", title = { en = "Original STAN"', ', title = { en = "Original STAN"',
         "fields.90.subs.1.class is missing", '{ name = "stan"', ""),
        ('class = "SAD"', 'class = "SAAD"', 'fields.35.class has no value "SAAD"', "35 = {",
         '"SAD"'),
        ('prefix = 2, class = "SAD"', 'prefx = 2, class = "SAD"', "unknown key fields.35.prefx",
         "35 = {", '"prefix"'),
        ('name = "track2"', 'name = "track_2"', 'no canonical name: "track_2"', "35 = {",
         '"track2"'),
        ('name = "track3"', 'name = "track2"', "has the name of field 35", "36 = {", ""),
        ('framing = "length2"', 'framing = "lenght2"', 'framing has no value "lenght2"',
         "framing =", '"length2"'),
        ('kind = "purchase"', 'kind = "purchace"', 'kinds.1.kind has no value "purchace"',
         'kind = "purchace"', '"purchase"'),
        ('mti = ["0110", "0210"]', 'mti = ["0110", "21O"]', 'holds "21O", not four digits',
         'mti = ["0110"', ""),
        ('"icc.9F26"', '"icc.9f"', 'no field "icc.9f"', "body =", ""),
        ('fields = ["transmission_time", "rrn"', 'fields = ["transmission_time", "rrm"',
         'no field "rrm"', "fields = [", '"rrn"'),
        ('partial = ["10"]', 'partial = ["00"]', '"00" is in two lists', "partial =", ""),
        ('[legs.request]\npan = "request"', '[legs.request]\npan = "requst"',
         'legs.request.pan has no value "requst"', 'pan = "requst"', '"request"'),
        ('[legs.network]\n', '[legs.network]\nsettlement_date = "const:11x3"\n',
         "constant that does not fit", "settlement_date", ""),
        ("max = 37", "max = 137", "more than its prefix can say", "35 = {", ""),
        ('type = "z", max = 37', 'type = "z", encoding = "hex", max = 37',
         "hex cannot carry type z", "35 = {", ""),
        ("length = 42\n", "length = 43\n", "take 42 characters, the field has 43", "subs = [", ""),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_place(
    old: str, new: str, message: str, line_of: str, help_: str
) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    with pytest.raises(DialectError) as caught:
        Dialect.compile(text, "x.toml")
    error = caught.value
    assert message in str(error)
    assert help_ in error.help
    assert error.file == "x.toml"
    assert line_of in text.splitlines()[error.line - 1]
    assert error.key
    assert error.column >= 1


def test_not_toml_is_refused_with_its_place() -> None:
    with pytest.raises(DialectError, match=r"x\.toml:2:"):
        Dialect.compile('name = "x"\n[mti\n', "x.toml")


def test_files_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "iso87-ascii.toml").write_text(TEXT, encoding="utf-8")
    dialect = load(tmp_path, "iso87-ascii")
    assert dialect.name == "iso87-ascii"
    assert dialect.digest == DIALECT.digest
    assert len(dialect.digest) == 64
    assert list(load_all({"iso87-ascii": tmp_path / "iso87-ascii.toml"})) == ["iso87-ascii"]
    with pytest.raises(DialectError, match="calls itself"):
        load(tmp_path, "other")
    with pytest.raises(DialectError, match="cannot read"):
        load(tmp_path, "absent")


def test_kinds_are_those_of_the_model() -> None:
    """Native numbers mean what the model says; each kind is met once by decoding."""
    reply = {"transmission_time": "1123170000", "stan": "000001", "response_code": "00"}
    original = "0200" + "000001" + "1123170000" + "0" * 22
    met = {
        Kind.AUTHORISATION: purchase("0100"),
        Kind.PURCHASE: purchase("0201"),
        Kind.REVERSAL_REQUEST: purchase("0401", original_data=original),
        Kind.REVERSAL_ADVICE: purchase("0420", original_data=original),
        Kind.REPLY: DIALECT.encode("0210", reply),
        Kind.REVERSAL_REPLY: DIALECT.encode("0430", reply),
        Kind.NETWORK: DIALECT.encode("0800", {**reply, "network_code": "301"}),
        Kind.NETWORK_REPLY: DIALECT.encode("0810", reply),
        Kind.BALANCE: purchase("0200", processing_code="310000", amount=None),
        Kind.PREAUTHORISATION: purchase("0100", processing_code="030000", condition_code="06"),
        Kind.PREAUTHORISATION_CANCEL: purchase(
            "0100", processing_code="200000", condition_code="06"
        ),
        Kind.COMPLETION: purchase("0200", condition_code="06"),
        Kind.COMPLETION_ADVICE: purchase("0220", condition_code="06"),
        Kind.COMPLETION_VOID: purchase("0200", processing_code="200000", condition_code="06"),
        Kind.AUTHORISATION_ADVICE: purchase("0120"),
        Kind.PURCHASE_ADVICE: purchase("0221"),
        Kind.ADVICE_REPLY: DIALECT.encode("0130", reply),
        Kind.UNKNOWN: purchase("0220", processing_code="200000"),
    }
    assert set(met) == set(Kind)
    for kind, frame in met.items():
        message = DIALECT.decode(body(frame))
        assert message.kind == kind
        assert message.check == (Check.UNKNOWN_KIND if kind == Kind.UNKNOWN else Check.OK)


@pytest.mark.parametrize(
    ("mti", "changes", "check", "path"),
    [
        ("0200", {}, Check.OK, ""),
        ("0200", {"terminal_id": None}, Check.FORMAT, "field 41"),
        ("0200", {"condition_code": None}, Check.FORMAT, "field 25"),
        ("0200", {"processing_code": "900000"}, Check.UNKNOWN_KIND, "field 3"),
        ("0200", {"condition_code": "91"}, Check.UNKNOWN_KIND, "field 25"),
        ("0500", {}, Check.UNKNOWN_KIND, "mti"),
        ("0200", {"amount": "0"}, Check.AMOUNT_ZERO, "field 4"),
        ("0200", {"pin_block": b"\xa5" * 8}, Check.PIN_PRESENT, "field 52"),
        ("0400", {}, Check.FORMAT, "field 90"),
    ],
)
def test_static_checks(
    mti: str, changes: dict[str, str | bytes | None], check: Check, path: str
) -> None:
    message = DIALECT.decode(body(purchase(mti, **changes)))
    assert (message.check, message.check_path) == (check, path)


def test_response_codes_fall_into_classes() -> None:
    def outcome(code: str) -> int:
        values = {"transmission_time": "1123170000", "stan": "000001", "response_code": code}
        return DIALECT.decode(DIALECT.encode("0210", values)[LENGTH_PREFIX:]).outcome

    assert outcome("00") == RcClass.APPROVE
    assert outcome("10") == RcClass.PARTIAL
    assert outcome("51") == RcClass.DECLINE
    assert outcome("91") == RcClass.TECHNICAL
    assert outcome("X9") == RcClass.UNKNOWN
    assert DIALECT.decode(body(purchase())).outcome == RcClass.NONE
    assert DIALECT.reversal_final("00")
    assert DIALECT.reversal_final("25")
    assert not DIALECT.reversal_final("91")
    final = [code for code in ("00", "11", "25", "51", "91", "94") if DIALECT.advice_final(code)]
    assert final == ["00", "11", "94"]


def test_legs_are_allow_lists() -> None:
    names = DIALECT.leg("request").names
    assert "pin_block" not in names
    assert "mac" not in names
    assert {"pan", "stan", "forwarder_code", "icc", "track2"} <= set(names)
    reversal = set(DIALECT.leg("reversal").names)
    assert not reversal & {"track2", "icc", "pin_block", "expiry"}
    with pytest.raises(UsageError, match="no leg"):
        DIALECT.leg("requests")


def test_every_axis_can_be_turned_by_itself() -> None:
    """The same values come back in normal form whatever the wire looks like."""
    values: dict[str, str | bytes] = {
        **PURCHASE,
        "track2": "6299000000000004=30122010",
        "transaction_fee": "C00000012",
        "pin_block": b"\xa5" * 8,
        "additional_private": "AB12",
    }
    axes = {
        "mti": [
            ('[mti]\nencoding = "ascii"', f'[mti]\nencoding = "{e}"') for e in ("bcd", "ebcdic")
        ],
        "bitmap": [
            ('[bitmap]\nencoding = "hex"', f'[bitmap]\nencoding = "{e}"')
            for e in ("binary", "ebcdic")
        ],
        "numeric": [('numeric = "ascii"', f'numeric = "{e}"') for e in ("bcd", "ebcdic")],
        "text": [('text = "ascii"', 'text = "ebcdic"')],
        "binary": [('binary = "hex"', 'binary = "binary"')],
        "prefix": [
            ('prefix = "ascii"', f'prefix = "{e}"') for e in ("bcd", "ebcdic", "binary", "hex")
        ],
        "unit": [('unit = "chars"', f'unit = "{u}"') for u in ("bytes",)],
        "framing": [
            ('framing = "length2"', f'framing = "{f}"')
            for f in ("length2-inclusive", "length4", "bcd2", "ascii4", "hex4")
        ],
    }
    frames = {DIALECT.encode("0200", values)}
    for replacements in axes.values():
        for replacement in replacements:
            dialect = variant(replacement)
            frame = dialect.encode("0200", values)
            [message] = Framer(dialect).feed(frame, 1)
            assert isinstance(message, Message)
            for name, value in values.items():
                expected = value.hex().upper() if isinstance(value, bytes) else value
                assert message.reveal(name) == expected, (replacement, name)
            frames.add(frame)
    # A prefix that counts bytes is the same where a character is a byte.
    assert len(frames) == sum(map(len, axes.values()))


def test_packed_message_is_as_the_standard_writes_it() -> None:
    frame = packed().encode("0800", {"stan": "000123", "network_code": "301"})
    bitmap = "8020000000000000" + "0400000000000000"
    expected = bytes.fromhex("0800" + bitmap + "000123" + "0301")
    assert frame == (len(expected) + 2).to_bytes(2, "big") + expected


def test_padding_side_and_prefix_unit_are_each_field_s_own() -> None:
    """Field 22 pads right, field 23 left, field 35 counts nibbles: as Chinese terminals do."""
    pad = 'pad = { side = "right", char = "0" }, '
    nibbles = 'encoding = "bcd", unit = "nibbles"'
    octets = 'encoding = "binary", unit = "bytes"'
    dialect = variant(
        ('numeric = "ascii"', 'numeric = "bcd"'),
        ('22 = { name = "entry_mode", ', f'22 = {{ name = "entry_mode", {pad}'),
        ('2 = { name = "pan", ', f'2 = {{ name = "pan", {pad}'),
        ("max = 37, prefix = 2", f"max = 37, prefix = {{ digits = 2, {nibbles} }}"),
        (
            "max = 11, min = 1, prefix = 2",
            f"max = 11, min = 1, prefix = {{ digits = 1, {octets} }}",
        ),
    )
    values = {"pan": "629900000000000", "entry_mode": "071", "card_sequence": "001"}
    track = "6299000000000004=3012201"
    frame = dialect.encode("0200", {**values, "track2": track + "1", "acquirer_code": "48010001"})
    wire = frame[22:]
    assert wire[:10] == b"15" + bytes.fromhex("6299000000000000")
    assert wire[10:14] == bytes.fromhex("0710" + "0001")
    assert wire[14:19] == b"\x04" + bytes.fromhex("48010001")
    assert wire[19:] == b"\x25" + bytes.fromhex("06299000000000004D30122011")
    found = dialect.decode(frame[2:])
    assert {name: found.reveal(name) for name in values} == values
    assert found.reveal("track2") == track + "1"
    assert found.reveal("acquirer_code") == "48010001"
    with pytest.raises(EncodeError, match="field 32: an odd number of digits"):
        dialect.encode("0200", {"acquirer_code": "480"})
    # A spare nibble that is not the agreed one is not passed over.
    with pytest.raises(DecodeError, match="field 22"):
        dialect.decode(frame[2:].replace(bytes.fromhex("07100001"), bytes.fromhex("07110001")))


@pytest.mark.parametrize("name", ["iso87-ascii", "iso87-bcd"])
@pytest.mark.parametrize("processing", ["000000", "030000"])
def test_the_advice_of_what_may_be_approved_in_a_banks_name_is_known(
    name: str, processing: str
) -> None:
    """An authorisation and a pre-authorisation: their banks are told with an 0120."""
    values = {**PURCHASE, "processing_code": processing, "condition_code": "06"}
    dialect = load(DIALECTS, name)
    message = dialect.decode_frame(dialect.encode("0120", values))
    assert message.kind == Kind.AUTHORISATION_ADVICE
