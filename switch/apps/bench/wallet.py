"""A million tokens for the bench: keys, vault and index, made once and used by every run.

They are made by the vault's own import, as an operator would bring them from elsewhere, and kept
beside the build. Card numbers and tokens are those that the generator makes of numbers from 0.
"""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

import switch
from switch.crypto.keyfile import Keys, open_keys
from switch.crypto.masters import create_demo_masters, open_masters
from switch.native import __version__, journal, load
from switch.settings.schema import TokenRange, TokenSettings
from switch.tokens.orders import By, CardGiven, Import, Provision
from switch.tokens.service import TokenService

__all__ = ["CARDS", "TOKENS", "Wallet", "prepare"]

CARDS: Final = "629900"
TOKENS: Final = "629977"
LENGTH: Final = 16
BATCH: Final = 20_000
EXPIRY: Final = "3012"
ROOT: Final = Path(switch.__file__).resolve().parent.parent
FORMAT: Final = 1
"""Of this file: another one makes the wallet anew."""


class Wallet(msgspec.Struct, frozen=True):
    """Where everything is."""

    directory: Path
    count: int

    @property
    def sealing_key(self) -> str:
        return str(self.directory / "sealing.key")

    @property
    def key_file(self) -> str:
        return str(self.directory / "switch.keys")

    @property
    def tokens(self) -> TokenSettings:
        """The table of settings."""
        return TokenSettings(
            ranges=(TokenRange(prefix=TOKENS, length=LENGTH),),
            vault_file=str(self.directory / "vault" / "vault.sqlite"),
            index_dir=str(self.directory / "index"),
            card_masters_file=str(self.directory / "card-masters.keys"),
            atc_entries_max=max(1 << 20, self.count),
        )

    def keys(self) -> Keys:
        return open_keys(self.key_file, self.sealing_key)

    def taps(self) -> "load.Taps":
        """Devices of all tokens, for one generator."""
        masters = open_masters(self.tokens.card_masters_file, self.keys())
        return load.Taps(masters.ring(), self.count)


def prepare(count: int, say: Callable[[str], None]) -> Wallet:
    """The wallet of so many tokens; made when it is not there. Raises: OperatorError."""
    mark = hashlib.sha256(f"{FORMAT} {__version__} {CARDS} {TOKENS}".encode()).hexdigest()[:8]
    place = ROOT / ".cache" / "bench" / f"tokens-{count}-{mark}"
    if place.exists():
        return Wallet(place, count)
    part = place.with_name(f"{place.name}.part{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        asyncio.run(_fill(Wallet(part, count), say))
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Wallet(place, count)


async def _fill(wallet: Wallet, say: Callable[[str], None]) -> None:
    journal.create_sealing_key(wallet.sealing_key)
    descriptor = os.open(wallet.sealing_key, os.O_RDONLY)
    try:
        journal.create_key_file(wallet.key_file, descriptor, True)
    finally:
        os.close(descriptor)
    keys, tokens = wallet.keys(), wallet.tokens
    now_ms = time.time_ns() // 1_000_000
    create_demo_masters(tokens.card_masters_file, keys, [TOKENS], now_ms // 1000)
    Path(tokens.vault_file).parent.mkdir(mode=0o700)
    service = await TokenService.open(tokens, keys, lambda: now_ms)
    began = time.monotonic()
    try:
        await service.books.repair()
        for first in range(0, wallet.count, BATCH):
            rows = list(_rows(first, min(first + BATCH, wallet.count)))
            by = By(actor="bench", reason="tokens to measure with")
            await service.perform(Import(by=by, rows=rows, first_line=first + 1))
            done = first + len(rows)
            say(f"tokens: {done:>9,} of {wallet.count:,} in {time.monotonic() - began:4.0f} s")
    finally:
        await service.close()


def _rows(first: int, end: int) -> Iterator[Provision]:
    for number in range(first, end):
        yield Provision(
            card=CardGiven(pan=load.card(CARDS, number), expiry="3106", sequence=1),
            requestor="12300000001",
            token=load.card(TOKENS, number),
            token_expiry=EXPIRY,
            token_sequence=1,
            assurance="1A",
        )
