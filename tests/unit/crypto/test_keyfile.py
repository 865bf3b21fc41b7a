"""Who may read the sealing key, and keys that are made once."""

import os
from pathlib import Path

import pytest

from switch.crypto.keyfile import create_keys, keys_absent, open_keys, sealing_key
from switch.errors import KeyFileError


@pytest.fixture
def sealing(tmp_path: Path) -> Path:
    file = tmp_path / "sealing.key"
    file.write_bytes(os.urandom(32))
    file.chmod(0o600)
    return file


def test_file_of_mode_0600_is_opened_and_closed_again(sealing: Path) -> None:
    with sealing_key(str(sealing)) as descriptor:
        assert os.fstat(descriptor).st_size == 32
        assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o010])
def test_file_that_others_may_read_is_refused(sealing: Path, mode: int) -> None:
    sealing.chmod(mode)
    with (
        pytest.raises(KeyFileError, match=r"others may read it.*chmod 600"),
        sealing_key(str(sealing)),
    ):
        pass


def test_link_is_refused(sealing: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(sealing)
    with pytest.raises(KeyFileError, match="cannot be opened"), sealing_key(str(link)):
        pass


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError), sealing_key(str(tmp_path)):
        pass


def test_inherited_descriptor_is_used_and_left_open(sealing: Path) -> None:
    descriptor = os.open(sealing, os.O_RDONLY)
    try:
        with sealing_key(f"fd:{descriptor}") as given:
            assert given == descriptor
        os.fstat(descriptor)
    finally:
        os.close(descriptor)


def test_inherited_memory_file_is_used() -> None:
    descriptor = os.memfd_create("sealing")
    try:
        with sealing_key(f"fd:{descriptor}") as given:
            assert given == descriptor
    finally:
        os.close(descriptor)


def test_inherited_pipe_is_refused_because_it_is_read_once() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(KeyFileError, match="no pipe"), sealing_key(f"fd:{reader}"):
            pass
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("name", ["fd:", "fd:x", "fd:-1", "fd:987654"])
def test_name_of_no_descriptor_is_refused(name: str) -> None:
    with pytest.raises(KeyFileError), sealing_key(name):
        pass


def test_keys_are_made_once_and_opened(tmp_path: Path) -> None:
    file, seal = str(tmp_path / "keys" / "node.keys"), str(tmp_path / "seal" / "sealing.key")
    assert keys_absent(file, seal)
    create_keys(file, seal, demo=True)
    assert not keys_absent(file, seal)
    assert Path(seal).stat().st_mode & 0o777 == 0o600
    assert Path(seal).parent.stat().st_mode & 0o777 == 0o700
    opened = open_keys(file, seal)
    assert opened.demo
    with pytest.raises(KeyFileError, match="there are keys already"):
        create_keys(file, seal)
    assert open_keys(file, seal).check_values == opened.check_values


def test_real_keys_are_no_demo_keys(tmp_path: Path) -> None:
    file, seal = str(tmp_path / "node.keys"), str(tmp_path / "sealing.key")
    create_keys(file, seal)
    assert not open_keys(file, seal).demo


def test_another_sealing_key_opens_nothing(tmp_path: Path, sealing: Path) -> None:
    file, seal = str(tmp_path / "node.keys"), str(tmp_path / "other.key")
    create_keys(file, seal)
    with pytest.raises(KeyFileError):
        open_keys(file, str(sealing))
