"""Devices, their tokens, and the index of a node, without a vault: the test is the gateway."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from switch.crypto.masters import create_demo_masters, open_masters
from switch.crypto.profiles import Element, Tapped
from switch.native import index, journal
from switch.tokens.lock import VaultLock
from tests.support.tokens import TOKEN_PREFIX, Row, row

__all__ = ["TOKENS", "TokenNode"]

TOKENS: Final = f"""
[tokens]
ranges = [{{ prefix = "{TOKEN_PREFIX}", length = 16 }}]
atc_entries_max = 1024
atc_gap_max = 50
"""
"""The table of settings that goes with it."""

AT_S: Final = 1_790_000_000


class TokenNode:
    """Keys and index of a node in `directory`, made before it starts."""

    def __init__(self, directory: Path, count: int = 4, **changes: object) -> None:
        keys = directory / "keys"
        keys.mkdir(mode=0o700, parents=True)
        sealing = str(keys / "sealing.key")
        journal.create_sealing_key(sealing)
        descriptor = os.open(sealing, os.O_RDONLY)
        try:
            journal.create_key_file(str(keys / "switch.keys"), descriptor, True)
            self.keys = journal.Keys.open(str(keys / "switch.keys"), descriptor)
        finally:
            os.close(descriptor)
        masters = str(keys / "card-masters.keys")
        create_demo_masters(masters, self.keys, [TOKEN_PREFIX], AT_S)
        self.masters = open_masters(masters, self.keys)
        self.rows: list[Row] = [row(self.keys, number, **changes) for number in range(count)]
        # The node's own gateway waits for the vault, and touches no index.
        self.lock = VaultLock(str(directory / "data" / "vault" / "vault.sqlite"))
        assert self.lock.take()
        self.index = index.Index.open(str(directory / "data" / "index"), self.keys)
        self.change = 0
        self.rebuild(self.rows)

    def rebuild(self, rows: Sequence[Row]) -> None:
        """A new generation of these rows."""
        self.change += 1
        made = self.index.rebuild()
        made.add(rows, self.change)
        made.finish(self.change, bytes(16))
        self.index.look()

    def change_row(self, number: int, **changes: object) -> None:
        """Writes a row anew; the next tap sees it."""
        self.rows[number] = msgspec.structs.replace(self.rows[number], **changes)
        self.change += 1
        self.index.write([self.rows[number]], [], self.change)

    def device(self, number: int, profile: str = "unionpay-01") -> Element:
        """The device of a token."""
        one = self.rows[number]
        return self.masters.element(profile, 1, one.token, one.token_sequence, one.token_expiry)


def tap(device: Element, amount: int, **more: object) -> Tapped:
    """One tap in Shanghai."""
    return device.tap(
        amount=amount,
        currency=156,
        country=156,
        date=261_125,
        unpredictable=os.urandom(4),
        **more,  # type: ignore[arg-type]
    )
