"""Devices with tokens: genuine taps, copies that reuse a counter, and forgeries.

The vault and the index behind them are real ones, made once per process by the product's own
orders. In worlds with orders each has a copy of its own, and tokens change while it runs.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from switch.crypto.masters import DEMO_INDEX, create_demo_masters, open_masters
from switch.model.pan import luhn_digit
from switch.model.time import transmission_time
from switch.model.token import Channel, Domain, TokenState
from switch.native import journal as journals
from switch.simulation.plan import Plan
from switch.simulation.vault import INDEX, copy_vault, make_vault
from switch.tokens.orders import CardGiven, Provision

__all__ = [
    "BANKS", "EXPIRY", "ISSUED", "LIMITED", "RESTLESS", "TOKEN_PREFIX", "Limits", "Tap", "Tokens",
    "Wallet", "barred", "card", "first_state", "provision", "token_of",
]  # fmt: skip

TOKEN_PREFIX: Final = "629977"
TOKENS: Final = 4
"""For cards of each bank."""
RESTLESS: Final = (1, 2, 3)
"""Those about which orders are given, in worlds with orders."""
BANKS: Final = 3
EXPIRY: Final = "3112"
REQUESTOR: Final = "12300000001"
PROFILES: Final = ("unionpay-01", "visa-10", "visa-18", "unionpay-01")
CEILING_MINOR: Final = 500
GROCER: Final = "5411"
EATERY: Final = "5812"
PAST_S: Final = 1_577_836_800
"""2020-01-01."""
FUTURE_S: Final = 2_208_988_800
"""2040-01-01."""


class Limits(msgspec.Struct, frozen=True):
    """A token of each bank that is not good for everything."""

    why: str
    card: int
    domain: Domain = Domain()
    state: TokenState = TokenState.ACTIVE
    expiry: str = EXPIRY


LIMITED: Final = {
    4: Limits("suspended", 0, state=TokenState.SUSPENDED),
    5: Limits("ceiling", 1, Domain(ceiling_minor=CEILING_MINOR, ceiling_currency=156)),
    6: Limits("channel", 2, Domain(channels=int(Channel.CONTACTLESS))),
    7: Limits("merchant", 3, Domain(mccs=(int(EATERY),))),
    8: Limits("requestor", 0, Domain(requestor_bound=True)),
    9: Limits("currency", 1, Domain(currencies=(840,))),
    10: Limits("not yet", 2, Domain(not_before_s=FUTURE_S)),
    11: Limits("no longer", 3, Domain(not_after_s=PAST_S)),
    12: Limits("expired", 0, expiry="2601"),
    13: Limits("requested", 1, state=TokenState.REQUESTED),
    14: Limits("deleted", 2, state=TokenState.DELETED),
}
ISSUED: Final = 15
"""The number of a token that there is not, until it is issued."""


def card(bank: int, number: int) -> str:
    """Test card `number` of a bank."""
    body = f"6299{bank:02d}{number:09d}"
    return body + luhn_digit(body)


def token_of(bank: int, number: int) -> str:
    """Token `number` of a bank."""
    body = f"{TOKEN_PREFIX}{bank * 1_000 + number:09d}"
    return body + luhn_digit(body)


def place_of(token: str) -> int:
    """Number of a token among those of its bank."""
    return int(token[len(TOKEN_PREFIX) : -1]) % 1_000


def first_state(number: int) -> TokenState | None:
    """Of a token, before anybody orders anything; None: there is none of that number."""
    if number == ISSUED:
        return None
    return LIMITED[number].state if number in LIMITED else TokenState.ACTIVE


def provision(bank: int, number: int) -> Provision:
    """What makes token `number` of a bank."""
    limits = LIMITED.get(number, Limits("", number % TOKENS))
    return Provision(
        card=CardGiven(pan=card(bank, limits.card), expiry=EXPIRY, sequence=1),
        requestor=REQUESTOR,
        token=token_of(bank, number),
        token_expiry=limits.expiry,
        assurance="1A",
        domain=limits.domain,
        suspended=limits.state is TokenState.SUSPENDED,
    )


class Tap(msgspec.Struct):
    """One tap of one device."""

    token: str
    expiry: str
    sequence: int
    field: bytes
    counter: int
    forged: bool
    entry_mode: str = "071"
    mcc: str = GROCER
    requestor: bool = True
    """It names whom its token was made for."""


class Tokens:
    """The vault and index of a process, and the keys of its cards."""

    def __init__(self, directory: Path, keys: journals.Keys) -> None:
        self.vault_dir = directory / "tokens"
        self.masters_file = directory / "card-masters.keys"
        create_demo_masters(str(self.masters_file), keys, [TOKEN_PREFIX], 1)
        self.masters = open_masters(str(self.masters_file), keys)
        places = [(b, n) for b in range(BANKS) for n in (*range(TOKENS), *LIMITED)]
        wanted = [provision(*place) for place in places]
        self.cards = {one.token: one.card.pan for one in wanted}
        states = {
            token_of(bank, number): limits.state
            for bank in range(BANKS)
            for number, limits in LIMITED.items()
        }
        make_vault(self.vault_dir, TOKEN_PREFIX, keys, wanted, states)
        self._directory = directory
        self._made = 0

    def copy(self) -> Path:
        """A vault and an index of one world's own; by a name that is the same for every world."""
        self._made += 1
        place = self._directory / f"world-{self._made}"
        copy_vault(self.vault_dir, place)
        self._name(place)
        return place

    def _name(self, place: Path) -> None:
        link = self._directory / "world"
        link.unlink(missing_ok=True)
        link.symlink_to(place.name)

    def settings(self, plan: Plan) -> str:
        """The table of a settings file."""
        # Relative, so that the version of the configuration is the same in every process.
        where = "world" if plan.orders else self.vault_dir.name
        return (
            f'\n[tokens]\nranges = [{{ prefix = "{TOKEN_PREFIX}", length = 16 }}]\n'
            f'index_dir = "{where}/{INDEX}"\n'
            f'card_masters_file = "{self.masters_file.name}"\n'
            "atc_entries_max = 1024\n"
        )


