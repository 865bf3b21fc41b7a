"""What a connection was made under, and goes on under until it is replaced."""

import msgspec

from switch.link.session import Rules
from switch.wire import Dialect

__all__ = ["Terms"]


class Terms(msgspec.Struct, frozen=True):
    """Of one member, for all connections that are made while they are in force."""

    dialect: Dialect
    rules: Rules
    frame_bytes_max: int
    generation: int = 0
    """Grows when connections of before must be replaced."""
    terminals: bool = False
    """Terminals sign on by themselves, each for itself."""
