"""What decode, encode and diff share: dialects by name; input from an argument, a file or stdin."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from switch.errors import CaptureError

if TYPE_CHECKING:
    from switch.wire.capture import Capture
    from switch.wire.source import Source

__all__ = ["INPUT_BYTES_MAX", "dialect_option", "lang_option", "open_dialect", "read_input", "say"]

INPUT_BYTES_MAX: Final = 1 << 24

dialect_option = click.option(
    "--dialect",
    "-d",
    required=True,
    metavar="NAME|FILE",
    help="Dialect: its name, or its file.",
)

lang_option = click.option(
    "--lang",
    type=click.Choice(["en", "zh", "both"]),
    default=None,
    help="Language of names (default: of LANG).",
)


def open_dialect(name: str) -> "Source":
    """The dialect of a name or path. Raises CaptureError naming what there is; DialectError."""
    from switch.wire.source import Source

    path = _find(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"cannot read the dialect {path}: {error}") from error
    return Source(path, text)


def _find(name: str) -> Path:
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    places = [Path("dialects"), Path("config/dialects"), _installed()]
    for place in places:
        path = place / f"{name}.toml"
        if path.is_file():
            return path
    from switch.settings.nearest import suggest

    known = {path.stem for place in places for path in place.glob("*.toml")}
    raise CaptureError(f'there is no dialect "{name}"', help=suggest(name, known))


def _installed() -> Path:
    import switch

    return Path(switch.__file__).resolve().parent.parent / "config" / "dialects"


def read_input(source: str, *, raw: bool = False) -> "Capture":
    """Bytes of hexadecimal text, of a file (as it is with `raw`), or of stdin (``-``).

    Raises CaptureError.
    """
    from switch.wire.capture import Capture, read_capture

    if source != "-" and not _is_file(source):
        return read_capture(source, "the argument")
    name = "stdin" if source == "-" else source
    data = _bytes(source, name)
    if raw:
        if not data:
            raise CaptureError(f"{name} is empty")
        return Capture(data, [], [])
    if any(byte > 126 or byte < 9 for byte in data):
        return Capture(data, [], [f"{name} is not text: taken as raw bytes, as with --raw"])
    return read_capture(data.decode("ascii"), name)


def read_text(source: str) -> str:
    """A text file or stdin. Raises CaptureError."""
    name = "stdin" if source == "-" else source
    try:
        return _bytes(source, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CaptureError(f"{name} is not text in UTF-8") from error


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):
        return False  # Longer than a path can be: hexadecimal.


def _bytes(source: str, name: str) -> bytes:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(INPUT_BYTES_MAX + 1)
    except OSError as error:
        raise CaptureError(f"cannot read {name}: {error.strerror}") from error
    if len(data) > INPUT_BYTES_MAX:
        raise CaptureError(f"{name} is longer than {INPUT_BYTES_MAX >> 20} MiB: cut it into pieces")
    return data


def language(lang: str | None) -> str:
    """The language asked for, or the machine's."""
    import os

    if lang:
        return lang
    spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG", "")
    return "zh" if spoken.startswith("zh") else "en"


def say(text: str) -> None:
    """Talk goes to stderr, data to stdout."""
    click.echo(text, err=True)
