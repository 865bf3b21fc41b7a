"""The directory of a run: a page that fetches nothing, pictures that also can be read."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from switch.apps.load import model, report
from switch.apps.load.pictures import draw
from switch.cli import run as tapswitch
from switch.errors import OperatorError
from switch.native import load
from tests.support.load import RATE, SECONDS, made_run, made_step

SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Elements, and whether they are closed in order."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def ladder_run() -> tuple[model.Run, dict[str, load.Series]]:
    steps = [
        made_step(500, passed=True, at_s=1.0),
        made_step(1_000, passed=True, at_s=8.0),
        made_step(2_000, passed=False, at_s=15.0),
        made_step(1_400, passed=False, valid=False, at_s=22.0),
    ]
    return made_run(
        tool="ladder", title="Ladder of rates", steps=steps, sustained=1_000.0, shown=(8.0, 13.0),
        limited_by="2000/s did not hold",
        conservation={"ok": True, "approvals_acquirer": 9, "reversed": 0},
    )  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Path:
    run, series = ladder_run()
    report.save(tmp_path, run, series)
    return tmp_path


def test_the_page_fetches_nothing_and_is_well_formed(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    names = [tag for tag, _ in page.found]
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    assert not [one for _, attrs in page.found for one in attrs if one in ("src", "href")]
    assert not re.search(r"url\(|@import|https?:(?!//www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text
    assert ("html", {"lang": "en"}) in page.found
    assert names.count("main") == names.count("h1") == 1
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_both_themes_and_paper_have_every_colour(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    used = set(re.findall(r"var\((--\w+)\)", text))
    themes = re.findall(r"\.lp\{(--.*?)\}", text, re.DOTALL)
    assert len(themes) >= 3
    assert all(used <= set(re.findall(r"(--\w+):", theme)) for theme in themes)


def contrast(one: str, other: str) -> float:
    """**Source:** WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        bent = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * bent[0] + 0.7152 * bent[1] + 0.0722 * bent[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_what_is_written_can_be_read_in_both_themes(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    themes = re.findall(r"\.lp\{(--.*?)\}", text, re.DOTALL)[:2]
    for theme in themes:
        colours = dict(re.findall(r"--(\w+):(#\w+)", theme))
        for name in ("ink", "faint", "first", "second", "bad", "good"):
            for ground in ("paper", "band"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_every_picture_has_title_description_and_its_numbers_beside_it() -> None:
    pictures = draw(*ladder_run())
    assert [one.name for one in pictures] == ["percentiles-0200", "heat-0200", "rates", "ladder"]
    for one in pictures:
        svg = ET.fromstring(one.svg)  # noqa: S314 - our own
        title, described = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
        assert title is not None
        assert described is not None
        assert title.text
        assert described.text
        assert svg.get("role") == "img"
        assert svg.get("aria-labelledby") == f"{title.get('id')} {described.get('id')}"
        assert 1 < len(one.rows) <= 62
        assert all(len(row) == len(one.head) for row in one.rows)
        _, _, width, height = (float(part) for part in (svg.get("viewBox") or "").split())
        for text in svg.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x") or -1) <= width
            assert 0 <= float(text.get("y") or -1) <= height


def test_the_heat_map_shows_the_stall_that_p50_hides() -> None:
    run, series = made_run()
    heat = next(one for one in draw(run, series) if one.name.startswith("heat"))
    slow = [row for row in heat.rows if row[4].endswith(" s") or float(row[4].split()[0]) > 100]
    assert {row[0] for row in slow} == {"12.0", "12.5"}
    p99 = run.entries[0].p99_us
    assert p99 is not None
    # A thirtieth of all waited for 0 to 1 s: p99 is the 0.3rd second of it.
    assert 680_000 < p99 < 730_000
    sent = run.entries[1].p99_us
    assert sent is not None
    assert sent < 5_000


def test_no_requests_make_no_picture_but_a_page(tmp_path: Path) -> None:
    run, _ = made_run(kinds=[], entries=[], timeline=[], verdicts=[], valid=False, faults=["none"])
    report.save(tmp_path, run, {})
    assert "INVALID" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert model.read(tmp_path)[1] == {}


def test_report_draws_again_what_the_files_hold(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    for path in written.glob("*.svg"):
        path.unlink()
    (written / "report.html").unlink()
    assert tapswitch(["bench", "report", str(written)]) == 0
    assert "1,000 requests a second held" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before


def test_texts_of_a_run_are_escaped(tmp_path: Path) -> None:
    run, series = made_run(title="<b>&", plan={"connect": "<script>alert(1)</script>"})
    report.save(tmp_path, run, series)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>" not in text


def test_a_directory_is_new_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report.make_directory(tmp_path / "a", "ladder") == tmp_path / "a"
    (tmp_path / "a" / "x").touch()
    with pytest.raises(OperatorError, match="not empty"):
        report.make_directory(tmp_path / "a", "ladder")
    with pytest.raises(OperatorError, match="no directory"):
        report.make_directory(tmp_path / "a" / "x", "ladder")
    monkeypatch.chdir(tmp_path)
    two = {report.make_directory(None, "ladder") for _ in range(2)}
    assert len(two) == 2
    assert all(path.parent == Path("out") for path in two)


def test_summary_says_the_verdict_first(written: Path) -> None:
    lines = (written / "summary.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Ladder of rates: PASSED"
    assert lines[2] == "1,000 requests a second held; 2000/s did not hold."
    assert f"| 0200 due | {RATE * SECONDS:,} |" in "\n".join(lines)
