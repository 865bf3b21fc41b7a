"""A real failure: made small, kept, and replayed from the printed command in another process."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from switch.simulation.case import kept_in
from switch.simulation.proof import TRANSACTIONS, hunt
from switch.simulation.swarm import Pool

WHOLE = bool(os.environ.get("SIMULATE_WHOLE"))
MUTANTS = ("request_before_sync", "late-approval-delivered")[: 2 if WHOLE else 1]
"""One of the native rooms and one of Python's; the second in `make simulate` only."""
SHRINK_S = 20


def simulate(*words: str, cwd: Path, defects: bool = True) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it."""
    environment = {**os.environ, **({"TAPSWITCH_MUTANTS": "1"} if defects else {})}
    return subprocess.run(
        [Path(sys.executable).with_name("tapswitch"), "simulate", *words],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_real_failure_is_made_small_and_replays_from_its_own_line(
    mutant: str, tmp_path: Path
) -> None:
    with Pool(1) as pool:
        seed = hunt(pool, mutant).seeds
    words = ("--transactions", str(TRANSACTIONS), "--shrink-s", str(SHRINK_S), "-o", "json")
    told = simulate("--seed", str(seed), *words, "--mutant", mutant, cwd=tmp_path)
    assert told.returncode == 6, told.stderr
    failure = json.loads(told.stdout)["failures"][0]
    before, after = failure["from"], failure["to"]
    assert after["transactions"] <= before["transactions"] / 4
    assert after["faults"] <= before["faults"] / 4
    assert after["virtual_s"] < before["virtual_s"]
    assert failure["history"] or not failure["broken"][0]["key"]
    assert failure["replayed"] is True
    ask, command, *rest = shlex.split(failure["replay"])
    assert (ask, command) == ("TAPSWITCH_MUTANTS=1", "tapswitch")
    again = simulate(*rest[1:], cwd=tmp_path)
    assert again.returncode == 6
    assert f"journal {failure['journal']} (as then)" in again.stdout
    assert re.search(rf"^FAILED seed \d+ at \S+: {failure['rule']}$", again.stdout, re.MULTILINE)
    (kept,) = kept_in(tmp_path / failure["case"])
    assert (kept.rule, kept.mutant) == (failure["rule"], mutant)
    sound = simulate("--case", failure["case"], cwd=tmp_path, defects=False)
    assert sound.returncode == 0, sound.stdout
    assert "every rule holds" in sound.stdout


def test_a_trace_follows_one_transaction_and_draws_it(tmp_path: Path) -> None:
    words = ("--seed", "7", "--transactions", "20", "--of", "1", "--picture", "p.svg")
    told = simulate("--trace", *words, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert " → " in told.stdout
    assert re.search(r"0200 \d{6} \d{12}", told.stdout)
    assert not re.search(r"\b6299\d{12,}\b", told.stdout)
    assert (tmp_path / "p.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say one of"),
        (("--seed", "1", "--seeds", "1..2"), "say one of"),
        (("--seeds", "1..2", "--trace"), "for one world"),
        (("--seed", "1", "--picture", "p.svg"), "--of"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    told = simulate(*words, cwd=tmp_path)
    assert told.returncode == 2
    assert said in told.stderr
