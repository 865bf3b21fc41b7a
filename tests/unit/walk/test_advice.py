"""An acquirer's advice: one durable record that answers it and owes its bank the same word."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import JournalError, TapswitchError
from switch.journal.reader import open_reader
from switch.model.state import UNSETTLED, Duty, KeyState
from switch.native import codec, walk
from tests.support.walk import ACQUIRER, BANK, DAY, NOW_S, PAN, World, open_world, restarted

AT = "1123160007"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


def advise(
    world: World, stan: int = 1, own: int = 900, **changes: str
) -> tuple[codec.Message, walk.Original]:
    message = world.purchase(stan, **{"mti": "0220", **changes})
    txn = world.next_txn()
    assert world.claim(message, txn) == 0
    owed = world.gate.advise(
        message, world.terminal, txn, world.acquirer, world.bank, own, AT, world.wall_ms, NOW_S, DAY
    )
    return message, owed


def sent(world: World, owed: walk.Original, *, repeat: bool = False) -> codec.Message:
    assert world.gate.deliver(owed, world.host, repeat)
    return world.dialect.decode(world.flow()[world.host][2:])


def test_it_is_answered_and_told_once_its_record_is_durable(world: World) -> None:
    _, owed = advise(world, auth_code="OFF123")
    assert world.gate.deliver(owed, world.host, repeat=False)
    assert world.gate.held == 2
    out = world.flow()
    answer = world.dialect.decode(out[world.terminal][2:])
    assert (answer.mti, answer.get("response_code")) == ("0230", "00")
    leg = world.dialect.decode(out[world.host][2:])
    assert (leg.mti, leg.stan, leg.get("transmission_time")) == ("0220", 900, AT)
    assert (leg.reveal("pan"), leg.amount_minor) == (PAN, 1234)
    assert (leg.get("response_code"), leg.get("auth_code")) == ("00", "OFF123")
    assert leg.get("terminal_id") == "TERM0001"
    assert not leg.has("original_data")
    for name in ("expiry", "track2", "icc", "pin_block"):
        assert not leg.has(name), name


def test_a_repeat_differs_in_its_first_field_only(world: World) -> None:
    _, owed = advise(world)
    world.gate.deliver(owed, world.host, repeat=False)
    first = world.flow()[world.host]
    world.gate.deliver(owed, world.host, repeat=True)
    again = world.release()[world.host]
    assert (again[2:6], again[6:]) == (b"0221", first[6:])


def test_only_its_own_answer_agrees(world: World) -> None:
    _, owed = advise(world)
    world.gate.deliver(owed, world.host, repeat=False)
    frame = world.flow()[world.host]
    assert owed.agrees(world.reply_to(frame))
    assert not owed.agrees(world.reply_to(frame, stan="000901"))
    assert not owed.agrees(world.reply_to(frame, terminal_id="TERM0009"))
    wrong = world.reply_to(frame)
    fields = {name: wrong.reveal(name) or "" for name in ("stan", "transmission_time", "rrn")}
    assert not owed.agrees(world.message("0430", response_code="00", **fields))


def test_an_authorisation_is_told_as_one(world: World) -> None:
    _, owed = advise(world, mti="0120")
    assert sent(world, owed).mti == "0120"


def test_a_completion_names_what_it_stands_on_in_the_numbers_of_its_bank(world: World) -> None:
    hold, txn, frame = world.purchase_to_bank(5)
    world.gate.answer(hold, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    world.flow()
    bank_knows = world.dialect.decode(frame[2:])
    original: dict[str, str] = {
        "original_data.mti": "0200",
        "original_data.stan": "000005",
        "original_data.transmission_time": "1123160000",
        "original_data.acquirer_code": "00012345678",
        "original_data.forwarder_code": "0" * 11,
    }
    _, owed = advise(world, 6, 900, condition_code="06", **original)
    leg = sent(world, owed)
    assert leg.get("original_data.stan") == f"{bank_knows.stan:06d}"
    assert leg.get("original_data.transmission_time") == bank_knows.get("transmission_time")
    # What nobody here remembers is named as its acquirer names it.
    unknown = {**original, "original_data.stan": "000077"}
    _, owed = advise(world, 7, 901, condition_code="06", **unknown)
    assert sent(world, owed).get("original_data.stan") == "000077"


def test_it_is_owed_over_a_restart_to_the_byte(world: World) -> None:
    _, owed = advise(world, auth_code="OFF123")
    world.gate.deliver(owed, world.host, repeat=False)
    first = world.flow()[world.host]
    with restarted(world) as (second, found):
        (again,) = found.owed
        assert (again.duty, again.txn, again.stan) == (Duty.ADVICE, owed.txn, 900)
        assert again.owed_ms == world.wall_ms
        second.gate.deliver(again, second.host, repeat=True)
        assert second.release()[second.host][6:] == first[6:]
        assert found.marks[BANK] == (NOW_S + 7, 900)
        repeat = second.purchase(1, mti="0221", auth_code="OFF123")
        assert second.claim(repeat, 99) == KeyState.APPROVED
        second.gate.settle(again, "00", second.wall_ms)
        with restarted(second) as (_, later):
            assert later.owed == []


def test_a_checkpoint_carries_it_with_its_age_and_where_it_rests(world: World) -> None:
    _, owed = advise(world, auth_code="OFF123")
    world.gate.deliver(owed, world.host, repeat=False)
    first = world.flow()[world.host]
    world.gate.settle(owed, "dead", world.wall_ms, "IS")
    while not world.gate.checkpoint(world.wall_ms + 3_600_000):
        pass
    with restarted(world) as (second, found):
        (again,) = found.owed
        assert (again.standing, again.owed_ms, again.why) == ("dead", world.wall_ms, "IS")
        second.gate.deliver(again, second.host, repeat=True)
        assert second.release()[second.host][6:] == first[6:]


@pytest.mark.parametrize(
    ("result", "standing", "later_ms"),
    [
        ("held", "held", 0),
        ("parked", "parked", 0),
        ("dead", "dead", 0),
        ("released", "", 5_000),
        ("retried", "", 5_000),
    ],
)
def test_what_rests_is_known_and_what_an_order_woke_is_young(
    world: World, result: str, standing: str, later_ms: int
) -> None:
    _, owed = advise(world)
    world.gate.settle(owed, "dead", world.wall_ms + 1_000)
    world.gate.settle(owed, result, world.wall_ms + 5_000, "--", "anna", "the bank asked")
    assert (owed.standing, owed.owed_ms) == (standing, world.wall_ms + later_ms)
    world.flow()
    with restarted(world) as (_, found):
        (again,) = found.owed
        assert (again.standing, again.owed_ms) == (standing, world.wall_ms + later_ms)


def test_the_code_of_a_bank_that_refused_it_is_kept(world: World) -> None:
    _, owed = advise(world)
    world.gate.settle(owed, "dead", world.wall_ms, "IS", bank_code="51")
    assert owed.why == "51"
    world.flow()
    with restarted(world) as (second, found):
        (again,) = found.owed
        assert again.why == "51"
        second.gate.settle(again, "retried", second.wall_ms, "--", "anna", "mended")
        assert again.why == ""


def test_a_write_off_is_the_final_word_and_says_whose(world: World) -> None:
    _, owed = advise(world)
    world.gate.settle(owed, "written_off", world.wall_ms, "OS", "anna", "settled on 2026-11-23")
    assert world.gate.owed_to(world.bank) == 0
    world.flow()
    with restarted(world) as (second, found):
        assert found.owed == []
        reader = open_reader(Path(second.directory), second.keys)
        (said,) = [r for r in reader.records() if r["kind"] == "SETTLED"]
        assert (said["operator"], said["remark"]) == ("anna", "settled on 2026-11-23")
        assert (said["duty"], said["end"], said["advice_stan"]) == (Duty.ADVICE, "OS", 900)


def test_a_remark_cannot_hold_a_card_number(world: World) -> None:
    _, owed = advise(world)
    with pytest.raises((TapswitchError, JournalError)) as raised:
        world.gate.settle(owed, "written_off", world.wall_ms, "OS", "anna", f"card {PAN}")
    assert PAN not in str(raised.value)
    assert world.gate.owed_to(world.bank) == 1


def test_results_after_which_it_stays_owed_are_those_of_the_model(world: World) -> None:
    for number, result in enumerate(sorted(UNSETTLED)):
        _, owed = advise(world, number + 1, 900 + number)
        world.gate.settle(owed, result, world.wall_ms)
    assert world.gate.owed_to(world.bank) == len(UNSETTLED)
    _, owed = advise(world, 99, 999)
    world.gate.settle(owed, "00", world.wall_ms)
    assert world.gate.owed_to(world.bank) == len(UNSETTLED)


def test_a_sound_journal_has_no_findings(world: World) -> None:
    _, first = advise(world)
    _, second = advise(world, 2, 901)
    _, third = advise(world, 3, 902)
    world.gate.settle(first, "parked", world.wall_ms, "RL")
    world.gate.settle(first, "00", world.wall_ms)
    world.gate.settle(second, "written_off", world.wall_ms, "OS", "anna", "by phone")
    assert third.txn
    world.flow()
    with restarted(world) as (again, _):
        assert open_reader(Path(again.directory), again.keys).verify() == []


def test_a_second_final_word_is_found(world: World) -> None:
    _, owed = advise(world)
    world.gate.settle(owed, "00", world.wall_ms)
    world.gate.settle(owed, "written_off", world.wall_ms, "OS", "anna", "by phone")
    world.flow()
    with restarted(world) as (again, _):
        (finding,) = open_reader(Path(again.directory), again.keys).verify()
        assert (finding["rule"], finding["txn"]) == ("walk.3", owed.txn)
        assert "an advice settled again" in finding["problem"]


def test_names_of_both_sides_stand_in_the_record(world: World) -> None:
    advise(world)
    world.flow()
    with restarted(world) as (again, _):
        reader = open_reader(Path(again.directory), again.keys)
        (record,) = [r for r in reader.records() if r["kind"] == "ADVISED"]
        assert (record["acquirer"], record["issuer"]) == (ACQUIRER, BANK)
        assert (record["outcome"], record["code"]) == (KeyState.APPROVED, "00")
        assert PAN not in str(record)
