"""The whole taxonomy: class, stable code, whose fault, what to answer.

Four families. A `PeerError` means that the remote side broke the protocol; a `UsageError` is our
own bug; an `OperatorError` is settings, keys or set-up; a `StorageError` means that the process
must stop safely. Codes are stable and unique; a duplicate refuses to import. No message ever
carries a PAN, track, PIN or key byte.
"""

from typing import Any, ClassVar, Final

__all__ = [
    "REGISTRY",
    "AuditError",
    "CaptureError",
    "CertificateError",
    "ConservationError",
    "DecodeError",
    "DialectError",
    "EncodeError",
    "FramingError",
    "JournalError",
    "KeyFileError",
    "OperatorError",
    "OrderError",
    "PeerError",
    "ReloadError",
    "SettingsError",
    "StorageError",
    "TapswitchError",
    "ThresholdError",
    "TokenError",
    "TokenIndexError",
    "TomlError",
    "UnreachableError",
    "UsageError",
    "VaultError",
]

REGISTRY: Final[dict[str, type["TapswitchError"]]] = {}
"""Stable code to class."""


class TapswitchError(Exception):
    """Base of all errors of tapswitch; never raised itself."""

    code: ClassVar[str] = ""
    response_code: ClassVar[str] = "96"
    """What an acquirer is answered when this ends its request."""
    exit_code: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.code:
            return
        if cls.code in REGISTRY and REGISTRY[cls.code].__qualname__ != cls.__qualname__:
            raise TypeError(f"error code {cls.code} is taken by {REGISTRY[cls.code].__qualname__}")
        REGISTRY[cls.code] = cls


class PeerError(TapswitchError):
    """The remote side broke the protocol."""

    code = "TSW-P0000"
    response_code = "30"


class FramingError(PeerError):
    """The byte stream is lost; the link is closed. `image`: what stood in the place of a length, as
    hexadecimal."""

    code = "TSW-P0101"

    def __init__(
        self, message: str, *, offset: int = 0, found: str = "", expected: str = ""
    ) -> None:
        super().__init__(message)
        self.offset = offset
        self.found = found
        self.expected = expected
        self.image = ""


class DecodeError(PeerError):
    """One body cannot be decoded.

    `dialect`, `path` (``field 48.2``), `offset` (bytes into the body), `found`, `expected`, and
    what could be read before the fault: `mti` (or empty) and `partial`, a `switch.wire.Message` of
    the fields before it, with check FORMAT (None when MTI or bitmap are at fault). `found` never
    quotes bytes of a C2, C3 or SAD field. Of a frame that came on a link, `image` is what stood
    behind its length as hexadecimal, two stars for every byte that may not be shown, and `image_at`
    the byte in it where the fault is.
    """

    code = "TSW-P0102"

    def __init__(
        self, dialect: str, path: str, offset: int, found: str, expected: str, mti: str = ""
    ) -> None:
        super().__init__(
            f"{dialect}: {path} at offset {offset}: found {found}, expected {expected}"
        )
        self.dialect = dialect
        self.path = path
        self.offset = offset
        self.found = found
        self.expected = expected
        self.mti = mti
        self.partial: Any = None
        self.image = ""
        self.image_at = 0


class MacError(PeerError):
    """The message code of a message is wrong or missing, or there is no key for it.

    `reason` is the label of the metric; `message` the `switch.wire.Message`, which changes nothing
    and is answered by what the dialect has for it. `path` is the code's field (``mac`` where there
    is none); `image` and `image_at` are those of a `DecodeError`.
    """

    code = "TSW-P0103"

    def __init__(self, dialect: str, reason: str) -> None:
        super().__init__(f"{dialect}: message code {reason}")
        self.dialect = dialect
        self.reason = reason
        self.message: Any = None
        self.path = "mac"
        self.image = ""
        self.image_at = 0


class UsageError(TapswitchError):
    """Our own bug: an interface was used wrongly."""

    code = "TSW-U0000"
    exit_code = 1


