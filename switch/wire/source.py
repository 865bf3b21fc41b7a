"""A dialect file as tools need it: compiled, where each key stands, and with keys changed."""

from pathlib import Path
from typing import Any, Final

from switch.errors import DecodeError, DialectError
from switch.native import codec, describe
from switch.wire import Dialect, Message
from switch.wire.reading import Change

__all__ = ["VARIED_MAX", "Source", "read"]

VARIED_MAX: Final = 2048
"""Changed dialects that are kept for the next message; each takes some 50 kB."""


def read(dialect: Dialect, body: bytes) -> Message | DecodeError:
    """The message of a body, or why there is none."""
    try:
        return dialect.decode(body)
    except DecodeError as error:
        return error


class Source:
    """One file."""

    def __init__(self, path: Path, text: str) -> None:
        """Raises DialectError as `Dialect.compile`."""
        self.file = str(path)
        self.dialect = Dialect.compile(text, self.file)
        self.table, self._places = codec.parse_toml(text)
        self._draft = describe.Draft(text, self.file)
        self._varied: dict[str, Dialect | None] = {}
        self.rows = {
            row["number"]: row for row in self.dialect.fields() if "." not in row["number"]
        }

    @property
    def framing(self) -> str:
        """The name of its length in front of each message."""
        framing = self.table["framing"]
        return framing if isinstance(framing, str) else str(framing["length"])

    @property
    def preface_bytes(self) -> int:
        """Bytes of TPDU and header between length and body; 0 where the dialect has none."""
        return self.dialect.preface_bytes

    def frame_bytes(self, data: bytes) -> int:
        """Length of the frame at the beginning of `data`, its own length included; 0 when too few
        bytes are there to tell, -1 when they are no length."""
        width = self.dialect.length_bytes
        if len(data) < width:
            return 0
        said = describe.length(self.framing, data[:width])
        return -1 if said is None else said[0] + said[1]

    def vary(self, change: Change) -> Dialect | None:
        """The dialect as it would be; None when the file would not compile."""
        known = repr(change.keys)
        if known not in self._varied:
            if len(self._varied) >= VARIED_MAX:
                self._varied.clear()
            try:
                self._varied[known] = self._draft.vary(change.keys)
            except DialectError:
                self._varied[known] = None
        return self._varied[known]

    def line(self, key: str) -> int:
        """Line of a key or of the nearest table above it; 0 for none."""
        while key:
            if key in self._places:
                return self._places[key][0]
            key = key.rpartition(".")[0]
        return 0

    def field(self, number: int) -> dict[str, Any]:
        """The table of a field."""
        table = self.table["fields"].get(str(number), {})
        return table if isinstance(table, dict) else {}
