"""`tapswitch trace`: the whole life of one transaction, from the journal alone."""

import json
import re
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from switch.journal.trace import Event, Life

__all__ = ["command"]

SCHEMA: Final = "tapswitch.trace/1"
ARROWS: Final = {True: ">", False: "<", None: " "}


class Day(click.ParamType[tuple[int, int]]):
    """A day in UTC; from its first millisecond to the first of the next."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day, such as 2026-11-23", param, ctx)
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return int(begin.timestamp()) * 1000, int((begin + timedelta(1)).timestamp()) * 1000


@click.command("trace")
@click.argument("wanted", metavar="ID|RRN|STAN")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Configuration directory: names the journal and its keys.",
)
@click.option(
    "--journal",
    "place",
    type=click.Path(path_type=Path, exists=True),
    help="Another journal or data directory, under the same keys.",
)
@click.option("--date", "day", type=Day(), default=None, help="Only this day (UTC).")
@click.option("--acquirer", default="", help="Only this acquirer's.")
@click.option("--terminal", default="", help="Only this terminal's.")
@click.option("--all", "all_", is_flag=True, help="Trace all that match, newest first.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def command(
    wanted: str,
    config: Path,
    place: Path | None,
    day: tuple[int, int] | None,
    acquirer: str,
    terminal: str,
    all_: bool,
    limit: int,
    output: str,
) -> int:
    """Print the whole life of a transaction: both legs, stages with times, route, reversal, end.

    Named by its id (1-0-42), its RRN (12 characters), or a STAN: of the acquirer, of the bank's leg
    or of the reversal. Reads the journal, newest first; the worker may run or not, and is not
    disturbed. Exit code 1: there is none.
    """
    from switch.cli.journal import readers
    from switch.journal.trace import tell

    query = _query(wanted)
    began = time.monotonic()
    lives: list[Life] = []
    searched, more = 0, False
    from_ms, until_ms = day or (0, 0)
    for _, reader in readers(place or config, config, None, None):
        found = reader.search(
            **query,
            acquirer=acquirer,
            terminal=terminal,
            from_ms=from_ms,
            until_ms=until_ms,
            limit=limit,
        )
        searched += found["searched"]
        more |= found["more"]
        lives += [tell(found["records"], txn) for txn in found["txns"]]
    lives.sort(key=lambda life: -life.at_ms)
    seconds = time.monotonic() - began
    click.echo(f"searched {searched} records in {seconds:.2f} s", err=True)
    if output == "json":
        _json(lives, more, searched)
    elif len(lives) > 1 and not all_:
        _list(lives, more)
    else:
        click.echo("\n\n".join("\n".join(_text(life)) for life in lives), nl=bool(lives))
    if not lives:
        click.echo(f"no transaction {wanted!r} is in the journal", err=True)
    return 0 if lives else 1


def _query(wanted: str) -> dict[str, Any]:
    from switch.journal.query import parse_id

    if "-" in wanted:
        txn = parse_id(wanted)
        if txn is None:
            raise click.BadParameter(
                f"{wanted!r} is no transaction id, such as 1-0-42", param_hint="ID|RRN|STAN"
            )
        return {"txn": txn}
    if re.fullmatch(r"[0-9]{1,6}", wanted):
        return {"stan": int(wanted)}
    if len(wanted) == 12 and wanted.isascii() and wanted.isalnum():
        return {"rrn": wanted}
    if wanted.isdigit():
        raise click.BadParameter(
            "an id is written 1-0-42; if that was a card number: it must not stand on a command"
            " line, `tapswitch journal query --card` asks for it",
            param_hint="ID|RRN|STAN",
        )
    raise click.BadParameter(
        "an id (1-0-42), an RRN (12 characters) or a STAN (up to 6 digits)",
        param_hint="ID|RRN|STAN",
    )


def _json(lives: "list[Life]", more: bool, searched: int) -> None:
    import msgspec

    said = {
        "schema": SCHEMA,
        "searched": searched,
        "more": more,
        "transactions": [msgspec.to_builtins(life) for life in lives],
    }
    click.echo(json.dumps(said, ensure_ascii=False, indent=2))


def _list(lives: "list[Life]", more: bool) -> None:
    from switch.cli.journal import shown_time
    from switch.cli.table import table

    head = ("id", "time", "acquirer", "issuer", "card", "amount", "stan", "rrn", "bank's stan")
    rows = [(*head, "code", "end")]
    rows += [
        (
            life.id,
            shown_time(life.at_ms),
            life.acquirer,
            life.issuer,
            life.card,
            _money(life),
            life.stan,
            life.rrn,
            f"{life.out_stan:06d}" if life.out_stan else "",
            life.code,
            life.end,
        )
        for life in lives
    ]
    for line in table(rows):
        click.echo(line)
    click.echo(
        f"{len(lives)}{' or more' if more else ''} transactions match: name one by its id, narrow"
        " with --date, --acquirer or --terminal, or trace them all with --all",
        err=True,
    )


def _money(life: "Life") -> str:
    from switch.errors import UsageError
    from switch.model.money import Money

    try:
        return str(Money(life.amount_minor, life.currency))
    except UsageError:
        return str(life.amount_minor)


def _text(life: "Life") -> list[str]:
    from switch.cli.journal import shown_time

    way = f"{life.acquirer} → {life.issuer}" if life.issuer else life.acquirer
    head = [f"transaction {life.id}", life.kind, _money(life), way, life.card]
    facts = [shown_time(life.at_ms)]
    facts += [f"business date {life.business_date}"] if life.business_date else []
    facts += [f"configuration {life.config}"] if life.config else []
    facts += [f"answered under {life.config_answered}"] if life.config_answered else []
    facts += [f"merchant {life.merchant_id}"] if life.merchant_id else []
    facts += [f"MCC {life.mcc}"] if life.mcc else []
    lines = ["  ".join(part for part in head if part), f"  {'  '.join(facts)}"]
    width = max((len(event.member) for event in life.events), default=0)
    begun = next((event.at_ms for event in life.events if event.at_ms), life.at_ms)
    lines += [_line(event, width, begun) for event in life.events]
    lines.append("  ".join(part for part in _ending(life) if part))
    lines += [f"  gap: {gap}" for gap in life.gaps]
    lines += [f"  note: {note}" for note in life.notes]
    return lines


def _line(event: "Event", width: int, begun_ms: int) -> str:
    """Times in ms from the first byte; what has only a record's time is told in seconds after the
    first record, marked with ~."""
    if event.at_us is not None:
        at = f"{event.at_us / 1000:.3f} ms"
    elif event.at_ms and event.at_ms - begun_ms >= 0 and event.lsn:
        at = f"~{(event.at_ms - begun_ms) / 1000:.3f} s"
    else:
        at = "–"
    return f"  {at:>13}  {event.member:{width}} {ARROWS[event.incoming]} {event.text}".rstrip()


def _ending(life: "Life") -> list[str]:
    end = f"end {life.end}  {life.end_title}" if life.end else "no end yet"
    parts = [f"  {end}", life.outcome, f"code {life.code}" if life.code else ""]
    if life.bank_code and life.bank_code != life.code:
        parts.append(f"the bank's code {life.bank_code}")
    if life.verdict:
        parts.append(life.verdict)
    if life.ours_us is not None:
        parts.append(f"ours {life.ours_us / 1000:.3f} ms")
    if life.bank_us is not None:
        parts.append(f"bank {life.bank_us / 1000:.3f} ms")
    if life.reversal is not None:
        parts.append(f"reversal {life.reversal.state}")
    if life.advice is not None:
        parts.append(f"advice {life.advice.state}")
    if life.lsns:
        parts.append("records " + ", ".join(str(lsn) for lsn in life.lsns))
    return parts
