"""A POS terminal's shortest working day: sign on, sell, take it back, sign off.

For a first look at a node with a registry of terminals. The terminal's master key comes out of that
registry, which is allowed under demo keys only: whoever may take real ones out can be any terminal.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import uvloop

from switch.crypto.keyfile import open_keys
from switch.crypto.links import Parameters
from switch.crypto.terminals import open_registry, terminal_rows
from switch.errors import KeyFileError, SettingsError, UnreachableError
from switch.settings.load import load
from switch.settings.schema import Acquirer
from switch.sim.cards import card_number, mask
from switch.sim.pos import Card, Heard, PosTerminal, SilentError
from switch.wire.dialect import load as load_dialect

__all__ = ["Step", "work"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer."""

    what: str
    mti: str
    stan: str
    code: str
    """Field 39; empty: no answer."""
    proved: bool | None
    """Whether the answer's message code was right; None where it carries none."""
    more: str = ""


def work(
    node: Path, acquirer: str, terminal: str, address: str, buy: tuple[str, str, int]
) -> list[Step]:
    """`buy`: prefix and digits of the test card, and the amount in minor units.

    Raises: SettingsError, KeyFileError, UnreachableError.
    """
    made = _terminal(node, acquirer, terminal)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(made, address, *buy))


def _terminal(node: Path, acquirer: str, terminal: str) -> PosTerminal:
    settings = load(node)
    found = next((one for one in settings.acquirers if one.id == acquirer), None)
    if found is None or settings.terminals is None or found.mac is None:
        raise SettingsError(
            f"{acquirer} is no acquirer of terminals that sign on",
            file=settings.file,
            help='it wants tables [acquirers.mac] with keys = "terminal", and [terminals]',
        )
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    if not keys.demo:
        raise KeyFileError(
            "a terminal in software is made of demo keys only",
            file=settings.keys.file,
            help="whoever may take real master keys out of a registry can be any terminal",
        )
    file = settings.terminals.file
    registry = open_registry(file, keys)
    row = next(
        (
            one
            for one in terminal_rows(registry)
            if (one.acquirer, one.terminal_id) == (acquirer, terminal) and not one.retired_s
        ),
        None,
    )
    if row is None:
        raise KeyFileError(f"there is no terminal {terminal} of {acquirer}", file=file)
    dialect = load_dialect(Path(settings.file).parent / "dialects", found.dialect)
    device = registry.device(keys, acquirer, terminal)
    return PosTerminal(dialect, device, _codes(found), terminal, row.merchant_id)


def _codes(acquirer: Acquirer) -> Parameters:
    assert acquirer.mac is not None
    mac = acquirer.mac.whole()
    return Parameters(mac.algorithm, mac.cipher, mac.chain, mac.form, mac.code_bytes)


async def _work(
    terminal: PosTerminal, address: str, prefix: str, digits: str, amount: int
) -> list[Step]:
    steps: list[Step] = []
    try:
        await terminal.connect(address)
    except OSError as error:
        raise UnreachableError(f"nobody answers at {address}: {error.strerror}") from None

    async def ask(
        what: str, mti: str, question: Callable[[], Coroutine[Any, Any, Heard]], more: str = ""
    ) -> Heard | None:
        heard = None
        with contextlib.suppress(SilentError):
            heard = await question()
        coded = heard is not None and (heard.message.has("mac") or not heard.proved)
        proved = heard.proved if heard is not None and coded else None
        code = heard.code if heard is not None else ""
        stan = f"{terminal.stan:06d}"
        steps.append(Step(what=what, mti=mti, stan=stan, code=code, proved=proved, more=more))
        return heard

    card = Card(card_number(prefix, int(digits), Random().randint(1, 99_999)))
    said = f"{amount / 100:.2f} with {mask(card.number)}"
    try:
        signed = await ask("sign-on", "0800", terminal.sign_on)
        if signed is not None and signed.code == "00":
            values = terminal.sale("22", "000000", "00", card, amount)
            bought = await ask("purchase", "0200", lambda: terminal.transact("0200", values), said)
            if bought is not None and bought.approved:
                back = terminal.reversal_of(values)
                await ask("reversal", "0400", lambda: terminal.ask("0400", back), said)
            await ask("sign-off", "0820", terminal.sign_off)
    finally:
        terminal.close()
    return steps
