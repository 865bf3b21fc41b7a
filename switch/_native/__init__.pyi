"""The extension. Only `switch.native` imports it."""

from typing import Final

from switch._native import clock as clock
from switch._native import codec as codec
from switch._native import describe as describe
from switch._native import emv as emv
from switch._native import hook as hook
from switch._native import index as index
from switch._native import journal as journal
from switch._native import load as load
from switch._native import mac as mac
from switch._native import meter as meter
from switch._native import simulation as simulation
from switch._native import tap as tap
from switch._native import terminal as terminal
from switch._native import walk as walk

__all__ = [
    "BUILD_PROFILE",
    "__version__",
    "clock",
    "codec",
    "describe",
    "emv",
    "hook",
    "index",
    "journal",
    "load",
    "mac",
    "meter",
    "simulation",
    "tap",
    "terminal",
    "walk",
]

__version__: Final[str]
BUILD_PROFILE: Final[str]
