"""The verdict on a tap: every reason on its own, and nothing changes when it is no."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from switch.engine.authorise import TAPS
from switch.native import index, tap
from tests.support.tap import GAP_MAX, Taps, open_taps
from tests.support.walk import NOW_S, keys_in

Tags = dict[str, bytes]
Change = Callable[[Tags], None]


def put(tag: str, value: str) -> Change:
    """Another value of a tag, which the cryptogram may or may not cover."""
    return lambda tags: tags.__setitem__(tag, bytes.fromhex(value))


def without(tag: str) -> Change:
    return lambda tags: tags.__delitem__(tag)


def flipped(tag: str) -> Change:
    """The last bit of a tag."""

    def change(tags: Tags) -> None:
        value = tags[tag]
        tags[tag] = value[:-1] + bytes([value[-1] ^ 1])

    return change


UNAVAILABLE: Final = ("missing", "stale", "damaged", "sealed")
OTHER: Final = "6299770000000023"

STATES: Final = [
    ("token_requested", {"state": 1}),
    ("token_suspended", {"state": 3}),
    ("token_deleted", {"state": 4}),
    ("token_expired", {"token_expiry": "2610"}),
]
DOMAINS: Final = [
    ("not_yet", {"not_before_s": NOW_S + 1}, {}),
    ("genuine", {"not_before_s": NOW_S}, {}),
    ("no_longer", {"not_after_s": NOW_S}, {}),
    ("genuine", {"not_after_s": NOW_S + 1}, {}),
    ("genuine", {"channels": 1}, {"entry_mode": "071"}),
    ("genuine", {"channels": 1 | 4}, {"entry_mode": "032"}),
    ("channel_forbidden", {"channels": 2 | 4 | 8 | 16}, {"entry_mode": "071"}),
    ("channel_forbidden", {"channels": 0xFFFF}, {"entry_mode": "991"}),
    ("channel_missing", {"channels": 1}, {"entry_mode": ""}),
    ("genuine", {"mccs": [5812, 5411]}, {"mcc": "5411"}),
    ("mcc_forbidden", {"mccs": [5812]}, {"mcc": "5411"}),
    ("mcc_missing", {"mccs": [5411]}, {"mcc": ""}),
    ("genuine", {"currencies": [840, 156]}, {}),
    ("currency_forbidden", {"currencies": [840]}, {}),
    ("genuine", {"ceiling_minor": 1234, "ceiling_currency": 156}, {}),
    ("above_ceiling", {"ceiling_minor": 1233, "ceiling_currency": 156}, {}),
    ("currency_forbidden", {"ceiling_minor": 9999, "ceiling_currency": 840}, {}),
    ("requestor_missing", {"requestor_bound": True}, {}),
]
MESSAGES: Final = [
    ("token_unknown", {"pan": OTHER}),
    ("plain", {"pan": "6299001234567891"}),
    ("expiry_differs", {"expiry": "3011"}),
    ("genuine", {"expiry": ""}),
    ("sequence_differs", {"card_sequence": "002"}),
    ("genuine", {"card_sequence": ""}),
    ("track_differs", {"track2": f"{OTHER}=30122010000000000"}),
    ("amount_missing", {"amount": ""}),
    ("currency_missing", {"currency": ""}),
    ("amount_differs", {"amount": "000000001235"}),
    ("currency_differs", {"currency": "840"}),
    ("chip_missing", {"icc": ""}),
]
CHIPS: Final = [
    ("chip_number_differs", put("5A", OTHER)),
    ("chip_track_differs", put("57", OTHER + "D3012201")),
    ("chip_sequence_differs", put("5F34", "02")),
    ("genuine", put("5F34", "01")),
    ("requestor_differs", put("9F19", "12300000002F")),
    ("genuine", put("9F19", "12300000001F")),
    ("genuine", put("9F33", "E0B0C8")),
    ("tag_missing", without("9F37")),
    ("tag_missing", without("9F26")),
    ("tag_length", put("9F37", "010203")),
    ("tag_format", put("9F02", "00000000123A")),
    ("application_unknown", put("84", "A0000000041010")),
    ("application_unknown", without("84")),
    ("applications_differ", put("4F", "A0000000031010")),
    ("iad_format", put("9F10", "0701")),
    ("version_unknown", put("9F10", "07010303A0000201")),
    ("algorithm_unknown", put("9F10", "07010103A0000204")),
    ("key_unknown", put("9F10", "07020103A0000201")),
    ("not_a_request", put("9F27", "40")),
    ("cryptogram", flipped("9F26")),
    ("cryptogram", put("9F10", "0701010390000201")),
]


def judged(taps: Taps, expected: str, **message: object) -> None:
    """One tap gets the expected word, and is neither counted as another nor remembered."""
    tags = taps.device.tags()
    change = message.pop("tags", None)
    if callable(change):
        change(tags)
    request = taps.message(1, tags, **message)  # type: ignore[arg-type]
    assert taps.verdict(request) == expected
    counts = {name: count for name, count in taps.verifier.counts().items() if count}
    assert counts == ({} if expected == "plain" else {expected: 1})
    if expected != "genuine":
        # A refused tap has claimed nothing: the device's genuine tap of the same counter is new.
        taps.device.atc -= 1


@pytest.mark.parametrize(("expected", "row"), STATES)
def test_states_and_expiry(tmp_path: Path, expected: str, row: dict[str, object]) -> None:
    with open_taps(tmp_path, **row) as taps:
        judged(taps, expected)


@pytest.mark.parametrize(("expected", "row", "message"), DOMAINS)
def test_domain(
    tmp_path: Path, expected: str, row: dict[str, object], message: dict[str, object]
) -> None:
    with open_taps(tmp_path, **row) as taps:
        judged(taps, expected, **message)


@pytest.mark.parametrize(("expected", "message"), MESSAGES)
def test_what_the_message_says(tmp_path: Path, expected: str, message: dict[str, object]) -> None:
    with open_taps(tmp_path) as taps:
        judged(taps, expected, **message)
        if expected not in {"genuine", "plain"}:
            assert taps.verdict(taps.message(2)) == "genuine"


@pytest.mark.parametrize(("expected", "change"), CHIPS)
def test_what_the_chip_says(tmp_path: Path, expected: str, change: Change) -> None:
    bound = expected == "requestor_differs"
    with open_taps(tmp_path, requestor_bound=bound) as taps:
        judged(taps, expected, tags=change)
        if expected != "genuine" and not bound:
            assert taps.verdict(taps.message(2)) == "genuine"


def test_results_that_are_no_first_request_are_refused_though_they_are_signed(
    tmp_path: Path,
) -> None:
    with open_taps(tmp_path) as taps:
        taps.device._iad = "0701010390000201"
        judged(taps, "results")


def test_a_bound_requestor_may_be_named_in_either_form(tmp_path: Path) -> None:
    with open_taps(tmp_path, requestor_bound=True) as taps:
        for stan, value in enumerate((b"12300000001", bytes.fromhex("12300000001F")), 1):
            tags = taps.device.tags()
            tags["9F19"] = value
            assert taps.verdict(taps.message(stan, tags)) == "genuine"


def test_expiry_is_the_end_of_the_month(tmp_path: Path) -> None:
    first_of_2031 = 1_924_992_000
    with open_taps(tmp_path) as taps:
        assert taps.verdict(taps.message(1), first_of_2031 - 1) == "genuine"
        assert taps.verdict(taps.message(2), first_of_2031) == "token_expired"
        assert taps.verdict(taps.message(3), first_of_2031 - 1) == "genuine", "time may step back"


def test_counters(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        device = taps.device
        steps = [
            (200, "genuine"), (200, "atc_seen"), (200 + GAP_MAX, "genuine"),
            (301 + GAP_MAX, "atc_gap"), (299, "genuine"), (299, "atc_seen"), (237, "genuine"),
            (236, "atc_old"), (300, "atc_seen"), (301, "genuine"),
        ]  # fmt: skip
        for stan, (atc, expected) in enumerate(steps, 1):
            assert taps.verdict(taps.message(stan, device.tags(atc=atc))) == expected, atc


def test_the_last_counter_there_is_is_accepted_from_nobody(tmp_path: Path) -> None:
    """Row 45: it does not wrap. Neither as a device's first one, nor from one that comes to it; and
    it claims nothing, so that the device's earlier ones that are still under way may pass."""
    with open_taps(tmp_path) as taps:
        device = taps.device
        steps = [
            (0xFFFF, "atc_spent"), (0xFFF0, "genuine"), (0xFFFE, "genuine"), (0xFFFF, "atc_spent"),
            (0xFFFD, "genuine"), (0xFFFE, "atc_seen"), (1, "atc_old"),
        ]  # fmt: skip
        for stan, (atc, expected) in enumerate(steps, 1):
            assert taps.verdict(taps.message(stan, device.tags(atc=atc))) == expected, atc


