"""The sealed file of card master keys: in by descriptor, shown by check value, used by kind."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from switch.crypto.keyfile import Keys, create_keys, open_keys
from switch.crypto.masters import (
    DEMO_INDEX,
    Place,
    Usage,
    add_master,
    create_demo_masters,
    open_masters,
    retire_master,
    rows,
)
from switch.crypto.profiles import Option, Proof, Refusal, Ring, Scheme
from switch.errors import KeyFileError, UsageError
from tests.support.emv import field, pipe, vectors

ROW = vectors()[0]
KEY = str(ROW["master"])
CHECK = "9F851F"
OTHER = "0123456789ABCDEFFEDCBA9876543210"
OTHER_CHECK = "08D7B4"
PLACE = Place(Scheme.UNIONPAY, "622800", 1)


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[bool], Keys]:
    def make(demo: bool) -> Keys:
        files = str(tmp_path / f"keys{demo}"), str(tmp_path / f"sealing{demo}")
        create_keys(*files, demo=demo)
        return open_keys(*files)

    return make


def add(file: str, keys: Keys, place: Place = PLACE, key: str = KEY, check: str = CHECK) -> int:
    with pipe(key.encode()) as descriptor:
        return add_master(file, keys, place, "BANK01", Option.A, 1_795_000_000, (descriptor, check))


def verify(ring: Ring) -> Proof | Refusal:
    tags = ROW["tags"]
    return ring.verify(field(tags), ROW["number"], ROW["sequence"], 1, 156)


def test_a_key_that_was_entered_proves_taps_after_it_was_opened_again(
    tmp_path: Path, keys: Callable[[bool], Keys]
) -> None:
    file, node = str(tmp_path / "masters"), keys(False)
    assert add(file, node) == 1
    masters = open_masters(file, node)
    (row,) = rows(masters)
    assert (row.institution, row.prefix, row.index, row.version) == ("BANK01", "622800", 1, 1)
    assert (row.usage, row.option, row.algorithm) == (Usage.CRYPTOGRAM, Option.A, "3DES")
    assert (row.check_value, row.added_s, row.retired_s) == (CHECK, 1_795_000_000, 0)
    proof = verify(masters.ring())
    assert isinstance(proof, Proof)
    assert (proof.index, proof.version) == (1, 1)
    assert (tmp_path / "masters").stat().st_mode & 0o777 == 0o600


def test_a_key_for_script_codes_never_proves_a_tap(
    tmp_path: Path, keys: Callable[[bool], Keys]
) -> None:
    file, node = str(tmp_path / "masters"), keys(False)
    for usage in (Usage.SCRIPT_MAC, Usage.SCRIPT_SECRET):
        add(file, node, Place(Scheme.UNIONPAY, "622800", 1, usage))
    masters = open_masters(file, node)
    assert len(rows(masters)) == 2
    assert len(masters.ring()) == 0
    refused = verify(masters.ring())
    assert isinstance(refused, Refusal)


def test_both_versions_of_an_index_are_tried_until_one_is_retired(
    tmp_path: Path, keys: Callable[[bool], Keys]
) -> None:
    file, node = str(tmp_path / "masters"), keys(False)
    assert [add(file, node), add(file, node, key=OTHER, check=OTHER_CHECK)] == [1, 2]
    with pytest.raises(KeyFileError, match="two versions"):
        add(file, node)
    proof = verify(open_masters(file, node).ring())
    assert isinstance(proof, Proof)
    assert proof.version == 1
    retire_master(file, node, PLACE, 1, 1_795_000_060)
    refused = verify(open_masters(file, node).ring())
    assert isinstance(refused, Refusal)
    assert refused.reason == "cryptogram"
    with pytest.raises(KeyFileError, match="the last key in use"):
        retire_master(file, node, PLACE, 2, 1_795_000_060)
    retire_master(file, node, PLACE, 2, 1_795_000_060, last=True)
    assert [row.retired_s for row in rows(open_masters(file, node))] == [1_795_000_060] * 2
    with pytest.raises(KeyFileError, match="no such key in use"):
        retire_master(file, node, PLACE, 2, 1_795_000_061)


@pytest.mark.parametrize(
    ("key", "check", "problem"),
    [
        (KEY, "9F851E", "check value 9F851E; it is 9F851F"),
        (KEY[:-2], CHECK, "16 bytes, or 32 hexadecimal digits"),
        ("0123456789ABCDEF" * 2, CHECK, "single DES"),
    ],
)
def test_a_wrong_key_is_refused_and_leaves_no_file(
    tmp_path: Path, keys: Callable[[bool], Keys], key: str, check: str, problem: str
) -> None:
    file = str(tmp_path / "masters")
    with pytest.raises(KeyFileError, match=problem) as caught:
        add(file, keys(False), key=key, check=check)
    assert key not in str(caught.value)
    assert not Path(file).exists()


def test_another_nodes_keys_do_not_open_the_file(
    tmp_path: Path, keys: Callable[[bool], Keys]
) -> None:
    file, other = str(tmp_path / "masters"), keys(True)
    add(file, keys(False))
    with pytest.raises(KeyFileError, match="do not open the file"):
        open_masters(file, other)
    with pytest.raises(KeyFileError, match="there is no file"):
        open_masters(str(tmp_path / "none"), other)


def test_demo_masters_are_made_of_demo_keys_only_and_once(
    tmp_path: Path, keys: Callable[[bool], Keys]
) -> None:
    file, demo, real = str(tmp_path / "new" / "masters"), keys(True), keys(False)
    with pytest.raises(KeyFileError, match="none are made for real keys"):
        create_demo_masters(file, real, ["629977"], 1)
    create_demo_masters(file, demo, ["629977", "629978"], 1)
    found = rows(open_masters(file, demo))
    assert len({row.check_value for row in found}) == len(found) == 4
    assert {(row.scheme, row.prefix) for row in found} == {
        (scheme, prefix) for scheme in Scheme for prefix in ("629977", "629978")
    }
    with pytest.raises(KeyFileError, match="exists already"):
        create_demo_masters(file, demo, ["629977"], 1)


def test_devices_in_software_are_made_of_demo_keys_only(
    tmp_path: Path, keys: Callable[[bool], Keys]
) -> None:
    real, demo = keys(False), keys(True)
    add(str(tmp_path / "real"), real)
    token = ("6228000000000000", 1, "3012")
    with pytest.raises(UsageError, match="demo keys only"):
        open_masters(str(tmp_path / "real"), real).element("unionpay-01", 1, *token)
    file = str(tmp_path / "demo")
    create_demo_masters(file, demo, ["6228"], 1)
    masters = open_masters(file, demo)
    made = masters.element("unionpay-01", DEMO_INDEX, *token)
    assert repr(made) == "<Element unionpay-01 counter 0>"
    with pytest.raises(UsageError, match="no key of this token"):
        masters.element("unionpay-01", 9, *token)
    with pytest.raises(UsageError, match="no such profile"):
        masters.element("visa-11", 1, *token)


def test_nothing_shows_a_key(tmp_path: Path, keys: Callable[[bool], Keys]) -> None:
    file, node = tmp_path / "masters", keys(False)
    add(str(file), node)
    masters = open_masters(str(file), node)
    assert repr(masters) == "<CardMasters 1>"
    assert bytes.fromhex(KEY) not in file.read_bytes()
    assert not re.search(KEY, repr(masters.rows()), re.IGNORECASE)
