"""What the users of one process share: the switch they call, its cards and tokens, their ledger.

`loadtest/__main__.py` says where everything is in a file named by an environment variable; without
it users pay with plain cards at the address that locust's --host names.
"""

import os
import time
from pathlib import Path
from random import Random
from typing import Final

import msgspec

import switch
from loadtest.mix import Mix
from switch.client.clock import Calendar
from switch.crypto.keyfile import open_keys
from switch.crypto.masters import open_masters
from switch.errors import OperatorError
from switch.settings.load import load as load_settings
from switch.sim.cards import APPROVING, DEMO, HARSH, Wallet
from switch.sim.devices import Pocket
from switch.sim.ledger import Ledger
from switch.wire import Dialect

__all__ = ["VARIABLE", "Stage", "Work", "address_of"]

VARIABLE: Final = "LOADTEST_STAGE"
DIALECT: Final = (
    Path(switch.__file__).resolve().parent.parent / "config" / "dialects" / "iso87-ascii.toml"
)
MIXTURES: Final = {"approving": APPROVING, "demo": DEMO, "harsh": HARSH}


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run takes place."""

    address: str
    """Of the switch, host:port on loopback."""
    institution: str = "10000001"
    """Field 32."""
    prefixes: tuple[str, ...] = ("629900",)
    directory: str = ""
    """Where processes leave their parts of the report; empty: nowhere."""
    ledgers: str = ""
    """Where they write what their terminals lived through; empty: nowhere."""
    node: str = ""
    """Configuration of the node whose card masters the devices are made of; empty: plain cards."""
    tokens: str = ""
    processes: int = 1


def stage(host: str) -> Stage:
    """Of the environment, or of locust's --host. Raises: OperatorError."""
    file = os.environ.get(VARIABLE)
    if file:
        return msgspec.json.decode(Path(file).read_bytes(), type=Stage)
    if not host:
        raise OperatorError(
            "nobody says which switch is meant", help="--host 127.0.0.1:PORT, or make load"
        )
    return Stage(address=host)


def address_of(text: str) -> tuple[str, int]:
    """Host and port. Raises: OperatorError."""
    host, _, port = text.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdecimal():
        raise OperatorError(f"{text!r} is not host:port", help="such as 127.0.0.1:15830")
    return host.strip("[]"), int(port)


class Work:
    """Made once in each process that has users."""

    def __init__(self, at: Stage, mix: Mix, number: int) -> None:
        """`number`: of the process, from 0."""
        self.stage = at
        self.mix = mix
        self.number = number
        self.address = address_of(at.address)
        self.dialect = Dialect.compile(DIALECT.read_text(encoding="utf-8"), str(DIALECT))
        self.calendar = Calendar()
        self.rng = Random(time.time_ns() ^ os.getpid())
        self._terminals = 0
        self._reference = 0
        # The minute (again after three years), the process and a counter.
        self._prefix = f"{base36(int(time.time()) // 60 % 36**4):0>4}{base36(number):0>2}"
        shares = MIXTURES[mix.mixture]
        self.plain = Wallet(at.prefixes, shares, self.rng)
        pocket = self._pocket()
        self.tapping = Wallet(at.prefixes, shares, self.rng, pocket, tap_share=1.0)
        self.ledger: Ledger | None = None
        if at.ledgers:
            name = f"{at.institution}-{number}-{os.getpid()}.jsonl"
            self.ledger = Ledger(Path(at.ledgers) / name)

    def _pocket(self) -> Pocket | None:
        if not self.stage.node:
            return None
        settings = load_settings(Path(self.stage.node))
        assert settings.tokens is not None
        keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
        masters = open_masters(settings.tokens.card_masters_file, keys)
        part = (self.number % self.stage.processes, self.stage.processes)
        return Pocket(masters, Path(self.stage.tokens), self.rng, part)

    def close(self) -> None:
        """Closes the ledger; no terminal of this process works any more."""
        if self.ledger is not None:
            self.ledger.close()

    def next_terminal(self) -> int:
        """Number of a new terminal of this process."""
        self._terminals += 1
        return self._terminals - 1

    def number_among_all(self, terminal: int) -> int:
        """Of a terminal of this process, among those of all processes."""
        return terminal * self.stage.processes + self.number

    def next_reference(self) -> str:
        """Field 37, different for all requests of all processes."""
        self._reference += 1
        return f"{self._prefix}{base36(self._reference):0>6}"


def base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits or "0"
