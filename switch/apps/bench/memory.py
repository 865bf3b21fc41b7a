"""What a million tokens cost a node: private memory of all its processes, and its start."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from switch.apps.bench import systems
from switch.apps.bench.measure import fault_of
from switch.apps.bench.pins import tree
from switch.apps.bench.plan import Plan
from switch.apps.bench.wallet import TOKENS, Wallet
from switch.errors import UnreachableError
from switch.native import load

__all__ = ["ADDED_MB_MAX", "START_S_MAX", "TokenCost", "token_cost"]

ADDED_MB_MAX: Final = 300
START_S_MAX: Final = 5.0
TOUCH_MS: Final = 4_000
"""Taps before the memory is read, so that what they touch is counted."""
DEPTH: Final = 16
_PRIVATE: Final = re.compile(r"^Private_(?:Clean|Dirty): +(\d+) kB$", re.MULTILINE)
MIB: Final = 1024


class TokenCost(msgspec.Struct, frozen=True, kw_only=True):
    """The same node without tokens and with them. Megabytes (MiB) and seconds."""

    bench: str = "tokens"
    tokens: int
    taps: int
    """Answered before the memory was read."""
    without_mb: float
    with_mb: float
    added_mb: float
    without_ready_s: float
    with_ready_s: float
    ok: bool


def token_cost(
    plan: Plan, wallet: Wallet, directory: Path, say: Callable[[str], None]
) -> TokenCost:
    """Starts both nodes in turn. Raises: UnreachableError, OperatorError."""
    bank = load.Bank()
    found = []
    try:
        for name, given in (("without", None), ("with", wallet)):
            (directory / name).mkdir()
            with systems.node(bank, plan, directory / name, given) as node:
                taps = given.taps() if given else None
                counted = _touch(node, plan, taps)
                found.append((_private_mb(node.tree), node.ready_s, counted))
                say(f"{name} tokens: ready after {node.ready_s:.2f} s, {found[-1][0]:.0f} MB")
    finally:
        bank.close()
    (plain_mb, plain_s, _), (full_mb, full_s, counted) = found
    added = full_mb - plain_mb
    return TokenCost(
        tokens=wallet.count,
        taps=counted,
        without_mb=round(plain_mb, 1),
        with_mb=round(full_mb, 1),
        added_mb=round(added, 1),
        without_ready_s=round(plain_s, 2),
        with_ready_s=round(full_s, 2),
        ok=added <= ADDED_MB_MAX and full_s < START_S_MAX,
    )


def _touch(node: systems.System, plan: Plan, taps: "load.Taps | None") -> int:
    issuer = systems.CARDS if taps is None else TOKENS
    generator = load.Generator(
        node.address, plan.connections, issuer=issuer, pid=node.pid, taps=taps
    )
    generator.sign_on()
    outcome = generator.closed(DEPTH, warm_ms=0, measure_ms=TOUCH_MS)
    generator.close()
    if fault := fault_of(outcome):
        raise UnreachableError(f"the node did not answer every request: {fault}")
    return outcome["answered"]


def _private_mb(root: int) -> float:
    """Private memory of a process and all its descendants."""
    kilobytes = 0
    for pid in tree(root):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        kilobytes += sum(int(number) for number in _PRIVATE.findall(text))
    return kilobytes / MIB
