"""Conservation of a ladder's step: what the generator was told, what the journal says, what the
native bank holds, in the words of the simulators' ledgers (`switch.apps.conservation`)."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from switch.apps.conservation import Report, compare
from switch.apps.tail import Tail
from switch.native import journal, load
from switch.sim.ledger import Booking, Did, Effect, Sale, Saw

__all__ = ["Ledgers", "bookings", "sales"]

REST_S: Final = 20.0
"""How long the switch may take to come to rest after a step."""
REVERSE_MS: Final = 20_000
PART_MAX: Final = 200_000
"""More requests are compared in parts, by reference number: each takes about a kilobyte meanwhile.
"""
AMOUNT: Final = 200
"""Of every request of the generator, in minor units."""
STAN_MAX: Final = 999_999
TERMINALS: Final = 1_000
EFFECTS: Final = {
    "released": Effect.RELEASED,
    "nothing": Effect.NOTHING,
    "again": Effect.AGAIN,
    "tombstone": Effect.TOMBSTONE,
}


class Ledgers:
    """The three, step after step."""

    def __init__(self, bank: load.Bank, reader: "journal.Reader", issuer: str) -> None:
        self._bank = bank
        self._reader = reader
        self._issuer = issuer
        self._tail = Tail(lambda after: reader.records(after=after))
        self._last = 0

    def compare(
        self, generator: load.Generator, outcome: "load.Outcome", acquirer_code: str
    ) -> Report | str:
        """Undoes what the generator does not know, waits for rest, compares what came since the
        last call. Words instead of a report when it did not come to rest."""
        recording = outcome["recording"]
        unknown = recording.unknown()
        reversed_: list[tuple[int, str]] = []
        if unknown:
            generator.reconnect()
            reversed_ = generator.reverse(unknown, outcome["date_s"], REVERSE_MS)
        problem = self._rest()
        lines = self._bank.bookings()
        after, self._last = self._last, self._tail.last
        if problem:
            return problem
        told = recording.told()
        parts = 1 + len(told) // PART_MAX

        def compared(part: Part) -> Report:
            return compare(
                lambda: sales(told, outcome, reversed_, acquirer_code, part),
                lambda: records(self._reader, after, part),
                {self._issuer: lambda: bookings(lines, part)},
            )

        return joined(compared((number, parts)) for number in range(parts))

    def skip(self) -> str:
        """Waits for rest; what came since the last call is compared by nobody. Words when it did
        not come to rest."""
        problem = self._rest()
        self._bank.bookings()
        self._last = self._tail.last
        return problem

    def together(self, several: "Sequence[Lived]") -> str:
        """As `compare`, for terminals of several acquirers at once; "agree", or what does not."""
        undone = [_undone(*one) for one in several]
        problem = self._rest()
        lines = self._bank.bookings()
        after, self._last = self._last, self._tail.last
        if problem:
            return problem
        told = [outcome["recording"].told() for _, outcome, _, _ in several]

        def all_sales() -> Iterator[Sale]:
            for one, lived, codes in zip(told, several, undone, strict=True):
                yield from sales(one, lived[1], codes, lived[2])

        report = compare(
            all_sales,
            lambda: records(self._reader, after, (0, 1)),
            {self._issuer: lambda: bookings(lines)},
        )
        if report.ok:
            return f"agree ({report.approvals_acquirer:,} approvals in three ledgers)"
        first = report.findings[0]
        return f"{report.findings_total} findings, the first: {first.rule}: {first.text}"

    def held(self, several: "Sequence[Lived]") -> str:
        """The same for more than can be joined record by record: approvals that terminals hold
        against what the bank holds."""
        undone = [dict(_undone(*one)) for one in several]
        problem = self._rest()
        lines = self._bank.bookings()
        self._last = self._tail.last
        if problem:
            return problem
        approvals: set[tuple[str, str]] = set()
        for (_, outcome, code, _), codes in zip(several, undone, strict=True):
            first = outcome["first_serial"]
            for serial, (how, answer) in enumerate(outcome["recording"].told(), first):
                if how == "answered" and answer == "00" and serial not in codes:
                    approvals.add((code, f"{serial:012d}"))
        holds: dict[tuple[str, str], tuple[str, str]] = {}
        for saw, number, at, rrn, _, acquirer, _, _, money in lines:
            if saw == "request" and money:
                holds[number, at] = (acquirer.lstrip("0"), rrn)
            elif saw == "released":
                holds.pop((number, at), None)
        held = set(holds.values())
        if approvals == held:
            return f"agree ({len(held):,} approvals at terminals and bank)"
        phantoms, orphans = len(approvals - held), len(held - approvals)
        return f"{phantoms} approvals without a hold, {orphans} holds without an approval"

    def _rest(self) -> str:
        """Waits until the journal has nothing open; what is, in words, when it does not end."""
        deadline = time.monotonic() + REST_S
        while True:
            self._tail.poll()
            if not (self._tail.in_flight or self._tail.owed):
                return ""
            if time.monotonic() > deadline:
                return (
                    f"not at rest after {REST_S:.0f} s: {self._tail.in_flight} requests in flight, "
                    f"{self._tail.owed} reversals owed"
                )
            time.sleep(0.05)


Lived = tuple[load.Generator, "load.Outcome", str, "Sequence[tuple[int, str]]"]
"""A generator, a window of it, field 32 of its messages, and what it reversed meanwhile."""


def _undone(
    generator: load.Generator,
    outcome: "load.Outcome",
    _code: str,
    already: Sequence[tuple[int, str]],
) -> list[tuple[int, str]]:
    """Undoes what its terminals do not know; all that was undone."""
    unknown = outcome["recording"].unknown()
    if not unknown:
        return list(already)
    generator.reconnect()
    return [*already, *generator.reverse(unknown, outcome["date_s"], REVERSE_MS)]


Part = tuple[int, int]
"""Number of a part from 0, and how many there are."""
Told = Sequence[tuple[str, str]]
Line = tuple[str, str, str, str, str, str, int, str, int]


def sales(
    told: Told,
    outcome: "load.Outcome",
    reversed_: Iterable[tuple[int, str]],
    acquirer_code: str,
    part: Part = (0, 1),
) -> Iterator[Sale]:
    """What the generator's terminals lived through."""
    codes = dict(reversed_)
    first, date_s = outcome["first_serial"], outcome["date_s"]
    at = time.strftime("%m%d%H%M%S", time.gmtime(date_s))
    at_ms = date_s * 1_000
    for serial, (how, code) in enumerate(told, first):
        if serial % part[1] != part[0]:
            continue
        name = (acquirer_code, terminal(serial), stan(serial), at)
        yield Sale(
            Did.INVOKE, at_ms, *name, mti="0200", rrn=f"{serial:012d}", amount=AMOUNT
        )  # fmt: skip
        if how == "not_sent":
            yield Sale(Did.UNSENT, at_ms, *name)
        elif how == "answered":
            yield Sale(Did.OK if code == "00" else Did.FAIL, at_ms, *name, code=code)
            if serial in codes:
                yield Sale(Did.REVERSE, at_ms, *name, mti="0420")
                yield Sale(Did.REVERSED, at_ms, *name, code=codes[serial])
        else:
            yield Sale(Did.INFO, at_ms, *name, why=how)
            yield Sale(Did.REVERSE, at_ms, *name, mti="0420")
            if serial in codes:
                yield Sale(Did.REVERSED, at_ms, *name, code=codes[serial])