def barred(tapped: Tap, amount: int) -> str:
    """What in its token's domain forbids a tap, or ''. States are another matter."""
    limits = LIMITED.get(place_of(tapped.token))
    if limits is None or limits.why in {"suspended", "requested", "deleted"}:
        return ""
    good = {
        "ceiling": amount <= CEILING_MINOR,
        "channel": tapped.entry_mode == "071",
        "merchant": tapped.mcc == EATERY,
        "requestor": tapped.requestor,
    }
    return "" if good.get(limits.why, False) else limits.why


class Wallet:
    """All devices of one world."""

    def __init__(self, tokens: Tokens) -> None:
        self.cards = tokens.cards
        self._masters = tokens.masters
        self._devices: dict[str, Any] = {}
        self._used: dict[str, list[int]] = {}

    def used(self) -> list[tuple[int, int]]:
        """Bank and card of every plain device that has tapped."""
        places = ((bank, number) for bank in range(BANKS) for number in range(TOKENS))
        return [place for place in places if token_of(*place) in self._used]

    def number_of(self, script: Any, plan: Plan) -> int:
        """Of the token that a transaction is tried with: every third time one that is limited."""
        if script.number % 3:
            return int(script.card % TOKENS)
        odd = (script.number // 3) % (len(LIMITED) + 1) + TOKENS
        return int(script.card % TOKENS) if odd == ISSUED and not plan.orders else odd

    def tap(self, script: Any, amount: int, wall_s: int, plan: Plan) -> Tap:
        """A tap as a script wants it: genuine, with a counter that was used, or forged."""
        number = script.token if script.token >= 0 else self.number_of(script, plan)
        token = token_of(script.bank % BANKS, number)
        expiry = LIMITED[number].expiry if number in LIMITED else EXPIRY
        device = self._devices.get(token)
        if device is None:
            profile = PROFILES[number % len(PROFILES)]
            device = self._masters.element(
                profile, DEMO_INDEX, token, 1, expiry, requestor=REQUESTOR, counter=0
            )
            self._devices[token] = device
        forged = "forge" in script.faults
        used = self._used.get(token)
        replayed = None
        if used is not None and "replay_counter" in script.faults:
            # The last one, or the first, which only a checkpoint may still tell of.
            replayed = used[-(script.number % 2)]
        month_day = transmission_time(wall_s)[:4]
        requestor = (script.number // 36) % 2 == 0
        tapped = device.tap(
            amount=amount,
            currency=156,
            country=156,
            date=int("26" + month_day),
            unpredictable=(plan.seed * 7_919 + script.number).to_bytes(8, "big")[-4:],
            tell="5F34 9F19" if requestor else "5F34",
            spoiled=forged,
            counter=replayed,
        )
        if not forged:
            self._used.setdefault(token, []).append(tapped.counter)
        return Tap(
            token,
            expiry,
            1,
            tapped.field,
            tapped.counter,
            forged,
            ("071", "051")[(script.number // 36) % 2],
            (GROCER, EATERY)[(script.number // 36) % 2],
            requestor,
        )