@pytest.mark.parametrize("reason", UNAVAILABLE)
def test_an_index_without_answers_is_no_word_about_the_token(tmp_path: Path, reason: str) -> None:
    with open_taps(tmp_path) as taps:
        taps.verifier = None  # type: ignore[assignment]
        current = taps.directory / "CURRENT"
        generation = taps.directory / current.read_text().strip()
        data = next(iter(generation.glob("data*"))) if generation.is_dir() else generation
        if reason == "missing":
            current.unlink()
        elif reason == "stale":
            opened = index.Index.open(str(taps.directory), taps.world.keys)
            opened.mark_stale()
            del opened
        elif reason == "damaged":
            data.write_bytes(data.read_bytes()[:4096])
        else:
            other = tmp_path / "other"
            other.mkdir()
            taps.world.keys = keys_in(other)
        taps.verifier = taps.open_verifier()
        assert taps.verdict(taps.message(1)) == f"index_{reason}"
        assert taps.verifier.why == reason
        assert taps.verdict(taps.message(2, pan="6299001234567891")) == "plain"


def test_every_reason_has_an_answer_for_the_acquirer() -> None:
    assert set(TAPS) == set(tap.REASONS)
    assert {code for code, _ in TAPS.values()} == {"05", "14", "54", "57", "61", "62", "96"}


def test_every_reason_is_met_here() -> None:
    """But for two: a dialect that knows field 55's layout refuses such a field when it decodes it,
    and native tests have them."""
    tables = [*STATES, *DOMAINS, *MESSAGES, *CHIPS]
    met = {row[0] for row in tables} | {f"index_{word}" for word in UNAVAILABLE}
    met |= {"atc_seen", "atc_old", "atc_gap", "atc_spent", "results"}
    assert set(tap.REASONS) - met == {"field_format", "tag_twice"}
    assert met - set(tap.REASONS) == {"plain", "genuine"}
