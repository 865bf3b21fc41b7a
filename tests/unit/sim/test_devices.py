"""Devices tap genuinely, or with the trick of their token; fleets share a file and no token."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from switch.crypto.profiles import Proof, Refusal
from switch.errors import OperatorError
from switch.sim.cards import APPROVING, DEMO, TAP_SHARE, TRICK_SHARE, Wallet
from switch.sim.devices import CEILING, TOKEN_COLUMNS, Device, Pocket
from switch.sim.magic import TAPS, Trick, find
from tests.support.devices import demo_masters, pocket


def test_devices_of_every_profile_tap_genuinely_and_count(tmp_path: Path) -> None:
    devices, _, masters = pocket(tmp_path)
    ring, rng, profiles = masters.ring(), Random(1), set()
    for amount in range(100, 160):
        device = devices.draw()
        assert device is not None
        before = device.element.counter
        tapped = device.tap(amount, 156, 261125, rng)
        proof = ring.verify(tapped.field, device.token, device.sequence, amount, 156)
        assert isinstance(proof, Proof)
        assert (proof.counter, proof.index) == (before + 1, 1)
        profiles.add(proof.profile)
    assert profiles == {"unionpay-01", "visa-10", "visa-18"}


def of_trick(devices: Pocket, trick: Trick) -> Device:
    digits = next(row.digits for row in TAPS.values() if row.trick is trick)
    device = devices.draw(digits)
    assert device is not None
    return device


def test_a_wrong_cryptogram_is_wrong(tmp_path: Path) -> None:
    devices, _, masters = pocket(tmp_path)
    device = of_trick(devices, Trick.WRONG_CRYPTOGRAM)
    tapped = device.tap(100, 156, 261125, Random(1))
    refused = masters.ring().verify(tapped.field, device.token, 1, 100, 156)
    assert isinstance(refused, Refusal)
    assert refused.reason == "cryptogram"


def test_a_copied_device_uses_a_counter_that_was_proved(tmp_path: Path) -> None:
    devices, _, masters = pocket(tmp_path)
    device = of_trick(devices, Trick.REPLAYED_COUNTER)
    ring, rng = masters.ring(), Random(1)
    counters = []
    for _ in range(2):
        assert device.trick is Trick.NOTHING
        tapped = device.tap(100, 156, 261125, rng)
        counters.append(tapped.counter)
    device.proved(tapped)
    for amount in (200, 300):
        assert device.trick is Trick.REPLAYED_COUNTER
        tapped = device.tap(amount, 156, 261125, rng)
        assert isinstance(ring.verify(tapped.field, device.token, 1, amount, 156), Proof)
        counters.append(tapped.counter)
    assert counters == [1, 2, 2, 2]


def test_the_other_tricks_are_the_tokens_and_sign_rightly(tmp_path: Path) -> None:
    devices, _, masters = pocket(tmp_path)
    ring = masters.ring()
    drawn: Counter[Trick] = Counter()
    for _ in range(400):
        device = devices.draw_trick()
        assert device is not None
        drawn[device.magic.trick if device.magic else Trick.NOTHING] += 1
        if device.trick is not Trick.WRONG_CRYPTOGRAM:
            tapped = device.tap(100, 156, 261125, Random(1))
            assert isinstance(ring.verify(tapped.field, device.token, 1, 100, 156), Proof)
    assert set(drawn) == set(Trick) - {Trick.NOTHING}
    assert min(drawn.values()) > 30


def test_fleets_share_a_file_and_no_token(tmp_path: Path) -> None:
    first, tokens, masters = pocket(tmp_path, 1_000, (0, 2))
    second = Pocket(masters, tmp_path / "tokens.csv", Random(1), (1, 2))
    assert len(first) + len(second) == len(tokens)
    assert not set(first._rows) & set(second._rows)


def test_a_fleet_that_starts_again_counts_on(tmp_path: Path) -> None:
    _, _, masters = pocket(tmp_path, 100)
    devices = Pocket(masters, tmp_path / "tokens.csv", Random(1), counter=500)
    device = devices.draw()
    assert device is not None
    assert device.tap(100, 156, 261125, Random(1)).counter == 501


def test_a_wallet_with_devices_taps_mostly(tmp_path: Path) -> None:
    devices, _, _ = pocket(tmp_path, 5_000)
    rng = Random(3)
    wallet = Wallet(["629900"], DEMO, rng, devices)
    drawn = [wallet.draw() for _ in range(20_000)]
    taps = [one for one in drawn if one.device is not None]
    assert abs(len(taps) / len(drawn) - TAP_SHARE) < 0.02
    tricks = Counter(one.device.magic.trick for one in taps if one.device and one.device.magic)
    assert abs(sum(tricks.values()) / len(taps) - TRICK_SHARE) < 0.01
    for one in taps:
        assert one.device is not None
        assert one.pan == one.device.token
        if one.device.magic and one.device.magic.trick is Trick.ABOVE_CEILING:
            assert one.amount > CEILING
        elif one.device.magic:
            assert one.amount < 9_000
    plain = {find(one.pan, one.amount).act for one in drawn if one.device is None}
    tapped = {find(one.pan, one.amount).act for one in taps}
    assert plain >= set(DEMO) - {act for act in DEMO if DEMO[act] < 0.005}
    assert tapped >= plain


def test_an_approving_wallet_has_no_tricks(tmp_path: Path) -> None:
    devices, _, _ = pocket(tmp_path, 1_000)
    wallet = Wallet(["629900"], APPROVING, Random(3), devices)
    drawn = [wallet.draw() for _ in range(2_000)]
    assert all(one.device is None or one.device.trick is Trick.NOTHING for one in drawn)


@pytest.mark.parametrize(
    "text",
    ["", "pan\n", f"{','.join(TOKEN_COLUMNS)}\n1,2\n", f"{','.join(TOKEN_COLUMNS)}\na,b,c,d,e\n"],
)
def test_what_is_no_token_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "no.csv"
    file.write_text(text)
    with pytest.raises(OperatorError, match=r"no\.csv.*this is no token"):
        Pocket(demo_masters(tmp_path), file, Random(1))


def test_an_absent_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        Pocket(demo_masters(tmp_path), tmp_path / "none", Random(1))
