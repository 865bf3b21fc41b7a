"""What goes where for a tap that was proved: the card to the bank, the token and the proof's answer
to the acquirer, and nothing else to either."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from switch.model.state import Cause, KeyState, ReversalEffect
from switch.native import codec, walk
from tests.support.emv import field
from tests.support.tap import CARD, TOKEN, Taps, open_taps, word
from tests.support.walk import NOW_S, restarted

PROFILES: Final = ("unionpay-01", "visa-10", "visa-18")
TRACK: Final = TOKEN + "=30122010000054321"
PIN: Final = b"\xde\xad\xbe\xef\xfe\xed\xfa\xce"
MAC: Final = b"\xca\xfe\xba\xbe\xca\xfe\xba\xbe"

TO_BANK: Final = {
    "pan", "processing_code", "amount", "transmission_time", "stan", "local_time", "local_date",
    "expiry", "mcc", "entry_mode", "card_sequence", "condition_code", "acquirer_code",
    "forwarder_code", "rrn", "terminal_id", "merchant_id", "currency", "reserved_private_63",
}  # fmt: skip


class Tapped:
    """One genuine tap on its way."""

    def __init__(self, taps: Taps, stan: int = 1, **changes: str | bytes) -> None:
        self.world, self.taps = taps.world, taps
        self.tags = taps.device.tags()
        chip = field(self.tags)
        self.request = taps.message(stan, icc=chip, **changes)
        self.txn = self.world.next_txn()
        assert self.world.claim(self.request, self.txn) == 0
        assert word(taps.verifier.check(self.request, NOW_S)) == "genuine"

    def forward(self) -> bytes:
        """To the bank; what left."""
        world = self.world
        world.gate.forward(
            self.request, world.host, self.txn, world.acquirer, world.bank, world.next_stan(),
            "1123160001", world.wall_ms, "20261123",
        )  # fmt: skip
        return world.flow()[world.host]

    def answer(self, frame: bytes, code: str = "00") -> bytes:
        """The bank's answer, to the acquirer; what left."""
        world, reply = self.world, self.world.reply_to(frame, code)
        world.gate.answer(self.request, reply, world.terminal, self.txn, world.wall_ms)
        return world.flow()[world.terminal]

    def believed(self, code: str) -> str:
        """Field 55 of an answer that the device believes, in hex."""
        data = self.taps.device.answer(self.tags, code, approved=code == "00")
        return field({"91": data}).hex().upper()


def named(message: codec.Message) -> set[str]:
    """The canonical names of everything in a message."""
    return {name for name in NAMES if message.has(name)}


NAMES: Final = [str(one["name"]) for one in codec.Dialect.compile(
    (Path(__file__).parents[3] / "config/dialects/iso87-ascii.toml").read_text(encoding="utf-8"),
    "iso87-ascii.toml",
).fields() if "." not in str(one["name"])]  # fmt: skip


def sub_fields(message: codec.Message) -> Mapping[str, str | None]:
    return {tag: message.reveal(f"reserved_private_63.{tag}") for tag in ("01", "02", "03", "04")}


