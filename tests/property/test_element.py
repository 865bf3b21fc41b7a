"""The device in software against pyemv (MIT): it signs as another program signs, and believes only
the answers that another program makes.
"""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from pyemv import ac, tlv

from switch.crypto.profiles import PROFILES, Element, Proof, Tapped
from tests.property.test_pyemv import (
    CASES,
    amounts,
    card_key,
    currencies,
    keys,
    numbers,
    options,
    sequences,
    session_key,
)
from tests.support.emv import SIGNED, field, master, ring

RULES: Final = {
    "unionpay-01": ("unionpay", "pboc", ac.PaddingType.EMV),
    "visa-10": ("visa", "none", ac.PaddingType.VISA),
    "visa-18": ("visa", "common", ac.PaddingType.EMV),
}
RESULTS: Final = b"\x03\xa0\x00\x00"
ORDER: Final = (
    "9F26", "9F27", "9F10", "9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36",
    "84",
)  # fmt: skip


@st.composite
def taps(draw: st.DrawFn) -> tuple[Element, Tapped, dict[str, bytes], bytes]:
    """A device that has tapped, its tap, the tags of it, and the session key by pyemv."""
    profile = draw(st.sampled_from(PROFILES))
    key, option = draw(keys), draw(options)
    number, sequence = draw(numbers), draw(sequences)
    index, before = draw(st.integers(0, 255)), draw(st.integers(0, 65_534))
    made = Element(
        master(key, option), profile, index, number, sequence, "3012",
        requestor="62990000001", counter=before,
    )  # fmt: skip
    amount, other = draw(amounts), draw(amounts)
    currency, country = draw(currencies), draw(currencies)
    year, kind = draw(st.integers(0, 99)), draw(st.integers(0, 99))
    findings, random = (
        draw(st.binary(min_size=5, max_size=5)),
        draw(st.binary(min_size=4, max_size=4)),
    )
    told = draw(st.sets(st.sampled_from(["5A", "57", "5F34", "9F19"])))
    tapped = made.tap(
        amount=amount, other=other, currency=currency, country=country, findings=findings,
        date=year * 10_000 + 1231, kind=kind, unpredictable=random, tell=" ".join(sorted(told)),
    )  # fmt: skip
    assert (tapped.counter, made.counter) == (before + 1, before + 1)
    tags = {name: bytes.fromhex(str(value)) for name, value in _decoded(tapped.field).items()}
    assert tuple(tags)[: len(ORDER)] == ORDER
    assert set(tags) - set(ORDER) == told
    expected = {
        "9F02": bytes.fromhex(f"{amount:012d}"), "9F03": bytes.fromhex(f"{other:012d}"),
        "9F1A": bytes.fromhex(f"{country:04d}"), "5F2A": bytes.fromhex(f"{currency:04d}"),
        "95": findings, "9A": bytes.fromhex(f"{year:02d}1231"), "9C": bytes.fromhex(f"{kind:02d}"),
        "9F37": random, "9F36": tapped.counter.to_bytes(2, "big"), "9F27": b"\x80",
    }  # fmt: skip
    assert {name: tags[name] for name in expected} == expected
    if "57" in told:
        assert tags["57"].hex().rstrip("f") == f"{number}d3012201"
    if "5A" in told:
        assert tags["5A"].hex().rstrip("f") == number
    if "5F34" in told:
        assert tags["5F34"].hex() == f"{sequence:02d}"
    if "9F19" in told:
        assert tags["9F19"].hex() == "062990000001"

    # It holds for the verifier too, when that is told what the message says.
    scheme, kind_of_session, _ = RULES[profile]
    proof = ring(scheme, number[:8], index, key, option).verify(
        tapped.field, number, sequence, amount, currency
    )
    assert isinstance(proof, Proof)
    assert (proof.profile, proof.counter, proof.index) == (profile, tapped.counter, index)
    session = session_key(kind_of_session, card_key(key, option, number, sequence), tapped.counter)
    return made, tapped, tags, session


def _decoded(whole: bytes) -> dict[str, str]:
    decoded = tlv.decode(whole, flatten=True)
    return {name: value.hex() for name, value in decoded.items()}


@settings(max_examples=2 * CASES)
@given(taps())
def test_device_signs_as_pyemv_signs(tap: tuple[Element, Tapped, dict[str, bytes], bytes]) -> None:
    made, _, tags, session = tap
    signed = b"".join(tags[name] for name in SIGNED)
    signed += tags["9F10"] if made.profile == "visa-18" else RESULTS
    assert tags["9F10"][3:7] == RESULTS
    assert tags["9F26"] == ac.generate_ac(session, signed, RULES[made.profile][2])


@settings(max_examples=2 * CASES)
@given(taps(), st.data())
def test_device_believes_pyemvs_answer_and_no_other(
    tap: tuple[Element, Tapped, dict[str, bytes], bytes], data: st.DataObject
) -> None:
    made, tapped, tags, session = tap
    code = data.draw(st.sampled_from(["00", "05", "51", "Z9"]))
    if made.profile == "visa-18":
        status, own = data.draw(st.binary(min_size=4, max_size=4)), data.draw(st.binary(max_size=8))
        answer = ac.generate_arpc_2(session, tags["9F26"], status, own) + status + own
    else:
        answer = ac.generate_arpc_1(session, tags["9F26"], code.encode()) + code.encode()
    assert tapped.check(field({"91": answer}), code) == "genuine"
    assert tapped.check(field({"8A": b"00", "91": answer}), code) == "genuine"
    assert tapped.check(b"", code) == "absent"
    bit = data.draw(st.integers(0, len(answer) * 8 - 1))
    wrong = bytearray(answer)
    wrong[bit // 8] ^= 1 << bit % 8
    assert tapped.check(field({"91": bytes(wrong)}), code) == "wrong"
    if made.profile != "visa-18":
        assert tapped.check(field({"91": answer}), "61") == "code_differs"
    assert repr(tapped) == f"<Tapped counter {tapped.counter}>"
