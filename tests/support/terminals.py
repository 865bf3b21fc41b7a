"""Terminals for tests: a node with a registry, and terminals in software that belong to it."""

from pathlib import Path
from typing import Any, Final

from switch.crypto.keyfile import Keys
from switch.crypto.links import Parameters
from switch.crypto.terminals import Given, generate_terminals, open_registry
from switch.sim.pos import PosTerminal
from tests.support.pos import POS

__all__ = [
    "CODES",
    "MERCHANT",
    "POS_ACQUIRER",
    "TERMINALS",
    "file_of",
    "make_terminals",
    "pos_terminal",
]

MERCHANT: Final = "898520154110004"
CODES: Final = Parameters("cup-ecb", "des", "xor", "hex", 8)
POS_ACQUIRER: Final = (
    'dialect = "pos-cn"\n[acquirers.mac]\nalgorithm = "cup-ecb"\nkeys = "terminal"'
)
"""What makes ACQ01 of a test's node one of terminals."""
TERMINALS: Final = "\n[terminals]\n"


def file_of(directory: Path) -> str:
    return str(directory / "keys" / "terminals.keys")


def make_terminals(directory: Path, keys: Keys, count: int = 3) -> None:
    """Terminals 52010001 and on, of one merchant, with random master keys."""
    given = [Given("ACQ01", f"{52010001 + n}", MERCHANT, "6") for n in range(count)]
    generate_terminals(file_of(directory), keys, given, 1)


def pos_terminal(directory: Path, keys: Keys, number: int = 0, **more: Any) -> PosTerminal:
    """Terminal `number` of the registry."""
    name = f"{52010001 + number}"
    device = open_registry(file_of(directory), keys).device(keys, "ACQ01", name)
    return PosTerminal(POS, device, CODES, name, MERCHANT, **more)
