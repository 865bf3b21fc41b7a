"""Devices with tokens: genuine taps, copies that reuse a counter, and forgeries.

The index behind them is a real one, made once per process from rows of a vault; what is in it does
not change while worlds run.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from switch.crypto.masters import DEMO_INDEX, create_demo_masters, open_masters
from switch.model.pan import luhn_digit
from switch.model.time import transmission_time
from switch.model.token import TokenState
from switch.native import index as indexes
from switch.native import journal as journals
from switch.simulation.plan import Plan

__all__ = ["EXPIRY", "TOKEN_PREFIX", "Tap", "Tokens", "Wallet", "barred", "card"]

TOKEN_PREFIX: Final = "629977"
TOKENS: Final = 4
"""For cards of each bank."""
SUSPENDED: Final = TOKENS
"""A further token of each bank's card 0, which is suspended."""
CEILED: Final = TOKENS + 1
"""A further token of its card 1, good up to `CEILING_MINOR`."""
CEILING_MINOR: Final = 500
ODD_ONES: Final = {4: SUSPENDED, 7: CEILED}
"""Of every nine transactions those that are tried with one of these."""
BANKS: Final = 3
EXPIRY: Final = "3112"
REQUESTOR: Final = "12300000001"
PROFILES: Final = ("unionpay-01", "visa-10", "visa-18", "unionpay-01")
VAULT: Final = bytes(range(16))


def card(bank: int, number: int) -> str:
    """Test card `number` of a bank."""
    body = f"6299{bank:02d}{number:09d}"
    return body + luhn_digit(body)


def _token(bank: int, number: int) -> str:
    body = f"{TOKEN_PREFIX}{bank * 1_000 + number:09d}"
    return body + luhn_digit(body)


class _Row(msgspec.Struct, frozen=True):
    """A token as an index takes it."""

    token: str
    pan_sealed: bytes
    card_row: int
    state: int = 2
    token_sequence: int = 1
    token_expiry: str = EXPIRY
    key_version: int = 1
    card_expiry: str = EXPIRY
    card_sequence: int | None = 1
    requestor: str = REQUESTOR
    assurance: str = "1A"
    mapping_version: int = 1
    requestor_bound: bool = False
    channels: int = 0
    mccs: tuple[int, ...] = ()
    ceiling_minor: int | None = None
    ceiling_currency: int = 0
    currencies: tuple[int, ...] = ()
    not_before_s: int = 0
    not_after_s: int = 0


class Tap(msgspec.Struct):
    """One tap of one device."""

    token: str
    expiry: str
    sequence: int
    field: bytes
    counter: int
    forged: bool


class Tokens:
    """The index of a process and the keys of its cards."""

    def __init__(self, directory: Path, keys: journals.Keys) -> None:
        self.index_dir = directory / "index"
        self.index_dir.mkdir(mode=0o700)
        self.masters_file = directory / "card-masters.keys"
        create_demo_masters(str(self.masters_file), keys, [TOKEN_PREFIX], 1)
        self.masters = open_masters(str(self.masters_file), keys)
        self.cards: dict[str, str] = {}
        rows = []
        vault = indexes.VaultKeys(keys)
        for bank in range(BANKS):
            for number in range(TOKENS):
                token, pan = _token(bank, number), card(bank, number)
                place = bank * 1_000 + number + 1
                rows.append(_Row(token, vault.seal(pan, place, 1), place))
                self.cards[token] = pan
            for number, of, limits in (
                (SUSPENDED, 0, {"state": TokenState.SUSPENDED}),
                (CEILED, 1, {"ceiling_minor": CEILING_MINOR, "ceiling_currency": 156}),
            ):
                token, pan = _token(bank, number), card(bank, of)
                place = bank * 1_000 + number + 1
                rows.append(_Row(token, vault.seal(pan, place, 1), place, **limits))
                self.cards[token] = pan
        opened = indexes.Index.open(str(self.index_dir), keys)
        rebuild = opened.rebuild()
        rebuild.add(sorted(rows, key=lambda row: row.token), 1)
        rebuild.finish(1, VAULT)

    def settings(self) -> str:
        """The table of a settings file."""
        # Relative, so that the version of the configuration is the same in every process.
        return (
            f'\n[tokens]\nranges = [{{ prefix = "{TOKEN_PREFIX}", length = 16 }}]\n'
            f'index_dir = "{self.index_dir.name}"\n'
            f'card_masters_file = "{self.masters_file.name}"\n'
            "atc_entries_max = 1024\n"
        )


def barred(token: str, amount: int) -> str:
    """Why nothing of this amount may be approved on a token: ``suspended``, ``ceiling``; or ''."""
    number = int(token[len(TOKEN_PREFIX) : -1]) % 1_000
    if number == SUSPENDED:
        return "suspended"
    return "ceiling" if number == CEILED and amount > CEILING_MINOR else ""


class Wallet:
    """All devices of one world."""

    def __init__(self, tokens: Tokens) -> None:
        self.cards = tokens.cards
        self._masters = tokens.masters
        self._devices: dict[str, Any] = {}
        self._used: dict[str, list[int]] = {}

    def used(self) -> list[tuple[int, int]]:
        """Bank and card of every device that has tapped."""
        places = ((bank, number) for bank in range(BANKS) for number in range(TOKENS))
        return [place for place in places if _token(*place) in self._used]

    def tap(self, script: Any, amount: int, wall_s: int, plan: Plan) -> Tap:
        """A tap as a script wants it: genuine, with a counter that was used, or forged."""
        number = ODD_ONES.get(script.number % 9, script.card % TOKENS)
        token = _token(script.bank % BANKS, number)
        device = self._devices.get(token)
        if device is None:
            profile = PROFILES[number % len(PROFILES)]
            device = self._masters.element(
                profile, DEMO_INDEX, token, 1, EXPIRY, requestor=REQUESTOR, counter=0
            )
            self._devices[token] = device
        forged = "forge" in script.faults
        used = self._used.get(token)
        replayed = None
        if used is not None and "replay_counter" in script.faults:
            # The last one, or the first, which only a checkpoint may still tell of.
            replayed = used[-(script.number % 2)]
        month_day = transmission_time(wall_s)[:4]
        tapped = device.tap(
            amount=amount,
            currency=156,
            country=156,
            date=int("26" + month_day),
            unpredictable=(plan.seed * 7_919 + script.number).to_bytes(8, "big")[-4:],
            tell="5F34 9F19",
            spoiled=forged,
            counter=replayed,
        )
        if not forged:
            self._used.setdefault(token, []).append(tapped.counter)
        return Tap(token, EXPIRY, 1, tapped.field, tapped.counter, forged)
