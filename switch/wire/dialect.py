"""Dialect files to compiled dialects, by name from a directory.

Compiling is native; this room only finds and reads the files. A dialect is called what its file is
called, so that settings and errors agree on one word.
"""

from collections.abc import Mapping
from pathlib import Path

from switch.errors import DialectError
from switch.wire import Dialect

__all__ = ["SUFFIX", "load", "load_all", "load_file"]

SUFFIX = ".toml"


def load_file(path: Path) -> Dialect:
    """Compiles one file.

    Raises DialectError: it cannot be read, does not compile (with line, key and nearest valid key),
    or calls itself by another name than its file's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DialectError(f"cannot read the dialect: {error}", file=str(path)) from error
    dialect = Dialect.compile(text, str(path))
    if dialect.name != path.stem:
        raise DialectError(
            f'the dialect calls itself "{dialect.name}"',
            file=str(path),
            line=1,
            column=1,
            key="name",
            help=f'name = "{path.stem}", as its file is called',
        )
    return dialect


def load(directory: Path, name: str) -> Dialect:
    """Compiles ``directory/NAME.toml``. Raises DialectError as `load_file`."""
    return load_file(directory / f"{name}{SUFFIX}")


def load_all(files: Mapping[str, Path]) -> dict[str, Dialect]:
    """Compiles each file of `settings.dialects`. Raises DialectError at the first that fails."""
    return {name: load_file(path) for name, path in files.items()}