class EncodeError(UsageError):
    """A value does not fit its field."""

    code = "TSW-U0101"

    def __init__(self, dialect: str, path: str, problem: str) -> None:
        super().__init__(f"{dialect}: {path}: {problem}")
        self.dialect = dialect
        self.path = path


class OperatorError(TapswitchError):
    """Settings, keys, certificates, set-up: an operator can mend it."""

    code = "TSW-O0000"
    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        key: str = "",
        help: str = "",
    ) -> None:
        where = f"{file}:{line}:{column}: " if file and line else (f"{file}: " if file else "")
        super().__init__(f"{where}{message}" + (f" (help: {help})" if help else ""))
        self.problem = message
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.help = help


class TomlError(OperatorError):
    """Not TOML."""

    code = "TSW-O0101"


class SettingsError(OperatorError):
    """A key is unknown, missing, of the wrong type, or contradicts another."""

    code = "TSW-O0102"


class DialectError(OperatorError):
    """A dialect file does not compile."""

    code = "TSW-O0103"


class CaptureError(OperatorError):
    """What a tool was given is not the bytes, text or message that it needs. Never quotes it."""

    code = "TSW-O0180"
    exit_code = 2


class KeyFileError(OperatorError):
    """The key file or its sealing key is missing, readable by others, damaged, or the wrong one."""

    code = "TSW-O0104"


class CertificateError(OperatorError):
    """A certificate, its key or a CA file is missing, readable by others, damaged, or unfit."""

    code = "TSW-O0140"


class UnreachableError(OperatorError):
    """A peer or process that a command needs does not answer."""

    code = "TSW-O0105"
    exit_code = 4


class TokenIndexError(OperatorError):
    """The token index has no answer, or cannot be written. The vault rebuilds it."""

    code = "TSW-O0106"


class VaultError(OperatorError):
    """The vault is locked, damaged, or of another version or key."""

    code = "TSW-O0107"


class TokenError(OperatorError):
    """An order about a token is refused; nothing was changed."""

    code = "TSW-O0108"
    exit_code = 5


class ThresholdError(OperatorError):
    """A condition of failure of a load run is not understood; `at` and `width` say where in its
    text.
    """

    code = "TSW-O0119"
    exit_code = 2

    def __init__(self, message: str, *, text: str, at: int, width: int, help: str = "") -> None:
        super().__init__(message, help=help)
        self.text = text
        self.at = at
        self.width = width


class OrderError(OperatorError):
    """An order to a running node is refused; nothing was changed."""

    code = "TSW-O0120"
    exit_code = 5


class AuditError(OperatorError):
    """The audit of orders is damaged, or cannot be written: no order is carried out."""

    code = "TSW-O0121"


class ReloadError(OperatorError):
    """A reload is refused although the files are good; nothing was changed."""

    code = "TSW-O0130"
    exit_code = 5


class StorageError(TapswitchError):
    """The process must stop safely; nothing may be reported durable after it."""

    code = "TSW-S0000"
    exit_code = 3


NO_ROOM: Final = "no room for the next segment"
"""How the journal's error begins (native/src/journal/error.rs)."""


class JournalError(StorageError):
    """The journal is locked, damaged, full or failed. Names file, offset and remedy."""

    code = "TSW-S0101"

    def __init__(self, message: str, *, file: str = "", offset: int = 0, remedy: str = "") -> None:
        where = f"{file} at offset {offset}: " if file else ""
        super().__init__(f"{where}{message}" + (f" (remedy: {remedy})" if remedy else ""))
        self.file = file
        self.offset = offset
        self.remedy = remedy

    @property
    def no_room(self) -> bool:
        """It is the disk that is full: waiting helps, starting again does not."""
        return str(self).startswith(NO_ROOM)


class ConservationError(TapswitchError):
    """The ledgers disagree."""

    code = "TSW-C0101"
    exit_code = 6
