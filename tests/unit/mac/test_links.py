"""Keys of links: in parts, sealed, named; what a file refuses."""

import os
from pathlib import Path

import pytest
from psec import des

from switch.crypto.links import (
    Cipher,
    Components,
    LinkKey,
    Parameters,
    Usage,
    add_link_key,
    link_guard,
    link_rows,
    open_link_keys,
    retire_link_key,
)
from switch.errors import KeyFileError, UsageError
from tests.support.emv import pipe
from tests.support.mac import KEY, node_keys

RETAIL = Parameters("x9.19", "3des", "retail", "binary", 8)


def entered(*parts: bytes, cipher: str = "3des") -> Components:
    components = Components(cipher)
    for part in parts:
        with pipe(part) as descriptor:
            assert components.enter(descriptor) == des.generate_kcv(part, 4).hex().upper()
    return components


def test_parts_make_the_key_and_show_their_check_values(tmp_path: Path) -> None:
    keys, file = node_keys(tmp_path), str(tmp_path / "keys" / "link.keys")
    first = os.urandom(16)
    second = bytes(a ^ b for a, b in zip(first, KEY, strict=True))
    components = entered(first, second)
    assert components.check_value == "08D7B4FB"
    assert add_link_key(file, keys, "bank01", Usage.MAC, components, 7, "08D7B4FB") == 1
    row = LinkKey("bank01", 1, Usage.MAC, Cipher.TDES, "08D7B4FB", 7, 0)
    assert link_rows(open_link_keys(file, keys)) == [row]
    content = Path(file).read_bytes()
    assert KEY not in content
    assert KEY[:8] not in content
    assert os.stat(file).st_mode & 0o777 == 0o600


def test_wrong_check_value_enters_nothing(tmp_path: Path) -> None:
    keys, file = node_keys(tmp_path), str(tmp_path / "keys" / "link.keys")
    with pytest.raises(KeyFileError, match="it is 08D7B4FB"):
        add_link_key(file, keys, "bank01", Usage.MAC, entered(KEY), 7, "00000000")
    assert not Path(file).exists()
    with pytest.raises(UsageError):
        add_link_key(file, keys, "bank01", Usage.MAC, Components("3des"), 7)


def test_rotation_proves_with_both_and_seals_with_the_newer(tmp_path: Path) -> None:
    from switch.wire import Framer
    from tests.support.mac import guard
    from tests.support.peer import DIALECT, purchase

    keys, file = node_keys(tmp_path), str(tmp_path / "keys" / "link.keys")
    newer = bytes(range(16, 32))
    for key in (KEY, newer):
        add_link_key(file, keys, "bank01", Usage.MAC, entered(key), 7)
    ours = link_guard(RETAIL, open_link_keys(file, keys), "bank01")
    frames = b"".join(
        DIALECT.encode("0200", purchase(), guard=guard(key))
        for key in (KEY, newer, bytes(range(16)))
    )
    Framer(DIALECT, guard=ours).feed(frames, 1)
    assert {name: count for name, count in ours.counts if count} == {"ok": 2, "wrong": 1}
    theirs = guard(newer)
    Framer(DIALECT, guard=theirs).feed(DIALECT.encode("0200", purchase(), guard=ours), 1)
    assert dict(theirs.counts)["ok"] == 1
    retire_link_key(file, keys, "bank01", 1, 9)
    with pytest.raises(KeyFileError, match="last key"):
        retire_link_key(file, keys, "bank01", 2, 9)


def test_key_of_another_usage_or_cipher_guards_nothing(tmp_path: Path) -> None:
    keys, file = node_keys(tmp_path), str(tmp_path / "keys" / "link.keys")
    add_link_key(file, keys, "zmk", Usage.TRANSPORT, entered(KEY), 7)
    add_link_key(file, keys, "old", Usage.MAC, entered(KEY[:8], cipher="des"), 7)
    opened = open_link_keys(file, keys)
    for name, why in (("zmk", "not for message codes"), ("old", "3des"), ("none", "no key")):
        with pytest.raises(KeyFileError, match=why):
            link_guard(RETAIL, opened, name)


def test_file_opens_with_the_nodes_keys_only(tmp_path: Path) -> None:
    keys, file = node_keys(tmp_path), str(tmp_path / "keys" / "link.keys")
    add_link_key(file, keys, "bank01", Usage.MAC, entered(KEY), 7)
    with pytest.raises(KeyFileError, match="do not open"):
        open_link_keys(file, node_keys(tmp_path / "other"))
    with pytest.raises(KeyFileError, match="no such file"):
        open_link_keys(str(tmp_path / "none"), keys)
