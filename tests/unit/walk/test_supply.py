"""What terminals do not send: the bank's leg, the record, the reversal, the answer and its repeat
agree in what the switch supplied, also after a restart."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from switch.model import end
from switch.model.kind import Kind
from switch.model.state import Cause, KeyState, ReversalEffect
from switch.native import codec
from tests.support.pos import POS, pos_message, reversal_of
from tests.support.walk import (
    ACQUIRER,
    CODE_ACQUIRER,
    DAY,
    MS,
    NOW_S,
    OUT_TIME,
    World,
    open_world,
    restarted,
)

EAST_S = 8 * 3600
LOCAL = ("000000", "1124")
"""`NOW_S`, in a zone eight hours east of UTC."""
TRACK = "6299001234567891=3012201"


class PosWorld(World):
    """An acquirer whose terminals speak `pos-cn`, and a bank that speaks `iso87-ascii`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.adopt()

    def adopt(self) -> None:
        """Makes a world one with terminals."""
        self.duplicates.zone(EAST_S)
        self.gate.speaks(self.acquirer, POS)
        self.gate.detach(self.terminal)
        self.terminal = self.gate.attach(self.acquirer, POS)

    def asked(self, kind: str = "22", **values: str | bytes | None) -> codec.Message:
        return POS.decode_frame(POS.encode("0200", pos_message(kind, **values)), self.now_ns)

    def told(self) -> codec.Message:
        """The only frame, which went to the terminal."""
        frames = self.flow()
        assert list(frames) == [self.terminal]
        return POS.decode_frame(frames[self.terminal])

    def sent_to_bank(self, message: codec.Message) -> tuple[int, codec.Message]:
        """Claims, forwards and hands over; returns the transaction and the bank's message."""
        txn, _, _ = self.forward(message)
        return txn, self.one(self.flow(), self.host)

    def repeated(self, message: codec.Message) -> codec.Message:
        assert self.claim(message, self.next_txn()) in (KeyState.APPROVED, KeyState.DECLINED)
        assert self.gate.repeat(message, self.terminal, self.acquirer, NOW_S)
        return self.told()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PosWorld]:
    made = PosWorld(tmp_path)
    yield made
    made.journal.close()


def fields(message: codec.Message, *names: str) -> Mapping[str, str | None]:
    return {name: message.reveal(name) for name in names}


TIMES = ("local_time", "local_date", "rrn")


def test_bank_record_answer_and_repeat_agree(world: PosWorld) -> None:
    message = world.asked(track2=TRACK, pan=None)
    txn, leg = world.sent_to_bank(message)
    assert (leg.get("local_time"), leg.get("local_date")) == LOCAL
    assert leg.get("mcc") == "5411"
    assert leg.get("acquirer_code") == CODE_ACQUIRER
    assert leg.reveal("pan") == "6299001234567891"
    assert leg.get("transmission_time") == OUT_TIME
    rrn = leg.get("rrn")
    assert rrn is not None
    assert len(rrn) == 12
    [record] = world.records("ACCEPTED")
    kept = {name: record[name] for name in (*TIMES, "mcc", "acquirer_code", "transmission_time")}
    assert kept == {
        "local_time": "000000",
        "local_date": "1124",
        "rrn": rrn,
        "mcc": "5411",
        "acquirer_code": CODE_ACQUIRER,
        "transmission_time": "1123160000",
    }
    reply = world.reply_to(world.dialect.encode("0200", _echo(leg)))
    world.gate.answer(message, reply, world.terminal, txn, world.wall_ms)
    answer = world.told()
    assert fields(answer, *TIMES) == {"local_time": "000000", "local_date": "1124", "rrn": rrn}
    assert fields(answer, "settlement_date", "auth_code", "response_code") == {
        "settlement_date": "1124",
        "auth_code": "A1B2C3",
        "response_code": "00",
    }
    assert answer.get("acquirer_code") == CODE_ACQUIRER
    assert answer.reveal("additional_response") == "00011110000" + CODE_ACQUIRER
    assert answer.get("batch") == "000007"
    again = world.asked(track2=TRACK, pan=None)
    assert dict(fields(world.repeated(again), *TIMES, "auth_code")) == {
        **fields(answer, *TIMES),
        "auth_code": "A1B2C3",
    }
    with restarted(world) as (after, _):
        PosWorld.adopt(after)  # type: ignore[arg-type]
        late = POS.decode_frame(POS.encode("0200", pos_message(track2=TRACK, pan=None)), 1)
        assert after.claim(late, 77) == KeyState.APPROVED
        assert after.gate.repeat(late, after.terminal, after.acquirer, NOW_S + 60)
        frame = after.flow()[after.terminal]
        assert fields(POS.decode_frame(frame), *TIMES) == fields(answer, *TIMES)


