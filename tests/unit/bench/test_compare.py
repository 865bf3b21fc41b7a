"""The comparison of micro-benchmarks: ratios, tolerance, what disappeared."""

import json
import sys
from pathlib import Path

import pytest

from bench import compare

NAME = "bench/test_codec.py::test_decode"


def saved(*, reference: float, decode: float) -> dict[str, object]:
    """A pytest-benchmark file in the parts that are read."""
    benches = {compare.REFERENCE: reference, NAME: decode}
    return {
        "benchmarks": [{"fullname": n, "stats": {"min": s}} for n, s in benches.items()],
        "machine_info": {
            "python_implementation": "CPython",
            "python_version": "3.11",
            "system": "Linux",
            "release": "6",
        },
    }


def test_a_slower_machine_changes_nothing() -> None:
    fast = compare.ratios(saved(reference=10e-6, decode=1e-6))
    slow = compare.ratios(saved(reference=30e-6, decode=3e-6))
    assert fast == slow == {NAME: 0.1}
    assert compare.compare(slow, fast)[1]


def test_a_run_without_its_yardstick_is_none() -> None:
    with pytest.raises(KeyError):
        compare.ratios({"benchmarks": []})


def test_slower_than_the_tolerance_fails() -> None:
    lines, well = compare.compare({NAME: 0.16}, {NAME: 0.1})
    assert not well
    assert "SLOWER" in lines[0]
    assert compare.compare({NAME: 0.14}, {NAME: 0.1})[1]
    assert compare.compare({NAME: 0.01}, {NAME: 0.1})[1]


def test_one_that_is_gone_fails_and_a_new_one_is_told() -> None:
    assert not compare.compare({}, {NAME: 0.1})[1]
    lines, well = compare.compare({NAME: 0.1}, {})
    assert well
    assert lines[0].endswith("new")


def test_what_waits_for_a_disk_has_more_room() -> None:
    name = "bench/test_journal.py::test_durable_group"
    assert compare.compare({name: 40.0}, {name: 5.0})[1]
    assert not compare.compare({name: 60.0}, {name: 5.0})[1]


def test_saving_and_comparing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "BASELINE", tmp_path / "baseline.json")
    run = tmp_path / "run.json"
    for decode, arguments, code in ((1e-6, ["--save"], 0), (1e-6, [], 0), (2e-6, [], 6)):
        run.write_text(json.dumps(saved(reference=10e-6, decode=decode)), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["compare", str(run), *arguments])
        assert compare.main() == code
    assert "SLOWER" in capsys.readouterr().out


def test_the_committed_baseline_covers_every_bench() -> None:
    baseline = json.loads(compare.BASELINE.read_text(encoding="utf-8"))
    assert {"machine", "interpreter", "native", "ratios"} <= set(baseline)
    room = Path(compare.__file__).parent
    files = {f"bench/{path.name}" for path in room.glob("test_*.py")}
    covered = {name.split("::")[0] for name in baseline["ratios"]} | {"bench/test_reference.py"}
    assert files == covered
