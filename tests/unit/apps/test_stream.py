"""The stream follows a journal that is being written, and counts what it keeps back."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from switch.apps.stream import Stream, Tally
from switch.journal.where import compile_where
from switch.native import journal
from tests.support.walk import World, open_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


class Shown:
    def __init__(self, world: World, **options: Any) -> None:
        self.rows: list[Mapping[str, Any]] = []
        world.sync()
        reader = journal.Reader.open(world.directory, world.keys)
        self.stream = Stream([reader], self.rows.append, **options)

    def stans(self, world: World) -> list[str]:
        world.sync()
        self.stream.poll()
        return [str(row["stan"]) for row in self.rows]


def test_what_comes_after_the_start_is_shown_once(world: World) -> None:
    world.approved(1)
    shown = Shown(world)
    assert shown.stans(world) == []
    world.approved(2)
    assert shown.stans(world) == ["000002"]
    world.approved(3)
    assert shown.stans(world) == ["000002", "000003"]
    assert shown.stream.tally == Tally(seen=2, shown=2)


def test_what_was_in_flight_at_the_start_is_known(world: World) -> None:
    request, txn, frame = world.purchase_to_bank(7)
    shown = Shown(world)
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    assert shown.stans(world) == ["000007"]
    assert shown.rows[0]["card"] == "629900******7891"


def test_from_the_start_all_is_shown(world: World) -> None:
    world.approved(1)
    assert Shown(world, from_start=True).stans(world) == ["000001"]


def test_filter_sample_and_rate_are_counted(world: World) -> None:
    shown = Shown(
        world, where=compile_where("code == 00"), sample=(1, 2), rate_max=3, from_start=True
    )
    for stan in range(1, 61):
        world.approved(stan)
    request, txn = world.purchase(99), world.next_txn()
    world.claim(request, txn)
    world.gate.decline(request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms)
    shown.stans(world)
    tally = shown.stream.tally
    assert (tally.seen, tally.filtered) == (61, 1)
    assert 10 < tally.sampled_out < 50
    assert tally.shown >= 3
    assert tally.rate_dropped > 0
    assert tally.shown + tally.filtered + tally.sampled_out + tally.rate_dropped == tally.seen
    assert "1 filtered out" in tally.line()
    assert "dropped by --rate-max" in tally.line()


def test_two_watchers_sample_the_same(world: World) -> None:
    first, second = (Shown(world, sample=(1, 3), from_start=True) for _ in range(2))
    for stan in range(1, 31):
        world.approved(stan)
    assert first.stans(world) == second.stans(world) != []


def test_it_stops_by_itself_and_says_how_it_goes(world: World) -> None:
    world.approved(1)
    shown = Shown(world, from_start=True)
    said: list[int] = []
    shown.stream.run(1.2, lambda tally: said.append(tally.shown))
    assert said == [1]
