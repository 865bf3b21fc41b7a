"""One reading of all files of a configuration: what is checked, compiled, put in force and kept is
the same text, whatever an editor does to the files meanwhile.

A reading can be written into one file, the *snapshot*, and read back from it like from the files. A
node keeps the snapshot of the configuration in force beside its journal, so that a worker that died
comes back with it and not with what somebody is just editing.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Final

import msgspec

from switch.errors import SettingsError, TomlError
from switch.native import codec

__all__ = [
    "IN_FORCE_NAME",
    "SETTINGS_NAME",
    "Sources",
    "in_force_file",
    "meaning",
    "put",
    "read_sources",
]

SETTINGS_NAME: Final = "switch.toml"
IN_FORCE_NAME: Final = "in-force.json"
FILE_BYTES_MAX: Final = 4 << 20
"""A larger settings file is a mistake; it is not read."""
SNAPSHOT_BYTES_MAX: Final = 256 << 20
SNAPSHOT_SCHEMA: Final = 1
DIRECTORIES: Final = ("routes", "dialects")
"""Where the other files lie, in the order in which the digest takes them."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a configuration as they were read."""

    base: str
    """Absolute directory of the settings file: relative paths in it start there."""
    main: str
    """Name of the settings file in it."""
    texts: dict[str, str]
    """Text by name below `base`: `main`, ``routes/NAME.toml``, ``dialects/NAME.toml``."""
    root: str = ""
    """How places are shown to people: the directory as it was named, or the snapshot."""

    @property
    def origin(self) -> str:
        """Where the files were read from: what a reload reads again."""
        return self.base if self.main == SETTINGS_NAME else str(Path(self.base) / self.main)

    @property
    def digest(self) -> str:
        """First 16 hex digits of SHA-256 over names and texts of all files: the version."""
        digest = hashlib.sha256(self.texts[self.main].encode())
        for directory in DIRECTORIES:
            for name in self.names(directory):
                file = name.rpartition("/")[2]
                digest.update(file.encode() + b"\0" + self.texts[name].encode())
        return digest.hexdigest()[:16]

    def names(self, directory: str) -> list[str]:
        """Names of the files in ``routes`` or ``dialects``, sorted."""
        return sorted(name for name in self.texts if name.startswith(f"{directory}/"))

    def shown(self, name: str) -> str:
        """A file as people are told of it."""
        return f"{self.root}{name}" if self.is_snapshot else str(Path(self.root) / name)

    @property
    def is_snapshot(self) -> bool:
        """They were read from a snapshot and not from the files themselves."""
        return self.root.endswith("#")

    # -- the snapshot -----------------------------------------------------------------------------

    def keep(self, file: Path) -> None:
        """Writes the snapshot, whole or not at all, and durably; nothing when it stands there
        already, since a full disk must not keep a worker from going on. Raises OSError."""
        with contextlib.suppress(OSError):
            if file.read_bytes() == self._text():
                return
        put(self.stage(file), file)

    def _text(self) -> bytes:
        return msgspec.json.encode(
            {
                "schema": SNAPSHOT_SCHEMA,
                "digest": self.digest,
                "base": self.base,
                "main": self.main,
                "texts": self.texts,
            }
        )

    def stage(self, file: Path) -> Path:
        """Writes the snapshot beside `file`, durably, for `put` to bring it into place. Raises
        OSError."""
        text = self._text()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        return draft


def put(draft: Path, file: Path) -> None:
    """A staged snapshot takes the place of the one before, durably. Raises OSError."""
    draft.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def in_force_file(data_dir: str | Path) -> Path:
    """Where a node keeps the snapshot of the configuration in force."""
    return Path(data_dir) / "run" / IN_FORCE_NAME


def read_sources(path: str | Path) -> Sources:
    """Reads a configuration directory, a settings file with its neighbours, or a snapshot.

    Raises: SettingsError (TSW-O0101).
    """
    path = Path(path)
    if path.suffix == ".json" and path.is_file():
        return _snapshot(path)
    file = _settings_file(path)
    base = file.parent.absolute()
    texts = {file.name: _read(file)}
    for directory in DIRECTORIES:
        for one in sorted((file.parent / directory).glob("*.toml")):
            texts[f"{directory}/{one.name}"] = _read(one)
    return Sources(base=str(base), main=file.name, texts=texts, root=str(file.parent))


def meaning(text: str) -> str:
    """A TOML text without comments and layout, good for comparing; the text itself where it is no
    TOML. The order of keys stays: it may matter."""
    try:
        return json.dumps(codec.parse_toml(text)[0], default=str)
    except TomlError:
        return text


def _settings_file(path: Path) -> Path:
    if path.is_dir():
        file = path / SETTINGS_NAME
        if not file.exists():
            others = sorted(p.name for p in path.glob("*.toml"))
            hint = f"name one of {', '.join(others)} itself, or " if others else ""
            raise SettingsError(
                f"no {SETTINGS_NAME} in this directory",
                file=str(path),
                help=f"{hint}start from config/switch.example.toml",
            )
        return file
    if not path.exists():
        raise SettingsError("no such file or directory", file=str(path))
    return path


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise SettingsError(f"larger than {FILE_BYTES_MAX} bytes", file=str(file))
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"not UTF-8 at byte {error.start}", file=str(file), help="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", file=str(file)) from None


class _Kept(msgspec.Struct, frozen=True):
    schema: int
    digest: str
    base: str
    main: str
    texts: dict[str, str]


def _snapshot(file: Path) -> Sources:
    kept = None
    with contextlib.suppress(OSError, msgspec.DecodeError):
        if file.stat().st_size <= SNAPSHOT_BYTES_MAX:
            kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    if kept is None or kept.schema != SNAPSHOT_SCHEMA or kept.main not in kept.texts:
        raise SettingsError(
            "this is no snapshot of a configuration, or of another version", file=str(file)
        )
    sources = Sources(base=kept.base, main=kept.main, texts=kept.texts, root=f"{file}#")
    if sources.digest != kept.digest:
        raise SettingsError("the snapshot is damaged: its digest differs", file=str(file))
    return sources
