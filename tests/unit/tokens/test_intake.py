"""Files of tokens to be made: both forms, every fault by its line, no value quoted."""

import io
from collections.abc import Callable, Iterator

import pytest

from switch.errors import TokenError
from switch.model.token import Medium
from switch.tokens.intake import FIELDS, Line, batches, read_csv, read_jsonl
from tests.support.vault import REQUESTOR, card

PAN = card(1).pan
DEFAULTS = {"requestor": REQUESTOR}


def from_csv(text: str) -> list[Line]:
    return list(read_csv(io.StringIO(text, newline=""), DEFAULTS))


def from_jsonl(text: str) -> list[Line]:
    return list(read_jsonl(io.StringIO(text), DEFAULTS))


def test_both_forms_say_the_same() -> None:
    head = "pan,card_expiry,card_sequence,medium,channels,mccs,suspended,assurance\n"
    csv_lines = from_csv(f'{head}{PAN},3106,2,hce,"contactless,qr",4111 5411,yes,1A\n')
    (json_line,) = from_jsonl(
        f'\n{{"pan":"{PAN}","card_expiry":"3106","card_sequence":2,"medium":"hce",'
        '"channels":["contactless","qr"],"mccs":[4111,5411],"suspended":true,"assurance":"1A"}\n'
    )
    assert csv_lines == [(2, json_line[1])]
    provision = json_line[1]
    assert (provision.card.pan, provision.card.sequence) == (PAN, 2)
    assert (provision.medium, provision.suspended) == (Medium.HCE, True)
    assert (provision.domain.channels, provision.domain.mccs) == (5, (4111, 5411))
    assert provision.requestor == REQUESTOR


def test_a_value_of_the_line_wins_over_the_default() -> None:
    head = "pan,card_expiry,requestor\n"
    first, second = from_csv(f"{head}{PAN},3106,99900000009\n{PAN},3106,\n")
    assert (first[1].requestor, second[1].requestor) == ("99900000009", REQUESTOR)


def test_empty_lines_are_no_lines() -> None:
    assert [line for line, _ in from_csv(f"pan,card_expiry\n\n{PAN},3106\n\n")] == [3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the column pan is missing"),
        ("pan\n", "line 1: the column card_expiry is missing"),
        ("pan,card_expiri\n", "line 1: a column or key has a name"),
        (f"pan,card_expiry\n{PAN}\n", "line 2: 1 values under 2 columns"),
        (f'pan,card_expiry\n"{PAN}"x,3106\n', "line 2: this is no CSV"),
        (f"pan,card_expiry,card_sequence\n{PAN},3106,x\n", "line 2: card_sequence is no number"),
        (f"pan,card_expiry,medium\n{PAN},3106,paper\n", "line 2: there is no such medium"),
        (f"pan,card_expiry,suspended\n{PAN},3106,maybe\n", "line 2: suspended is not yes or no"),
        (f"pan,card_expiry,mccs\n{PAN},3106,abc\n", "line 2: mccs are no numbers"),
        (f"pan,card_expiry\n{'9' * 5_000}\n", "line 2: longer than 4096 characters"),
    ],
)
def test_fault_of_csv_is_told_by_its_line(text: str, said: str) -> None:
    with pytest.raises(TokenError) as caught:
        from_csv(text)
    assert caught.value.problem.startswith(said)
    assert PAN not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PAN, "line 1: this is no JSON object"),
        (f'{{"pan": "{PAN}"', "line 1: this is no JSON object"),
        (f'{{"{PAN}": 1}}', "line 1: a column or key has a name"),
        (f'{{"pan": {{"x": "{PAN}"}}}}', "line 1: pan is neither text nor number"),
    ],
)
def test_fault_of_json_is_told_by_its_line(text: str, said: str) -> None:
    with pytest.raises(TokenError) as caught:
        from_jsonl(text)
    assert caught.value.problem.startswith(said)
    assert PAN not in str(caught.value)


@pytest.mark.parametrize("read", [read_csv, read_jsonl])
def test_text_that_is_not_utf_8_is_refused(
    read: Callable[[io.TextIOWrapper, dict[str, str]], Iterator[Line]],
) -> None:
    with pytest.raises(TokenError, match="not UTF-8"):
        list(read(io.TextIOWrapper(io.BytesIO(b"pan\xff\n"), encoding="utf-8"), {}))


def test_batches_keep_order_and_size() -> None:
    lines = from_csv("pan,card_expiry\n" + f"{PAN},3106\n" * 7)
    parts = list(batches(lines, 3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [line for part in parts for line, _ in part] == list(range(2, 9))


def test_every_field_is_known_to_the_maker() -> None:
    """A column that nobody reads would be lost in silence."""
    values = {
        "pan": PAN, "card_expiry": "3106", "card_sequence": "3", "par": "P" * 29,
        "requestor": REQUESTOR, "token": "6299770000000000", "token_expiry": "3012",
        "token_sequence": "5", "assurance": "1A", "medium": "qr", "suspended": "yes",
        "requestor_bound": "yes", "channels": "qr", "mccs": "1", "ceiling_minor": "1",
        "ceiling_currency": "156", "currencies": "156", "not_before": "2026-01-01",
        "not_after": "2027-01-01",
    }  # fmt: skip
    assert set(values) == set(FIELDS)
    ((_, whole),) = from_csv(",".join(values) + "\n" + ",".join(values.values()) + "\n")
    for left_out in set(FIELDS) - {
        "pan",
        "card_expiry",
        "requestor",
        "ceiling_minor",
        "ceiling_currency",
    }:
        others = {key: value for key, value in values.items() if key != left_out}
        ((_, less),) = from_csv(",".join(others) + "\n" + ",".join(others.values()) + "\n")
        assert less != whole, left_out
