"""What comes of a rule that does not hold."""

import msgspec

__all__ = ["Broken"]


class Broken(msgspec.Struct, frozen=True):
    """A rule that did not hold."""

    rule: str
    text: str
    key: tuple[str, str, str, str, str] | None = None