def _echo(leg: codec.Message) -> dict[str, str | bytes]:
    names = ("pan", "processing_code", "amount", "transmission_time", "stan", "rrn",
             "terminal_id", "merchant_id", "currency")  # fmt: skip
    return {name: value for name in names if (value := leg.reveal(name)) is not None}


def test_the_header_of_whoever_asks_goes_back_swapped(world: PosWorld) -> None:
    header = {"tpdu.source": "1111", "terminal_status": "5"}
    first = POS.decode_frame(POS.encode("0200", pos_message(), header), world.now_ns)
    txn, leg = world.sent_to_bank(first)
    reply = world.reply_to(world.dialect.encode("0200", _echo(leg)))
    world.gate.answer(first, reply, world.terminal, txn, world.wall_ms)
    answer = world.told()
    assert answer.header["tpdu.destination"] == "1111"
    assert answer.header["header.terminal_status"] == "5"
    other = {"tpdu.source": "2222"}
    again = POS.decode_frame(POS.encode("0200", pos_message(), other), world.now_ns)
    again.order("processing_request", 3)
    repeated = world.repeated(again)
    assert repeated.header["tpdu.destination"] == "2222"
    assert repeated.header["header.processing_request"] == "3"


def test_a_silent_bank_is_98_to_the_terminal_and_in_the_record(world: PosWorld) -> None:
    message = world.asked()
    txn, _ = world.sent_to_bank(message)
    owed = world.gate.conclude(
        message, world.terminal, txn, "91", end.TIMEOUT, world.wall_ms, Cause.TIMEOUT,
        9, "1123160005",
    )  # fmt: skip
    assert owed is not None
    assert world.told().get("response_code") == "98"
    assert world.records("ANSWERED")[-1]["code"] == "98"
    assert world.repeated(world.asked()).get("response_code") == "98"
    assert world.gate.deliver(owed, world.host, repeat=False)
    undo = world.one(world.flow(), world.host)
    assert (undo.mti, undo.get("rrn")) == ("0420", message.get("rrn"))
    assert undo.get("original_data.acquirer_code") == CODE_ACQUIRER


def test_what_was_in_doubt_at_a_restart_is_98_too(world: PosWorld) -> None:
    message = world.asked()
    txn, leg = world.sent_to_bank(message)
    with restarted(world) as (after, recovered):
        PosWorld.adopt(after)  # type: ignore[arg-type]
        assert [one.txn for one in recovered.in_doubt] == [txn]
        owed = after.gate.undo(
            txn, "91", end.RESTART, after.wall_ms, Cause.RESTART, 9, "1123160005"
        )
        assert owed is not None
        assert after.gate.deliver(owed, after.host, repeat=False)
        undo = after.one(after.flow(), after.host)
        assert undo.get("rrn") == leg.get("rrn")
        assert (undo.get("local_time"), undo.get("local_date")) == LOCAL
        assert after.records("ANSWERED")[-1]["code"] == "98"


