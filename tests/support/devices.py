"""A node's demo card masters and a file of tokens, for tests of terminals that tap."""

from pathlib import Path
from random import Random

from switch.crypto.keyfile import create_keys, open_keys
from switch.crypto.masters import CardMasters, create_demo_masters, open_masters
from switch.sim.devices import Pocket
from switch.sim.tokens import Issued, issue, write_tokens

__all__ = ["RANGE", "demo_masters", "pocket"]

RANGE = "629977"
BANKS = ("629900", "629901")


def demo_masters(directory: Path, token_range: str = RANGE) -> CardMasters:
    """Of a range of tokens, under keys made for it."""
    files = str(directory / "keys"), str(directory / "sealing")
    create_keys(*files, demo=True)
    keys, file = open_keys(*files), str(directory / "masters")
    create_demo_masters(file, keys, [token_range], 1_795_000_000)
    return open_masters(file, keys)


def pocket(
    directory: Path,
    count: int = 2_000,
    part: tuple[int, int] = (0, 1),
    token_range: str = RANGE,
) -> tuple[Pocket, list[Issued], CardMasters]:
    """Devices of so many tokens."""
    tokens = list(issue(token_range, BANKS, count))
    file = directory / "tokens.csv"
    write_tokens(file, tokens)
    masters = demo_masters(directory, token_range)
    return Pocket(masters, file, Random(5), part), tokens, masters
