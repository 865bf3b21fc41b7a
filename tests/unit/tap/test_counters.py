"""Counters are claimed by records and by nothing else: across repeats, refusals, restarts and
checkpoints. What a checkpoint stands for is deleted, so that it is alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from switch.model.state import KeyState, ReversalEffect
from switch.native import codec, index, walk
from tests.support.tap import CARD, TOKEN, Taps, open_taps, word
from tests.support.tokens import card, row
from tests.support.walk import ACQUIRER, DAY, NOW_S, OUT_TIME, World, restarted

FILLER: Final = 3_500
"""Records of plain cards that fill more than a segment."""
OTHER_CARD: Final = card(192_837_465)

WAYS: Final = ("journal", "checkpoint")


def bank_leg(world: World, request: codec.Message, txn: int) -> bytes:
    """A claimed request to its bank; what left."""
    world.gate.forward(
        request, world.host, txn, world.acquirer, world.bank, world.next_stan(), OUT_TIME,
        world.wall_ms, DAY,
    )  # fmt: skip
    return world.flow()[world.host]


def tapped(taps: Taps, stan: int, tags: Mapping[str, bytes] | None = None) -> tuple[int, str]:
    """A tap that is answered by the bank: its transaction and the verdict."""
    world, request, txn = taps.world, taps.message(stan, tags), taps.world.next_txn()
    assert world.claim(request, txn) == 0
    verdict = word(taps.verifier.check(request, NOW_S))
    if verdict == "genuine":
        reply = world.reply_to(bank_leg(world, request, txn))
        world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
        world.flow()
    return txn, verdict


def forget_segments(world: World) -> None:
    """Writes more than a segment, completes a checkpoint, and deletes all that it stands for."""
    for number in range(FILLER):
        request, txn = world.purchase(500_000 + world._txn), world.next_txn()
        world.claim(request, txn)
        world.gate.decline(request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms)
        if number % 500 == 0:
            world.flow()
    world.flow()
    while not world.gate.checkpoint(world.wall_ms):
        pass
    world.flow()
    assert world.journal.delete_covered(1 << 60) > 0
    assert not world.records("ACCEPTED"), "only what was carried is left"


@contextmanager
def after(taps: Taps, way: str) -> Iterator[Taps]:
    """The same taps in a process that started with what is on the disk."""
    world = taps.world
    if way == "checkpoint":
        forget_segments(world)
    with restarted(world, capacity=8_000) as (other, _):
        taps.verifier = None  # type: ignore[assignment]
        taps.world = other
        taps.verifier = taps.open_verifier()
        other._txn = world._txn
        other._stan = world._stan + 1_000
        yield taps


@pytest.mark.parametrize("way", WAYS)
def test_a_claim_survives_a_restart(tmp_path: Path, way: str) -> None:
    with open_taps(tmp_path) as taps:
        one, two, declined = (taps.device.tags(atc=atc) for atc in (100, 98, 104))
        assert tapped(taps, 1, one)[1] == tapped(taps, 2, two)[1] == "genuine"
        request, txn = taps.message(3, declined), taps.world.next_txn()
        assert taps.world.claim(request, txn) == 0
        assert word(taps.verifier.check(request, NOW_S)) == "genuine"
        taps.world.gate.decline(
            request, taps.world.terminal, txn, taps.world.acquirer, "92", "SR", taps.world.wall_ms
        )
        taps.world.flow()
        with after(taps, way):
            assert taps.world.duplicates.counters == 1
            for stan, tags in enumerate((one, two, declined), 10):
                assert tapped(taps, stan, tags)[1] == "atc_seen"
            for stan, atc, expected in ((20, 99, "genuine"), (21, 40, "atc_old")):
                assert tapped(taps, stan, taps.device.tags(atc=atc))[1] == expected
            assert tapped(taps, 22, taps.device.tags(atc=105))[1] == "genuine"
            assert taps.world.findings() == []


def test_a_checkpoint_after_a_restart_carries_what_the_first_one_carried(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        tags = taps.device.tags(atc=7)
        txn, _ = tapped(taps, 1, tags)
        with after(taps, "checkpoint"), after(taps, "checkpoint"):
            assert tapped(taps, 2, tags)[1] == "atc_seen"
            assert reversed_card(taps, 1, txn) == CARD


def test_a_repeat_consumes_no_counter(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        world, tags = taps.world, taps.device.tags(atc=5)
        request, txn = taps.message(1, tags), world.next_txn()
        assert world.claim(request, txn) == KeyState.NEW
        assert word(taps.verifier.check(request, NOW_S)) == "genuine"
        frame = bank_leg(world, request, txn)
        # The same request again is known by its key: nobody asks for a verdict.
        assert world.claim(taps.message(1, tags), world.next_txn()) == KeyState.IN_FLIGHT
        world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
        world.flow()
        again = taps.message(1, tags)
        assert world.claim(again, world.next_txn()) == KeyState.APPROVED
        assert world.gate.repeat(again, world.terminal, world.acquirer, NOW_S)
        assert len([r for r in world.records() if "atc" in r]) == 1
        assert tapped(taps, 2, tags)[1] == "atc_seen", "the same tap in another request"
        assert tapped(taps, 3, taps.device.tags(atc=6))[1] == "genuine"
        assert world.findings() == []


def test_a_refused_tap_claims_nothing_also_after_a_restart(tmp_path: Path) -> None:
    with open_taps(tmp_path, ceiling_minor=5_000, ceiling_currency=156) as taps:
        world, tags = taps.world, taps.device.tags(atc=9)
        wrong = {**tags, "9F26": bytes(8)}
        above = taps.device.tags(amount=5_001, atc=9)
        for stan, (chip, amount, expected) in enumerate(
            [(wrong, 1_234, "cryptogram"), (above, 5_001, "above_ceiling")], 1
        ):
            request, txn = taps.message(stan, chip, amount=f"{amount:012}"), world.next_txn()
            assert world.claim(request, txn) == 0
            assert word(taps.verifier.check(request, NOW_S)) == expected
            world.gate.decline(
                request, world.terminal, txn, world.acquirer, "05", "KC", world.wall_ms, expected
            )
        world.flow()
        assert [r["reason"] for r in world.records("DECLINED")] == ["cryptogram", "above_ceiling"]
        assert not any("atc" in r for r in world.records())
        assert world.duplicates.counters == 0
        with after(taps, "journal"):
            assert tapped(taps, 3, tags)[1] == "genuine"


def test_a_proved_tap_without_a_record_may_come_again(tmp_path: Path) -> None:
    """The journal had no room for it: its acquirer is told 96, and nothing was claimed."""
    with open_taps(tmp_path) as taps:
        tags = taps.device.tags(atc=9)
        request = taps.message(1, tags)
        assert taps.verdict(request) == "genuine"
        assert taps.verdict(taps.message(2, tags)) == "atc_seen", "as long as it may be recorded"
        taps.world.gate.refuse(request, taps.world.terminal, "96", "JV")
        assert tapped(taps, 3, tags)[1] == "genuine"
        again = taps.message(4, taps.device.tags(atc=10))
        txn = taps.world.next_txn()
        assert taps.world.claim(again, txn) == 0
        assert word(taps.verifier.check(again, NOW_S)) == "genuine"
        bank_leg(taps.world, again, txn)
        taps.world.gate.refuse(again, taps.world.terminal, "96", "JV")
        assert tapped(taps, 5, taps.device.tags(atc=10))[1] == "atc_seen", "its record stands"


def replace_card(taps: Taps) -> None:
    """The token leads to another card from now on."""
    taps.verifier = None  # type: ignore[assignment]  # a process opens an environment once
    sealed = index.VaultKeys(taps.world.keys).seal(OTHER_CARD, 987_654_321, 1)
    changes = {"token": TOKEN, "pan_sealed": sealed, "mapping_version": 2}
    opened = index.Index.open(str(taps.directory), taps.world.keys)
    opened.write([row(taps.world.keys, 987_654_321, **changes)], [], 2)
    del opened
    taps.verifier = taps.open_verifier()


def reversed_card(taps: Taps, stan: int, original: int) -> str:
    """The card that the bank is told when the acquirer reverses a tap by its token."""
    world = taps.world
    back, txn = world.reversal_of(stan, 900_000 + stan, pan=TOKEN), world.next_txn()
    assert world.claim(back, txn) == 0
    owed = world.gate.reversal(
        back, world.terminal, txn, world.acquirer, original, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 700_000 + stan, "1123160010",
    )  # fmt: skip
    assert owed is not None
    assert world.gate.deliver(owed, world.host, repeat=False)
    out = world.flow()
    for part in (CARD, CARD[6:], OTHER_CARD, OTHER_CARD[6:]):
        assert part.encode() not in out[world.terminal]
    assert TOKEN.encode() not in out[world.host]
    return world.dialect.decode(out[world.host][2:]).reveal("pan") or ""


@pytest.mark.parametrize("way", ["at once", *WAYS])
def test_a_reversal_goes_to_the_card_in_force_at_the_original(tmp_path: Path, way: str) -> None:
    with open_taps(tmp_path) as taps:
        first, _ = tapped(taps, 1)
        replace_card(taps)
        second, _ = tapped(taps, 2)
        if way == "at once":
            assert [reversed_card(taps, 1, first), reversed_card(taps, 2, second)] == [
                CARD, OTHER_CARD,
            ]  # fmt: skip
            assert taps.world.findings() == []
            return
        with after(taps, way):
            assert [reversed_card(taps, 1, first), reversed_card(taps, 2, second)] == [
                CARD, OTHER_CARD,
            ]  # fmt: skip
            assert taps.world.findings() == []


def test_no_card_number_stands_in_the_journal_in_clear(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        tapped(taps, 1)
        forget_segments(taps.world)
        carried = [r for r in taps.world.records("ANSWERED") if r["carried"]]
        assert [(r["atc"], r["mapping_version"]) for r in carried] == [(1, 1)]
        assert carried[0]["pan"] != CARD
        assert str(carried[0]["pan"]).endswith(CARD[-4:])
        for file in Path(taps.world.directory).glob("*.seg"):
            assert CARD.encode() not in file.read_bytes()


def test_verify_finds_a_counter_that_was_claimed_twice(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        world, tags = taps.world, taps.device.tags(atc=3)
        assert tapped(taps, 1, tags)[1] == "genuine"
        # A table that forgot it, over the same journal.
        world.duplicates = walk.Duplicates(world.keys, 10)
        taps.verifier = None  # type: ignore[assignment]
        taps.verifier = taps.open_verifier()
        gate = walk.Gate(world.journal, world.duplicates, None, "00049990000")
        acquirer = gate.institution(ACQUIRER, "00012345678")
        request, txn = taps.message(2, tags), world.next_txn()
        assert world.claim(request, txn) == 0
        assert word(taps.verifier.check(request, NOW_S)) == "genuine"
        gate.decline(request, -1, txn, acquirer, "92", "SR", world.wall_ms)
        (finding,) = world.findings()
        assert (finding["rule"], finding["txn"]) == ("walk.7", txn)
        assert "record 1" in str(finding["problem"])
