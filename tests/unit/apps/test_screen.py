"""The screen shows what the snapshot says, on a terminal and as a line."""

import io

import pytest
from rich.console import Console

from switch.apps.screen import LinkRow, Snapshot, closing, milliseconds, plain, screen

SNAPSHOT = Snapshot(
    elapsed_s=12,
    rate=98,
    offered=1200,
    approved=1080,
    declined={"51": 60, "91": 40, "05": 20},
    unknown=7,
    repeats=11,
    in_flight=5,
    reversals_done=33,
    reversals_waiting=2,
    ours_us=(420, 1900),
    bank_us=(14_000, 410_000),
    taps=1100,
    refused={"token_suspended": 4, "cryptogram": 30},
    links=[
        LinkRow("ACQ01", "acquirer", 4, 4, 3, 600, 1, (15_000, 420_000)),
        LinkRow("BANK01", "bank", 2, 0, 2, 400, 9, (14_000, 410_000)),
        LinkRow("BANK02", "bank", 0, 0, 0, 0, 0, (0, 0)),
    ],
    warnings=["DEVELOPMENT KEYS"],
)


@pytest.fixture
def shown() -> str:
    console = Console(file=io.StringIO(), width=110, force_terminal=False)
    console.print(screen(SNAPSHOT))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


@pytest.mark.parametrize(
    "expected",
    [
        "DEVELOPMENT KEYS",
        "1,080",
        "approved  90.0 %",
        "insufficient funds",
        "bank down or timed out",
        "0.42 ms",
        "410 ms",
        "waiting",
        "taps 1,100, refused by the switch itself 34",
        "cryptogram 30   token suspended 4",
        "Ctrl-C",
    ],
)
def test_the_screen_holds(shown: str, expected: str) -> None:
    assert expected in shown


@pytest.mark.parametrize(
    ("member", "state"), [("ACQ01", "signed on"), ("BANK01", "not signed on"), ("BANK02", "down")]
)
def test_each_link_shows_its_state(shown: str, member: str, state: str) -> None:
    (line,) = (line for line in shown.splitlines() if member in line)
    assert line.split(None, 2)[2].startswith(state)


def test_reasons_are_ordered_by_number(shown: str) -> None:
    assert shown.index("insufficient funds") < shown.index("bank down") < shown.index("not honour")


def test_the_plain_line_says_the_same() -> None:
    line = plain(SNAPSHOT)
    for part in (
        "98/s",
        "approved 90.0 %",
        "51:60 91:40 05:20",
        "p99 1.90 ms",
        "2 waiting",
        "1/3 up",
        "taps refused cryptogram:30 token_suspended:4",
    ):
        assert part in line
    assert "\n" not in line


def test_an_empty_start_divides_by_nothing() -> None:
    empty = Snapshot(
        elapsed_s=0,
        rate=0,
        offered=0,
        approved=0,
        declined={},
        unknown=0,
        repeats=0,
        in_flight=0,
        reversals_done=0,
        reversals_waiting=0,
        ours_us=(0, 0),
        bank_us=(0, 0),
        links=[],
    )
    assert "declined none" in plain(empty)
    assert "refused" not in plain(empty)
    console = Console(file=io.StringIO())
    console.print(screen(empty))
    assert isinstance(console.file, io.StringIO)
    assert "refused" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "–"), (420, "0.42 ms"), (9990, "9.99 ms"), (12_345, "12 ms")]
)
def test_durations(value: int, text: str) -> None:
    assert milliseconds(value) == text


TAPS = {
    "offered": 1100,
    "genuine": 1066,
    "refused": {"cryptogram": 30, "token_suspended": 4},
    "proofs": {"genuine": 1050, "absent": 50},
}


@pytest.mark.parametrize(("ok", "verdict"), [(True, "agree"), (False, "THE LEDGERS DISAGREE")])
def test_the_last_words_give_the_verdict_and_the_findings(ok: bool, verdict: str) -> None:
    counts = dict.fromkeys(
        ("offered", "approved", "declined", "timed_out", "cancelled", "reversed"), 1234
    )
    summary: dict[str, object] = counts | {
        "latency_ours_us": {"p50": 420, "p99": 1900, "p999": 5000},
        "taps": TAPS,
        "conservation": {
            "ok": ok,
            "approvals_acquirer": 9,
            "approvals_journal": 9,
            "holds_issuer": 9,
        },
    }
    text = closing(summary, ["orphan_hold: one"])
    assert verdict in text
    assert "1,234" in text
    assert "✗ orphan_hold: one" in text
    assert "1,100  1,066 proved, 34 refused" in text
    assert "30  cryptogram\n" in text
    assert "1,050  proved by the device" in text
    plain_cards = summary | {"taps": TAPS | {"offered": 0}}
    assert "by the device" not in closing(plain_cards, [])
