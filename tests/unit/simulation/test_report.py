"""What is printed: worlds, swarms, failures with all that a stranger needs to replay them."""

import json
from collections import Counter
from pathlib import Path

import click
import msgspec
import pytest

from switch.simulation import report
from switch.simulation.case import Case, keep, kept_in
from switch.simulation.oracles import Broken
from switch.simulation.plan import draw
from switch.simulation.report import Failure
from switch.simulation.script import scripts
from switch.simulation.swarm import Result
from switch.simulation.trace import Event
from switch.simulation.world import Outcome

KEY = ("10000", "T0000000", "000007", "1123160000", "2")
PLAN = draw(7, 4).without(script=tuple(scripts(draw(7, 4))), choices=(), faults={})
BROKEN = [Broken("J1", "vague"), Broken("M4", "approved after\nall", KEY)]


def result(mutant: str = "", broken: list[Broken] = BROKEN) -> Result:
    """A failure."""
    outcome = Outcome(7, "ab12", 2_500_000_000, 4, 9, 12, 2, broken, {"kill": 1})
    return Result(Case(7, 340, (), mutant), outcome, ["a line of history"], PLAN, (2,))


def failure(tmp_path: Path, mutant: str = "", *, own: bool = False) -> Failure:
    """As the command makes one."""
    file = tmp_path if own else tmp_path / "r.toml"
    return report.failed(result(mutant), None, file, own=own)


def test_a_span_is_from_to() -> None:
    assert report.span("3..9") == (3, 9)
    for wrong in ("3", "9..3", "a..b", "..", "3..x"):
        with pytest.raises(click.UsageError, match=r"A\.\.B"):
            report.span(wrong)


def test_a_failure_is_kept_with_rule_commit_seed_journal_and_defect(tmp_path: Path) -> None:
    one = failure(tmp_path, "no_tombstone")
    keep(Path(one.file), report.kept_of(one))
    (kept,) = kept_in(Path(one.file))
    assert (kept.rule, kept.seed, kept.journal) == ("M4", 7, "ab12")
    assert (kept.text, kept.mutant) == ("approved after", "no_tombstone")
    assert kept.commit == report.commit()
    assert kept.world == PLAN.without(mutant="")


def test_the_command_that_replays_it(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    one = failure(tmp_path)
    assert one.replay == f"tapswitch simulate --case {file} --name seed-7-M4"
    defect = failure(tmp_path, "no_tombstone", own=True)
    alone = tmp_path / "seed-7-M4-no_tombstone.toml"
    assert defect.replay == (
        f"TAPSWITCH_MUTANTS=1 tapswitch simulate --case {alone} --mutant no_tombstone"
    )


def test_a_world_that_hung_is_named_by_its_seed(tmp_path: Path) -> None:
    hung = msgspec.structs.replace(result(broken=[Broken("hang", "no end")]), plan=None)
    one = report.failed(hung, None, tmp_path, own=True)
    assert one.replay == "tapswitch simulate --seed 7"


def test_a_failure_says_all_that_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = msgspec.structs.replace(failure(tmp_path), runs=9, took_s=3.0, text="[[case]]\n")
    report.show_failure(msgspec.structs.replace(one, replayed=True))
    said = capsys.readouterr().out
    script = (PLAN.script or ())[2]
    for wanted in (
        f"FAILED seed 7 at {report.commit()}: M4",
        "M4: approved after\nall [10000 T0000000 000007 1123160000 2]",
        "a line of history",
        "shrunk from 4 transactions,",
        "in 9 runs, 3.0 s",
        "[[case]]",
        "in another process: the same rule and journal ab12",
        f"--name seed-7-M4 --trace --of {script.acquirer}000002",
    ):
        assert wanted in said, wanted
    report.show_failure(msgspec.structs.replace(one, replayed=False))
    assert "in another process: SOMETHING ELSE" in capsys.readouterr().out


def test_many_broken_rules_are_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = result(broken=[Broken("M1", f"n{n}") for n in range(20)])
    report.show_failure(report.failed(many, None, tmp_path, own=True))
    assert "and 12 more" in capsys.readouterr().out


def test_worlds_and_swarms_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_one(result())
    report.show_swarm([result(), result()], Counter(kill=2), 1, ["late"])
    said = capsys.readouterr().out
    assert "seed 7: 4 transactions, 9 messages, 12 records, 2 lives, 2.500 s virtual" in said
    assert "journal ab12" in said
    assert "2 seeds, 8 transactions, 18 messages of acquirers, 4 lives, 1 failed" in said
    assert "       2  kill" in said
    assert "never happened: late" in said


def test_a_kept_case_says_whether_it_is_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = report.kept_of(failure(tmp_path))
    report.show_kept(kept, result())
    report.show_kept(msgspec.structs.replace(kept, journal="other"), result(broken=[]))
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("seed-7-M4: breaks J1 M4 (it broke M4 at")
    assert said[1] == "journal ab12 (as then)"
    assert said[2].startswith("seed-7-M4: every rule holds")
    assert said[3] == "journal ab12 (not as then)"


def test_machines_get_the_same(tmp_path: Path) -> None:
    events = [Event(5, "switch", "sends", peer="BANK00", mti="0200", stan="000001")]
    said = json.loads(
        report.structured([result()], [failure(tmp_path)], Counter(kill=1), ["late"], events)
    )
    assert said["schema"] == report.SCHEMA
    assert said["worlds"][0]["journal"] == "ab12"
    assert said["failures"][0]["rule"] == "M4"
    assert said["failures"][0]["history"] == ["a line of history"]
    assert said["failures"][0]["to"]["transactions"] == 4
    assert said["never_happened"] == ["late"]
    assert said["events"] == [
        {"at_ns": 5, "node": "switch", "what": "sends", "peer": "BANK00", "mti": "0200",
         "stan": "000001"}
    ]  # fmt: skip


def test_progress_is_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    found = report.with_progress(iter([result(), result()]), 2)
    assert len(found) == 2
    report.say("so far")
    assert capsys.readouterr().out == ""
