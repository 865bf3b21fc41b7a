"""Children of the demonstration: started, asked, stopped; one that ends by itself is noticed."""

from pathlib import Path

import pytest

from switch.apps.children import Child
from switch.errors import OperatorError

pytestmark = pytest.mark.system


def bank(tmp_path: Path) -> Child:
    what = ["--name", "BANK01", "--institution-code", "00000020001", "--prefix", "629901"]
    where = ["--listen", "127.0.0.1:0", "--ledger", str(tmp_path / "bank.jsonl")]
    return Child("BANK01", ["issuer", *what, *where], tmp_path / "bank.log")


async def test_a_child_is_ready_reports_and_stops(tmp_path: Path) -> None:
    child = bank(tmp_path)
    ready = await child.start()
    assert ready["listen"][1] > 0
    child.check()
    assert not (await child.report())["healed"]
    child.order("heal")
    assert (await child.report())["healed"]
    await child.stop()
    assert not child.running


async def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "bank.jsonl").touch()
    child = bank(tmp_path)
    with pytest.raises(OperatorError, match=r"BANK01 ended by itself: .*bank.jsonl"):
        await child.start()
    await child.stop()


async def test_a_child_that_was_killed_is_noticed(tmp_path: Path) -> None:
    child = bank(tmp_path)
    await child.start()
    child.kill()
    with pytest.raises(OperatorError, match="BANK01 ended by itself"):
        await child.report()
    with pytest.raises(OperatorError, match="BANK01 ended by itself"):
        child.check()
    child.order("heal")
    await child.stop()
