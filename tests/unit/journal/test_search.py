"""Transactions are found by what people know of them, newest first, over many segments."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from switch.errors import JournalError, UsageError
from switch.model.state import Cause, ReversalEffect
from switch.native import journal
from tests.support import walk as support
from tests.support.walk import NOW_S, OUT_TIME, PAN, World, open_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(support, "SEGMENT_BYTES", 32_768)
    with open_world(tmp_path) as world:
        yield world


def search(world: World, **wanted: Any) -> dict[str, Any]:
    world.sync()
    return journal.Reader.open(world.directory, world.keys).search(**wanted)


def kinds(found: dict[str, Any], txn: int) -> list[str]:
    return [r["kind"] for r in found["records"] if txn in (r.get("txn"), r.get("original"))]


def timed_out(world: World, stan: int) -> tuple[int, Any]:
    request, txn, _ = world.purchase_to_bank(stan)
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 900 + stan, OUT_TIME
    )
    return txn, owed


def test_found_by_id_rrn_and_stan_over_segments(world: World) -> None:
    txns = [world.approved(stan)[1] for stan in range(1, 160)]
    assert len(list(Path(world.directory).glob("*.seg"))) > 3
    for wanted in ({"txn": txns[4]}, {"rrn": f"{5:012}"}, {"stan": 5, "terminal": "TERM0001"}):
        found = search(world, **wanted)
        assert found["txns"] == [txns[4]]
        assert kinds(found, txns[4]) == ["ACCEPTED", "ANSWERED"]
    assert search(world, rrn="nothere00000")["txns"] == []


def test_a_new_one_is_found_without_reading_everything(world: World) -> None:
    txns = [world.approved(stan)[1] for stan in range(1, 120)]
    assert search(world, txn=txns[-1])["searched"] < search(world, txn=txns[0])["searched"]


def test_the_banks_numbers_find_it_too(world: World) -> None:
    txn, _ = timed_out(world, 7)
    for stan in range(20, 90):
        world.approved(stan)
    assert search(world, stan=907)["txns"] == [txn], "the reversal's STAN"
    found = search(world, stan=1)
    assert found["txns"] == [txn], "the STAN of the bank's leg"
    assert kinds(found, txn) == ["ACCEPTED", "ANSWERED"]


def test_a_reversal_leads_to_its_original_in_an_older_segment(world: World) -> None:
    _, original = world.approved(1)
    for stan in range(100, 160):
        world.approved(stan)
    reversal = world.reversal_of(1, 2)
    txn = world.next_txn()
    world.claim(reversal, txn)
    world.gate.reversal(
        reversal, world.terminal, txn, world.acquirer, original, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 988, OUT_TIME,
    )  # fmt: skip
    for wanted in ({"rrn": f"{1:012}"}, {"stan": 988}, {"txn": original}):
        found = search(world, **wanted)
        assert found["txns"] == [original]
        assert kinds(found, original) == ["ACCEPTED", "ANSWERED", "REVERSAL"]


def test_narrowed_by_acquirer_time_and_card(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    at = time.time_ns() // 1_000_000
    monkeypatch.setattr(World, "wall_ms", at)
    _, txn = world.approved(1)
    card = world.keys.card_hash(PAN)
    assert search(world, card=card)["txns"] == [txn]
    assert search(world, card=world.keys.card_hash("6299000000000015"))["txns"] == []
    assert search(world, stan=1, acquirer="ACQ01")["txns"] == [txn]
    assert search(world, stan=1, acquirer="ACQ02")["txns"] == []
    assert search(world, stan=1, from_ms=at, until_ms=at + 1)["txns"] == [txn]
    assert search(world, stan=1, from_ms=at + 1)["txns"] == []
    assert search(world, stan=1, until_ms=at)["txns"] == []


def test_the_newest_are_kept_and_more_is_said(world: World) -> None:
    txns = [world.approved(stan)[1] for stan in range(1, 6)]
    found = search(world, terminal="TERM0001", limit=2)
    assert (found["txns"], found["more"]) == ([txns[4], txns[3]], True)


def test_a_number_that_is_no_card_is_refused_without_a_quote(world: World) -> None:
    for number in ("", "62990000000000150000", "6299x"):
        with pytest.raises(UsageError) as caught:
            world.keys.card_hash(number)
        assert not number or number not in str(caught.value)


def test_damage_is_told(world: World) -> None:
    for stan in range(1, 90):
        world.approved(stan)
    world.sync()
    first = min(Path(world.directory).glob("*.seg"))
    whole = bytearray(first.read_bytes())
    whole[9_000] ^= 1
    first.write_bytes(whole)
    with pytest.raises(JournalError, match="were durable"):
        search(world, rrn="nothere00000")
