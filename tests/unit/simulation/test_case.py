"""Cases name runs; kept ones are data in a versioned file."""

from pathlib import Path

import msgspec
import pytest

from switch.errors import OperatorError
from switch.native import hook
from switch.simulation.case import Case, Kept, keep, kept_in, plan_of, text_of
from switch.simulation.chance import Choice
from switch.simulation.plan import Aim, draw
from switch.simulation.script import scripts

PLAN = draw(7, 4).without(
    script=tuple(scripts(draw(7, 4))),
    choices=(Choice("net/4100.1.to/3", "stall", (100_000.0,)), Choice("power/1", "keep_none")),
    aims=(Aim("journal.sync.after", 2, 0, power=True), Aim("request_sent", 1, 30, power=False)),
    faults={},
    span_us=9_000,
    still=True,
)
KEPT = Kept(name="a", why='it "broke"', rule="M4", seed=7, commit="abc", world=PLAN)


def test_a_kept_case_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "cases.toml"
    other = msgspec.structs.replace(KEPT, name="b", text="told 91 – and held", mutant="x")
    keep(file, KEPT)
    keep(file, other)
    assert kept_in(file) == [KEPT, other]
    assert kept_in(file)[0].case(mutant="m") == Case(7, 4, (), "m", PLAN)


def test_a_case_says_the_options_that_replay_it() -> None:
    assert Case(7).words() == "--seed 7"
    taken = Case(7, 100, ("kill", "aim:0"), "m").words()
    assert taken == "--seed 7 --transactions 100 --without kill --without aim:0 --mutant m"
    assert Case(7, plan=PLAN, mutant="m").words("f.toml") == "--case f.toml --mutant m"


def test_a_seed_without_a_fault_and_an_aim() -> None:
    seed = next(seed for seed in range(99) if draw(seed).faults and plan_of(Case(seed)).aims)
    whole = plan_of(Case(seed))
    name = next(iter(whole.faults))
    less = plan_of(Case(seed, without=(name, "aim:0"), mutant="m"))
    assert name not in less.faults
    assert less.aims == whole.aims[1:]
    assert less.mutant == "m"


def test_a_told_plan_is_taken_as_it_is() -> None:
    assert plan_of(Case(7, plan=PLAN)) == PLAN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = 2\n", "format 2, this version reads 1"),
        ("", "format None"),
        ("format = 1\n", r"has no \[\[case\]\]"),
        ("format = 1\n[[case]]\nname = 'x'\n", "x: .*missing"),
        ("format = ", "TOML|expected|value"),
    ],
)
def test_a_file_that_is_none_is_refused_with_why(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "cases.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(OperatorError, match=said):
        kept_in(file)


@pytest.mark.parametrize(
    ("there", "renamed", "said"),
    [
        ('what = "stall"', 'what = "stahl"', "no fault 'stahl'"),
        ("journal.sync.after", "journal.sunk.after", "no moment and no crash point"),
        ("still = true", "stiller = true", "unknown field"),
        ('kind = "purchase"', 'kind = "gift"', "no kind of transaction 'gift'"),
    ],
)
def test_a_name_that_nobody_knows_any_more_is_refused(
    tmp_path: Path, there: str, renamed: str, said: str
) -> None:
    script = tuple(msgspec.structs.replace(one, kind="purchase") for one in PLAN.script or ())
    kept = msgspec.structs.replace(KEPT, world=PLAN.without(script=script))
    text = text_of(kept)
    assert there in text
    file = tmp_path / "cases.toml"
    file.write_text("format = 1\n" + text.replace(there, renamed), encoding="utf-8")
    with pytest.raises(OperatorError, match=said):
        kept_in(file)


def test_whatever_a_seed_draws_can_be_kept_and_read_again(tmp_path: Path) -> None:
    points = tuple(name for name, _ in hook.points())
    file = tmp_path / "cases.toml"
    for seed in range(120):
        plan = draw(seed, 3, points)
        keep(file, msgspec.structs.replace(KEPT, name=str(seed), seed=seed, world=plan))
    assert [one.world for one in kept_in(file)] == [draw(seed, 3, points) for seed in range(120)]


def test_a_case_without_later_fields_is_what_it_was(tmp_path: Path) -> None:
    text = text_of(KEPT)
    for name in ("still", "span_us"):
        text = "\n".join(line for line in text.splitlines() if not line.startswith(f"{name} ="))
    file = tmp_path / "cases.toml"
    file.write_text("format = 1\n" + text + "\n", encoding="utf-8")
    assert kept_in(file)[0].world == PLAN.without(still=False, span_us=0)
