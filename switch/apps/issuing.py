"""Keys, card masters and tokens for a demonstration: made before its node starts.

Card numbers go to the import through memory; no file of this holds one.
"""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from switch.crypto.keyfile import create_keys, open_keys
from switch.crypto.masters import create_demo_masters
from switch.errors import OperatorError
from switch.settings.load import load
from switch.settings.schema import Settings
from switch.sim.tokens import issue, write_import, write_tokens

__all__ = ["issue_tokens"]

REASON: Final = "demonstration"


async def issue_tokens(config: Path, tokens: Path, count: int, log: Path) -> int:
    """Makes demo keys and masters of a configuration, has the vault issue `count` tokens, and
    writes the file of them that terminals tap with. Returns how many were issued.

    Raises OperatorError with the last line of the import's log.
    """
    settings = load(config)
    made = await asyncio.to_thread(_prepare, settings, tokens, count)
    descriptor, issued = made
    try:
        with log.open("wb") as lines:
            process = await asyncio.create_subprocess_exec(
                *_import_command(config), stdin=descriptor, stdout=lines, stderr=lines
            )
    finally:
        os.close(descriptor)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if code:
        raise _failed(code, log)
    return issued


def _failed(code: int, log: Path) -> OperatorError:
    told = log.read_text(errors="replace").strip().splitlines()
    why = f": {told[-1]}" if told else ""
    return OperatorError(f"the tokens were not issued: exit code {code}{why}", file=str(log))


def _import_command(config: Path) -> Sequence[str]:
    return (
        sys.executable, "-m", "switch", "token", "import", "-", "--format", "csv",
        "--config", str(config), "--reason", REASON, "--out", os.devnull,
    )  # fmt: skip


def _prepare(settings: Settings, tokens: Path, count: int) -> tuple[int, int]:
    """A descriptor of what is to be imported, and how many tokens that is."""
    assert settings.tokens is not None
    files = settings.keys.file, settings.keys.sealing_key_file
    create_keys(*files, demo=True)
    at_s = int(time.time())
    ranges = [one.prefix for one in settings.tokens.ranges]
    create_demo_masters(settings.tokens.card_masters_file, open_keys(*files), ranges, at_s)
    made = list(issue(ranges[0], [route.prefix for route in settings.routes], count))
    write_tokens(tokens, made)
    descriptor = os.memfd_create("import")
    with open(descriptor, "w", encoding="ascii", newline="", closefd=False) as stream:
        issued = write_import(stream, made)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor, issued
