"""`tapswitch tail`: transactions as they come to their end, masked."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from switch.apps.stream import Tally

__all__ = ["command"]

SCHEMA: Final = "tapswitch.tail/1"
UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Span(click.ParamType[int]):
    """A length of time: ``30s``, ``10m``, ``2h``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhd])", value)
        if not found:
            self.fail(f"{value!r} is no length of time, such as 30s or 10m", param, ctx)
        return int(found[1]) * UNITS_S[found[2]]


class Share(click.ParamType[tuple[int, int]]):
    """``1/10``: one in ten."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value)
        if not found or not 0 < int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is no share, such as 1/10", param, ctx)
        return int(found[1]), int(found[2])


class Rate(click.ParamType[int]):
    """``50/s``, or ``50``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6})(?:/s)?", value)
        if not found or not int(found[1]):
            self.fail(f"{value!r} is no rate, such as 50/s", param, ctx)
        return int(found[1])


@click.command("tail")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Configuration directory: names the journal and its keys.",
)
@click.option("--where", "where", default="", metavar="EXPR", help="Show only these; see below.")
@click.option("--sample", type=Share(), default="1/1", help="Show a share of them, such as 1/10.")
@click.option("--rate-max", type=Rate(), default=None, help="Show at most so many, such as 50/s.")
@click.option(
    "--for", "span", type=Span(), default="10m", show_default=True, help="Stop by itself then."
)
@click.option("--from-start", is_flag=True, help="Begin with the oldest record that there is.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def command(
    config: Path,
    where: str,
    sample: tuple[int, int],
    rate_max: int | None,
    span: int,
    from_start: bool,
    output: str,
) -> int:
    """Follow transactions as they come to their end, in the journal: no worker is disturbed.

    EXPR compares fields with == != < > <= >= in, joined by and, or, not and parentheses:

    \b
      issuer == BANK01 and code != 00
      end in (TW, IW) or bank_ms > 500
      token and not (amount_minor < 1000)

    Fields: id kind acquirer issuer code bank_code end outcome cause reason amount_minor currency
    terminal_id merchant_id mcc entry_mode stan rrn route_digits config token bank_ms ours_us.

    What is kept back (filter, sample, rate) is counted on stderr. json: one object a line.
    """
    from switch.apps.stream import Stream
    from switch.cli.journal import readers
    from switch.journal.where import WhereError, compile_where

    try:
        predicate = compile_where(where) if where else None
    except WhereError as error:
        raise click.UsageError(f"--where: {error.shown()}") from None
    stream = Stream(
        [reader for _, reader in readers(config, config, None, None)],
        _json if output == "json" else _text,
        where=predicate,
        sample=sample,
        rate_max=rate_max or 0,
        from_start=from_start,
    )
    kept_back = 0

    def every_second(tally: "Tally") -> None:
        nonlocal kept_back
        sys.stdout.flush()
        now = tally.rate_dropped + tally.missed_records
        if now > kept_back:
            kept_back = now
            click.echo(f"… {tally.line()}", err=True)

    try:
        stream.run(span, every_second)
        click.echo(f"stopped after {span} s (--for): {stream.tally.line()}", err=True)
    except KeyboardInterrupt:
        click.echo(f"stopped: {stream.tally.line()}", err=True)
        raise
    return 0


def _json(outcome: Mapping[str, Any]) -> None:
    row = {"schema": SCHEMA, **outcome}
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _text(row: Mapping[str, Any]) -> None:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(row["at_ms"] / 1000, tz=UTC).strftime("%H:%M:%S.%f")[:-3]
    way = f"{row['acquirer']}→{row['issuer'] or '–'}"
    amount = "" if row["amount_minor"] is None else f"{row['amount_minor']} {row['currency']}"
    times = []
    if row["bank_ms"] is not None:
        times.append(f"bank {row['bank_ms']:.1f} ms")
    if row["ours_us"] is not None:
        times.append(f"ours {row['ours_us'] / 1000:.2f} ms")
    parts = [
        at,
        f"{row['id']:12}",
        f"{row['kind']:13}",
        f"{way:15}",
        f"{amount:>12}",
        f"{row['card']:19}",
        f"{row['terminal_id']:8}",
        f"{row['code']:2} {row['end']:2}",
        row["outcome"],
        row["reason"] or row["cause"],
        "tap" if row["token"] else "",
        "  ".join(times),
    ]
    sys.stdout.write("  ".join(part for part in parts if part.strip()) + "\n")