def stan(serial: int) -> str:
    """Field 11 of a serial number, as native/src/load/maker.rs has it."""
    return f"{1 + serial % STAN_MAX:06d}"


def terminal(serial: int) -> str:
    """Field 41."""
    return f"B{serial // STAN_MAX * TERMINALS + serial % TERMINALS:07d}"


def records(reader: "journal.Reader", after: int, part: Part) -> Iterator[dict[str, Any]]:
    """The journal's, requests of other parts left out; what follows from those is ignored then."""
    for record in reader.records(after=after):
        rrn = record.get("rrn") if record["kind"] == "ACCEPTED" else None
        if part[1] == 1 or rrn is None or int(rrn) % part[1] == part[0]:
            yield record


def bookings(lines: Iterable[Line], part: Part = (0, 1)) -> Iterator[Booking]:
    """The native bank's lines. A reversal goes with its original, or to the first part."""
    number, parts = part
    parts_of: dict[tuple[str, str], int] = {}
    for saw, stan_text, at, rrn, term, acquirer, amount, code, money in lines:
        request = saw in ("request", "copy")
        if parts > 1:
            name = (stan_text, at)
            if request:
                parts_of[name] = int(rrn) % parts
            if parts_of.get(name, 0) != number:
                continue
        if request:
            yield Booking(
                Saw(saw), 0, stan_text, at, rrn=rrn, acquirer=acquirer, terminal=term,
                amount=amount, code=code, held=money,
            )  # fmt: skip
        else:
            effect = EFFECTS[saw]
            yield Booking(Saw.REVERSAL, 0, stan_text, at, released=money, effect=effect)


def joined(reports: Iterable[Report]) -> Report:
    """Parts put together: counts are sums."""
    several = list(reports)
    sums: dict[str, Any] = {
        name: sum(getattr(one, name) for one in several)
        for name in Report.__struct_fields__
        if name not in ("ok", "findings")
    }
    found = [finding for one in several for finding in one.findings]
    return Report(ok=all(one.ok for one in several), findings=found, **sums)


def summary(reports: Iterable[Report | str]) -> dict[str, Any]:
    """All steps together."""
    several = list(reports)
    compared = [one for one in several if isinstance(one, Report)]
    problems = [one for one in several if isinstance(one, str)]
    findings: list[Mapping[str, Any]] = [
        {"rule": finding.rule, "text": finding.text} for one in compared for finding in one.findings
    ]
    return {
        "ok": not problems and all(one.ok for one in compared) and bool(compared),
        "approvals_acquirer": sum(one.approvals_acquirer for one in compared),
        "approvals_journal": sum(one.approvals_journal for one in compared),
        "holds_issuer": sum(one.holds_issuer for one in compared),
        "reversed": sum(one.reversed for one in compared),
        "findings_total": sum(one.findings_total for one in compared),
        "findings": findings,
        "problems": problems,
    }
