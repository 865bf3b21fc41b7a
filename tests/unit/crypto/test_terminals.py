"""The registry of terminals: entered, brought under a transport key, found, retired; a hundred
thousand of them."""

import json
import os
import time
from pathlib import Path

import pytest
from psec import des

from switch.crypto.keyfile import Keys
from switch.crypto.links import Components, LinkKeys, Usage, add_link_key, open_link_keys
from switch.crypto.terminals import (
    Device,
    Given,
    add_terminal,
    bring_terminals,
    generate_terminals,
    open_registry,
    read_import,
    retire_terminal,
    terminal_rows,
)
from switch.errors import KeyFileError, UsageError
from switch.native import codec
from tests.support.emv import pipe
from tests.support.mac import KEY, node_keys
from tests.support.tree import ROOT

MERCHANT = "898520154110004"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return node_keys(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "keys" / "terminals.keys")


@pytest.fixture
def transport(tmp_path: Path, keys: Keys) -> LinkKeys:
    links = str(tmp_path / "keys" / "link.keys")
    add_link_key(links, keys, "zmk", Usage.TRANSPORT, entered(KEY), 1)
    return open_link_keys(links, keys)


def entered(key: bytes) -> Components:
    components = Components("3des")
    with pipe(key) as descriptor:
        components.enter(descriptor)
    return components


def given(name: str, **more: str) -> Given:
    return Given("ACQ01", name, MERCHANT, **more)


def test_one_terminal_is_entered_shown_and_retired(keys: Keys, file: str) -> None:
    master = os.urandom(16)
    add_terminal(file, keys, given("52010001", capability="6", zone="north"), entered(master), 7)
    (row,) = terminal_rows(open_registry(file, keys))
    assert (row.terminal_id, row.merchant_id, row.zone) == ("52010001", MERCHANT, "north")
    assert row.check_value == des.generate_kcv(master, 4).hex().upper()
    assert master not in Path(file).read_bytes()
    with pytest.raises(KeyFileError, match="there already"):
        add_terminal(file, keys, given("52010001"), entered(master), 8)
    retire_terminal(file, keys, "ACQ01", "52010001", 9)
    (row,) = terminal_rows(open_registry(file, keys))
    assert row.retired_s == 9
    with pytest.raises(UsageError, match="no such terminal"):
        open_registry(file, keys).device(keys, "ACQ01", "52010001")
    with pytest.raises(KeyFileError, match="no such terminal"):
        retire_terminal(file, keys, "ACQ01", "52010001", 9)
    add_terminal(file, keys, given("52010001"), entered(master), 10, replace=True)
    assert next(terminal_rows(open_registry(file, keys))).retired_s == 0


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_many_are_brought_under_a_transport_key(
    tmp_path: Path, keys: Keys, file: str, transport: LinkKeys, suffix: str
) -> None:
    masters = [os.urandom(16) for _ in range(3)]
    rows = [
        {
            "terminal_id": f"5201000{n}",
            "merchant_id": MERCHANT,
            "master_key": des.encrypt_tdes_ecb(KEY, master).hex(),
            "check_value": des.generate_kcv(master, 4).hex(),
            "zone": "south",
        }
        for n, master in enumerate(masters)
    ]
    source = tmp_path / f"terminals.{suffix}"
    if suffix == "csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    source.write_text("\n".join(lines), encoding="utf-8")
    found = read_import(source, "ACQ01")
    assert bring_terminals(file, keys, found, (transport, "zmk"), 7) == 3
    shown = list(terminal_rows(open_registry(file, keys)))
    assert [row.check_value for row in shown] == [
        des.generate_kcv(master, 4).hex().upper() for master in masters
    ]
    with pytest.raises(KeyFileError, match="no such key"):
        bring_terminals(file, keys, found, (transport, "other"), 7, replace=True)


def test_import_is_all_or_nothing_and_names_the_line(
    tmp_path: Path, keys: Keys, file: str, transport: LinkKeys
) -> None:
    source = tmp_path / "terminals.csv"
    source.write_text("terminal_id,merchant_id,master_key\n1,2,\n", encoding="utf-8")
    with pytest.raises(KeyFileError, match="line 2"):
        read_import(source, "ACQ01")
    good = des.encrypt_tdes_ecb(KEY, os.urandom(16)).hex()
    wrong = [(given("1"), good), (given("2", check_value="00000000"), good)]
    with pytest.raises(KeyFileError, match="check value"):
        bring_terminals(file, keys, wrong, (transport, "zmk"), 7)
    with pytest.raises(UsageError, match="terminal 1: a key is"):
        bring_terminals(file, keys, [(given("1"), "12")], (transport, "zmk"), 7)
    assert not Path(file).exists()


def test_published_download_opens_in_a_terminal() -> None:
    vectors = codec.parse_toml((ROOT / "tests/vectors/mac.toml").read_text("utf-8"))[0]["download"]
    pin, code = vectors[0]["keys"]
    device = Device.of(entered(bytes.fromhex(vectors[0]["master"])))
    slots = [pin["cipher"], pin["check"], code["cipher"] + 16 * "0", code["check"]]
    key = device.download(bytes.fromhex("".join(slots)), "des")
    assert key.check_value == code["check"]
    slots[3] = "00000000"
    with pytest.raises(KeyFileError, match="check values"):
        device.download(bytes.fromhex("".join(slots)), "des")


def test_hundred_thousand_terminals_open_in_a_moment(keys: Keys, file: str) -> None:
    count = 100_000
    generate_terminals(file, keys, [given(f"{n:08d}") for n in range(count)], 1)
    begun = time.monotonic()
    registry = open_registry(file, keys)
    took = time.monotonic() - begun
    assert len(registry) == count
    assert took < 2.0, f"{took:.3f} s"
    assert registry.bytes < 16_000_000
    found = registry.find("ACQ01", "00099999")
    assert found is not None
    assert found["merchant_id"] == MERCHANT
    assert registry.find("ACQ02", "00099999") is None
    assert registry.find("ACQ01", "00100000") is None