def test_a_terminals_reversal_finds_its_original_by_batch_and_trace(world: PosWorld) -> None:
    values = pos_message(track2=TRACK)
    message = POS.decode_frame(POS.encode("0200", values), world.now_ns)
    txn, leg = world.sent_to_bank(message)
    reply = world.reply_to(world.dialect.encode("0200", _echo(leg)))
    world.gate.answer(message, reply, world.terminal, txn, world.wall_ms)
    world.told()
    other = reversal_of({**values, "reserved_private_60": "22000008000"})
    stranger = POS.decode_frame(POS.encode("0400", other), world.now_ns)
    assert stranger.kind == Kind.REVERSAL_REQUEST
    assert world.duplicates.original(stranger, world.acquirer, NOW_S) is None
    reversal = POS.decode_frame(POS.encode("0400", reversal_of(values)), world.now_ns)
    own = world.next_txn()
    assert world.claim(reversal, own) == KeyState.NEW
    entry = world.duplicates.original(reversal, world.acquirer, NOW_S)
    assert entry is not None
    assert (entry.txn, entry.kind, entry.card_agrees) == (txn, Kind.PURCHASE, True)
    owed = world.gate.reversal(
        reversal, world.terminal, own, world.acquirer, txn, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 9, "1123160005",
    )  # fmt: skip
    assert owed is not None
    answer = world.told()
    assert (answer.mti, answer.get("response_code")) == ("0410", "00")
    assert answer.get("rrn") == leg.get("rrn"), "the reference of what it takes back"
    assert world.gate.deliver(owed, world.host, repeat=False)
    undo = world.one(world.flow(), world.host)
    assert undo.get("original_data.stan") == f"{leg.stan:06d}"
    assert undo.reveal("pan") == "6299001234567891"
    assert fields(undo, *TIMES) == fields(leg, *TIMES)
    again = POS.decode_frame(POS.encode("0400", reversal_of(values)), world.now_ns)
    assert world.repeated(again).get("response_code") == "00"
    assert world.findings() == []


def test_one_key_lives_over_the_turn_of_a_year(world: PosWorld) -> None:
    message = world.asked()
    world.sent_to_bank(message)
    late = world.asked()
    next_year = NOW_S + 60 * 86_400
    claimed = world.duplicates.claim(late, world.acquirer, 99, next_year)
    assert claimed == KeyState.IN_FLIGHT


def test_a_refusal_that_claims_nothing_has_times_and_no_reference(world: PosWorld) -> None:
    message = world.asked(terminal_id=None)
    world.gate.refuse(message, world.terminal, "30", end.FIELD_RULE, NOW_S)
    answer = world.told()
    assert fields(answer, *TIMES) == {"local_time": "000000", "local_date": "1124", "rrn": None}
    assert answer.get("response_code") == "30", "no code of its own for this end"


def test_a_balance_in_doubt_owes_no_reversal(world: PosWorld) -> None:
    message = world.asked(kind="01", processing_code="310000", amount=None)
    assert message.kind == Kind.BALANCE
    txn, leg = world.sent_to_bank(message)
    assert (leg.kind, leg.amount_minor) == (Kind.BALANCE, -1)
    with restarted(world) as (after, recovered):
        PosWorld.adopt(after)  # type: ignore[arg-type]
        assert [one.kind for one in recovered.in_doubt] == [Kind.BALANCE]
        assert after.gate.undo(txn, "91", end.RESTART, after.wall_ms, Cause.NONE, 0, "") is None
        assert after.gate.owed_to(after.bank) == 0
        assert after.findings() == []
        assert after.records("ANSWERED")[-1]["txn"] == txn


def test_a_completion_tells_the_bank_the_authorisation(world: PosWorld) -> None:
    message = world.asked(kind="20", condition_code="06", auth_code="A00001")
    _, leg = world.sent_to_bank(message)
    assert (leg.kind, leg.get("auth_code")) == (Kind.COMPLETION, "A00001")
    purchase = world.asked(stan="000124", auth_code="A00001")
    _, leg = world.sent_to_bank(purchase)
    assert leg.get("auth_code") is None, "not what a purchase says"


def test_references_of_the_journal_are_unlike(world: PosWorld) -> None:
    seen = set()
    for stan in range(1, 50):
        _, leg = world.sent_to_bank(world.asked(stan=f"{stan:06d}"))
        seen.add(leg.get("rrn"))
    assert len(seen) == 49
    assert ACQUIRER in json.dumps(world.records("ACCEPTED")[-1])
    assert (MS, DAY) == (1000, "20261123")


def test_what_a_terminal_sends_itself_is_left_alone(tmp_path: Path) -> None:
    with open_world(tmp_path) as plain:
        PosWorld.adopt(plain)  # type: ignore[arg-type]
        values = pos_message(rrn="123456789012", local_time="101112", acquirer_code="99")
        message = POS.decode_frame(POS.encode("0200", values), 1)
        plain.forward(message)
        leg = plain.one(plain.flow(), plain.host)
        assert fields(leg, "rrn", "local_time", "local_date", "acquirer_code") == {
            "rrn": "123456789012",
            "local_time": "101112",
            "local_date": "1124",
            "acquirer_code": "99",
        }
