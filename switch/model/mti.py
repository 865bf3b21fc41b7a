"""Message type indicators of ISO 8583:1987, as far as rooms above the codec need them.

Source: ISO 8583:1987, 4.1: version, class, function, origin, one digit each.
"""

__all__ = ["is_repeat", "is_reply", "of_reply"]


def is_reply(mti: str) -> bool:
    """True for a response: the function digit is odd."""
    return mti[2] in "13579"


def is_repeat(mti: str) -> bool:
    """True for a repeat: the origin digit is odd."""
    return mti[3] in "13579"


def of_reply(mti: str) -> str:
    """The MTI that answers `mti`; a repeat is answered like the first."""
    return f"{mti[:2]}{int(mti[2]) | 1}{int(mti[3]) & ~1}"