def test_the_bank_gets_the_card_and_the_proof_and_only_what_is_listed(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        one = Tapped(taps, track2=TRACK, pin_block=PIN, mac=MAC, merchant_name="SHOP")
        frame = one.forward()
        leg = taps.world.one({taps.world.host: frame}, taps.world.host)
        assert named(leg) - {"merchant_name"} == TO_BANK
        assert leg.reveal("pan") == CARD
        assert (leg.reveal("expiry"), leg.reveal("card_sequence")) == ("3106", "002")
        assert sub_fields(leg) == {
            "01": "1", "02": one.taps.device.number, "03": "12300000001", "04": "1A",
        }  # fmt: skip
        hidden = [text.encode() for text in (TRACK[16:], PIN.hex().upper(), MAC.hex().upper())]
        hidden += [PIN, MAC, *(value for value in one.tags.values() if len(value) > 3)]
        assert [secret for secret in hidden if secret in frame] == []


def test_a_card_without_expiry_or_sequence_number_leaves_them_out(tmp_path: Path) -> None:
    with open_taps(tmp_path, card_expiry="", card_sequence=None) as taps:
        leg = taps.world.dialect.decode(Tapped(taps).forward()[2:])
        assert named(leg) == TO_BANK - {"expiry", "card_sequence"}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("code", ["00", "51"])
def test_the_acquirer_gets_its_token_and_what_the_device_believes(
    tmp_path: Path, profile: str, code: str
) -> None:
    with open_taps(tmp_path, profile) as taps:
        one, world = Tapped(taps), taps.world
        frame = one.answer(one.forward(), code)
        answer = world.dialect.decode(frame[2:])
        assert answer.reveal("pan") == taps.device.number
        assert answer.reveal("icc") == one.believed(code)
        assert answer.get("response_code") == code
        for part in (CARD, CARD[6:]):
            assert part.encode() not in frame
        assert not answer.has("reserved_private_63")


@pytest.mark.parametrize("code", ["91", "96"])
def test_a_technical_answer_is_no_decision_and_the_device_is_told_nothing(
    tmp_path: Path, code: str
) -> None:
    with open_taps(tmp_path) as taps:
        one, world = Tapped(taps), taps.world
        answer = world.dialect.decode(one.answer(one.forward(), code)[2:])
        assert (answer.get("response_code"), answer.has("icc")) == (code, False)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_repeat_gets_the_same_also_after_a_restart(tmp_path: Path, profile: str) -> None:
    with open_taps(tmp_path, profile) as taps:
        one, world = Tapped(taps), taps.world
        first = one.answer(one.forward())
        again = taps.message(1, one.tags)
        assert world.claim(again, 99) == KeyState.APPROVED
        assert world.gate.repeat(again, world.terminal, world.acquirer, NOW_S)
        assert world.flow()[world.terminal] == first
        with restarted(world) as (after, _):
            again = after.dialect.decode(after.dialect.encode("0200", _values(again))[2:], 1)
            assert after.claim(again, 99) == KeyState.APPROVED
            assert after.gate.repeat(again, after.terminal, after.acquirer, NOW_S)
            assert after.flow()[after.terminal] == first


def _values(message: codec.Message) -> dict[str, str | bytes]:
    values: dict[str, str | bytes] = {
        name: message.reveal(name) or "" for name in NAMES if message.has(name)
    }
    values["icc"] = bytes.fromhex(str(values["icc"]))
    return values


def test_our_own_refusal_has_no_word_for_the_device(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        one, world = Tapped(taps), taps.world
        one.forward()
        world.gate.conclude(
            one.request, world.terminal, one.txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77,
            "1123160009",
        )  # fmt: skip
        frame = world.flow()[world.terminal]
        answer = world.dialect.decode(frame[2:])
        assert (answer.get("response_code"), answer.has("icc")) == ("91", False)
        assert CARD.encode() not in frame


def test_a_time_out_reverses_the_card(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        one, world = Tapped(taps), taps.world
        one.forward()
        owed = world.gate.conclude(
            one.request, world.terminal, one.txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77,
            "1123160009",
        )  # fmt: skip
        assert owed is not None
        assert world.gate.deliver(owed, world.host, repeat=False)
        leg = world.dialect.decode(world.flow()[world.host][2:])
        assert (leg.mti, leg.reveal("pan")) == ("0420", CARD)
        with restarted(world) as (after, recovered):
            (again,) = recovered.owed
            assert after.gate.deliver(again, after.host, repeat=True)
            leg = after.dialect.decode(after.flow()[after.host][2:])
            assert leg.reveal("pan") == CARD


def test_the_acquirers_reversal_undoes_the_card_of_then(tmp_path: Path) -> None:
    """By its token; what the token leads to by now, and its state, do not matter."""
    with open_taps(tmp_path) as taps:
        one, world = Tapped(taps), taps.world
        one.answer(one.forward())
        taps.verifier = None  # type: ignore[assignment]
        (taps.directory / "CURRENT").unlink()
        back = world.reversal_of(1, 2, pan=taps.device.number)
        txn = world.next_txn()
        assert world.claim(back, txn) == 0
        owed = world.gate.reversal(
            back, world.terminal, txn, world.acquirer, one.txn, ReversalEffect.REVERSE,
            world.wall_ms, NOW_S, 78, "1123160010",
        )  # fmt: skip
        assert owed is not None
        assert world.gate.deliver(owed, world.host, repeat=False)
        out = world.flow()
        leg = world.dialect.decode(out[world.host][2:])
        assert leg.reveal("pan") == CARD
        assert taps.device.number.encode() not in out[world.host]
        assert CARD.encode() not in out[world.terminal]


def test_a_decline_claims_the_counter_and_keeps_the_reason_to_itself(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        one, world = Tapped(taps), taps.world
        world.gate.decline(
            one.request, world.terminal, one.txn, world.acquirer, "05", "KC", world.wall_ms,
            "atc_seen",
        )  # fmt: skip
        frame = world.flow()[world.terminal]
        assert b"atc" not in frame
        (record,) = world.records("DECLINED")
        assert (record["reason"], record["atc"], record["token_sequence"]) == ("atc_seen", 1, 1)
        assert "pan" not in record
        assert world.findings() == []


def test_an_accepted_tap_records_its_counter_and_mapping(tmp_path: Path) -> None:
    with open_taps(tmp_path, mapping_version=7) as taps:
        Tapped(taps).forward()
        (record,) = taps.world.records("ACCEPTED")
        told = {name: record[name] for name in ("atc", "token_sequence", "mapping_version")}
        assert told == {"atc": 1, "token_sequence": 1, "mapping_version": 7}
        assert CARD not in repr(record)


def test_the_table_of_cards_is_asked_with_the_card(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        routes = walk.Routes([("629900", 5)])
        assert routes.find(Tapped(taps).request) == 5
        assert routes.find(taps.message(2)) == -1, "a token by itself leads nowhere"
