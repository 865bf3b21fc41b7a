"""The page of reasons says what the engine answers."""

import re

from switch.engine.authorise import TAPS
from tests.support.tree import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (\d\d) \| (\w\w) \| \S.* \|$", re.MULTILINE)


def test_the_page_has_every_reason_in_order_with_its_code_and_end() -> None:
    page = (ROOT / "docs" / "reference" / "taps.md").read_text(encoding="utf-8")
    rows = [(reason, (code, end)) for reason, code, end in ROW.findall(page)]
    assert rows == list(TAPS.items())
