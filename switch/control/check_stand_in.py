"""What `tapswitch check` says of stand-in: rules that allow more, or less, than whoever wrote them
means. A rule without limits cannot be written at all: the schema asks for them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from switch.errors import DialectError, UsageError
from switch.settings.check import Finding
from switch.settings.schema import Issuer, Settings, StandIn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from switch.wire import Dialect

__all__ = ["check_stand_in"]

_CONDITIONS: Final = ("prefixes", "mccs", "processing_codes", "entry_modes")


def check_stand_in(settings: Settings, compiled: "Mapping[str, Dialect]") -> Iterator[Finding]:
    """Findings of all tables `issuers.stand_in`."""
    for i, bank in enumerate(settings.issuers):
        if bank.stand_in:
            yield from _leg(settings, bank, f"issuers.{i}", compiled.get(bank.dialect))
        seen: dict[str, int] = {}
        for n, rule in enumerate(bank.stand_in):
            key = f"issuers.{i}.stand_in.{n}"
            if rule.name in seen:
                yield _error(
                    f"{key}.name", f'the name "{rule.name}" is taken by rule {seen[rule.name]}'
                )
            seen.setdefault(rule.name, n + 1)
            yield from _limits(key, rule)
            yield from _cards(settings, key, rule)
            yield from _prefixes(settings, bank, key, rule)
            yield from _shadowed(key, rule, bank.stand_in[:n])


def _error(key: str, problem: str, help_: str = "") -> Finding:
    return Finding("error", "stand_in", key, problem, help_)


def _warning(key: str, problem: str, help_: str = "") -> Finding:
    return Finding("warning", "stand_in", key, problem, help_)


def _leg(
    settings: Settings, bank: Issuer, key: str, dialect: "Dialect | None"
) -> Iterator[Finding]:
    """Each approval owes the bank an advice: its dialect must be able to say so."""
    if dialect is None:
        return
    try:
        dialect.leg("advice")
    except (DialectError, UsageError):
        yield _error(
            f"{key}.dialect",
            f'{bank.id} has stand-in, and dialect "{bank.dialect}" has no leg "advice"',
            f"add [legs.advice] to {settings.dialects[bank.dialect]}",
        )


def _limits(key: str, rule: StandIn) -> Iterator[Finding]:
    if rule.sum_minor_max < rule.amount_minor_max:
        yield _error(
            f"{key}.sum_minor_max",
            f"a card's day ({rule.sum_minor_max}) is less than one approval may be "
            f"({rule.amount_minor_max})",
            "lower amount_minor_max or raise sum_minor_max",
        )
    elif rule.sum_minor_max > rule.amount_minor_max * rule.count_max:
        most = rule.amount_minor_max * rule.count_max
        yield _warning(
            f"{key}.sum_minor_max",
            f"never reached: {rule.count_max} approvals of {rule.amount_minor_max} make {most}",
            f"sum_minor_max = {most}",
        )
    if not rule.bank_sum_minor_max:
        yield _warning(
            f"{key}.bank_sum_minor_max",
            "no limit to what is approved in the bank's name in one day, over all its cards",
            f"for example bank_sum_minor_max = {rule.sum_minor_max * 1_000}",
        )
    elif rule.bank_sum_minor_max < rule.sum_minor_max:
        yield _error(
            f"{key}.bank_sum_minor_max",
            f"all cards together ({rule.bank_sum_minor_max}) may have less than one card "
            f"({rule.sum_minor_max})",
        )


def _cards(settings: Settings, key: str, rule: StandIn) -> Iterator[Finding]:
    if "token" in rule.cards and settings.tokens is None:
        yield _error(
            f"{key}.cards",
            "there are no tokens: the settings have no table tokens",
            'add the table, or say cards = ["plain"]',
        )
    if "plain" in rule.cards:
        yield _warning(
            f"{key}.cards",
            "approves card numbers that nobody proved: whoever knows a number can spend it",
            'cards = ["token"]',
        )


def _prefixes(settings: Settings, bank: Issuer, key: str, rule: StandIn) -> Iterator[Finding]:
    """A prefix that no route of the bank leads to never matches."""
    routes = [route.prefix for route in settings.routes if route.issuer == bank.id]
    for n, prefix in enumerate(rule.prefixes):
        if not any(prefix.startswith(one) or one.startswith(prefix) for one in routes):
            yield _warning(f"{key}.prefixes.{n}", f"no route leads cards of {prefix} to {bank.id}")


def _shadowed(key: str, rule: StandIn, earlier: Sequence[StandIn]) -> Iterator[Finding]:
    """A rule before this one takes all that this one would."""
    for other in earlier:
        wider = all(
            not getattr(other, name) or _within(getattr(rule, name), getattr(other, name))
            for name in _CONDITIONS
        )
        same = rule.currency == other.currency
        more = all(
            set(getattr(rule, name)) <= set(getattr(other, name))
            for name in ("when", "cards", "kinds")
        )
        if wider and same and more and rule.amount_minor_max <= other.amount_minor_max:
            yield _warning(
                f"{key}.name",
                f'never used: rule "{other.name}" before it takes all that it would',
                "put the narrower rule first",
            )
            return


def _within(narrow: Sequence[str], wide: Sequence[str]) -> bool:
    return bool(narrow) and all(any(one.startswith(w) for w in wide) for one in narrow)
