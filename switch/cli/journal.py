"""`tapswitch journal`: verify, search and show the journal. Card numbers come out masked."""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from switch.journal.query import Row
    from switch.journal.reader import Keys, Reader

__all__ = ["Since", "command", "readers", "shown_time"]

UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Since(click.ParamType[int]):
    """A time (ISO 8601, UTC without a zone) or how long ago (``15m``, ``2h``, ``1d``)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from switch.runtime.clock import wall_ms

        if isinstance(value, int):
            return value
        if ago := re.fullmatch(r"(\d{1,9})([smhd])", value):
            return wall_ms() - int(ago[1]) * UNITS_MS[ago[2]]
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'{value!r} is no time: "2026-11-23T10:00" or "15m"', param, ctx)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _common(function: Any) -> Any:
    """Argument and options of every command here."""
    options = (
        click.argument("place", type=click.Path(path_type=Path, exists=True), metavar="DIR"),
        click.option(
            "--config",
            type=click.Path(path_type=Path, exists=True),
            help="Configuration that names the keys (default: DIR, when it is one).",
        ),
        click.option("--keys", type=click.Path(), help="Sealed key file."),
        click.option("--sealing-key-file", help='Sealing key: a file of mode 0600, or "fd:N".'),
        click.option("-o", "output", type=click.Choice(["text", "json"]), default="text"),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group("journal")
def command() -> None:
    """Verify, search and show the journal.

    DIR is a journal, a data directory, or a configuration directory; a running worker is not
    disturbed.
    """


@command.command("verify")
@_common
def verify(
    place: Path, config: Path | None, keys: str | None, sealing_key_file: str | None, output: str
) -> int:
    """Check structure (checksums, chain, sequence) and the rules of the walk over all records.

    Exit code 0: sound; 1: findings.
    """
    findings: list[dict[str, Any]] = []
    summaries = []
    for directory, reader in readers(place, config, keys, sealing_key_file):
        found = [{"journal": str(directory)} | finding for finding in reader.verify()]
        if not any(finding["rule"] == "structure" for finding in found):
            summaries.append({"journal": str(directory)} | reader.summary())
        findings += found
    if output == "json":
        click.echo(
            json.dumps({"ok": not findings, "journals": summaries, "findings": findings}, indent=2)
        )
        return 1 if findings else 0
    for finding in findings:
        click.echo(_finding(finding))
    for summary in summaries:
        click.echo(
            f"{summary['journal']}: {summary['last_lsn']} records written,"
            f" {summary['segments']} segments"
        )
        if torn := summary["torn"]:
            click.echo(
                f"  {torn['bytes']} bytes of an unfinished group at offset {torn['offset']} of"
                f" {torn['file']}: never acknowledged, cut at the next start"
            )
    click.echo(f"{len(findings)} findings")
    return 1 if findings else 0


@command.command("query")
@_common
@click.option("--rrn", default="", help="Retrieval reference number (field 37).")
@click.option("--stan", default="", help="The acquirer's STAN (field 11).")
@click.option("--terminal", default="", help="Terminal (field 41).")
@click.option("--config-hash", default="", help="Decided under this configuration (or a prefix).")
@click.option("--since", type=Since(), default=0, help='"2026-11-23T10:00" or "15m".')
@click.option("--end", default="", help="End code, such as TW.")
@click.option("--reason", default="", help="Why a tap was refused, such as atc_seen.")
@click.option("--taps/--no-taps", default=None, help="Only taps, or only plain cards.")
@click.option(
    "--card",
    is_flag=True,
    help="Of one card or token: its number is asked for at a prompt (or read from standard input).",
)
def query(
    place: Path,
    config: Path | None,
    keys: str | None,
    sealing_key_file: str | None,
    output: str,
    rrn: str,
    stan: str,
    terminal: str,
    config_hash: str,
    since: int,
    end: str,
    reason: str,
    taps: bool | None,
    card: bool,
) -> int:
    """List transactions and what became of them. Exit code 1: none."""
    from switch.journal.query import Query, rows

    wanted = Query(
        rrn=rrn,
        stan=stan,
        terminal=terminal,
        config=config_hash.lower(),
        since_ms=since,
        end=end.upper(),
        reason=reason,
        tap=taps,
        card=_card(_opened(place, config, keys, sealing_key_file)[0]) if card else "",
    )
    found: list[Row] = []
    for _, reader in readers(place, config, keys, sealing_key_file):
        found += rows(reader.records(), wanted)
    if output == "json":
        import msgspec

        click.echo(json.dumps([msgspec.to_builtins(row) for row in found], indent=2))
    else:
        for line in _table(found):
            click.echo(line)
    return 0 if found else 1


@command.command("show")
@_common
@click.argument("wanted", metavar="ID")
def show(
    place: Path,
    config: Path | None,
    keys: str | None,
    sealing_key_file: str | None,
    output: str,
    wanted: str,
) -> int:
    """Show all records of transaction ID (as `query` prints it). Exit code 1: there is none."""
    from switch.journal.query import life, parse_id

    txn = parse_id(wanted)
    if txn is None:
        raise click.BadParameter(
            f"{wanted!r} is no transaction id, such as 1-0-42", param_hint="ID"
        )
    found = [
        record
        for _, reader in readers(place, config, keys, sealing_key_file)
        for record in life(reader.records(), txn)
    ]
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        for record in found:
            click.echo("\n".join(_record(record)))
    return 0 if found else 1


def readers(
    place: Path, config: Path | None, keys: str | None, sealing_key_file: str | None
) -> Iterator[tuple[Path, "Reader"]]:
    """The journals of a place and how to read them; the configuration names the keys."""
    from switch.journal.reader import directories, open_reader

    opened, place = _opened(place, config, keys, sealing_key_file)
    for directory in directories(place):
        yield directory, open_reader(directory, opened)


def _opened(
    place: Path, config: Path | None, keys: str | None, sealing_key_file: str | None
) -> "tuple[Keys, Path]":
    from switch.crypto.keyfile import open_keys
    from switch.settings.load import load

    if config is None and (place.is_file() or (place / "switch.toml").is_file()):
        config = place
    if config is not None:
        settings = load(config)
        keys = keys or settings.keys.file
        sealing_key_file = sealing_key_file or settings.keys.sealing_key_file
        if config == place:
            place = Path(settings.node.data_dir)
    if not keys or not sealing_key_file:
        raise click.UsageError("the journal is encrypted: --config DIR names its keys")
    return open_keys(keys, sealing_key_file), place


def _card(keys: "Keys") -> str:
    """The keyed hash of a number that is typed at a prompt, or read as a line of standard input."""
    if sys.stdin.isatty():
        text = str(click.prompt("card or token number", hide_input=True, err=True))
    else:
        text = sys.stdin.readline()
    number = "".join(character for character in text if character not in " -\r\n\t")
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        raise click.UsageError("that is no card or token number")
    return keys.card_hash(number).hex()


def _finding(finding: dict[str, Any]) -> str:
    where = [f"record {finding['lsn']}"] if finding["lsn"] else []
    if finding["txn"]:
        from switch.journal.query import shown_id

        where.append(f"transaction {shown_id(finding['txn'])}")
    if finding["file"]:
        where.append(f"{finding['file']} at offset {finding['offset']}")
    lines = [f"finding[{finding['rule']}]: {finding['problem']}", f"  --> {', '.join(where)}"]
    if finding["remedy"]:
        lines.append(f"  = remedy: {finding['remedy']}")
    return "\n".join(lines)


def shown_time(at_ms: int) -> str:
    """Unix milliseconds as people read them, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _table(found: "list[Row]") -> list[str]:
    head = ("id", "time", "kind", "acquirer", "issuer", "card", "amount", "terminal", "stan", "rrn")
    tail = ("code", "outcome", "end", "tap", "config", "reversal")
    lines = [(*head, *tail)]
    for row in found:
        money = f"{row.amount_minor} {row.currency}".rstrip()
        left = (row.id, shown_time(row.at_ms), row.kind, row.acquirer, row.issuer, row.pan, money)
        tap = row.reason or (f"ATC {row.atc}" if row.tap else "")
        right = (row.terminal_id, row.stan, row.rrn, row.code, row.outcome, row.end)
        lines.append(
            (*left, *right, tap, row.config, " ".join(filter(None, (row.cause, row.reversal))))
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _record(record: Any) -> list[str]:
    """A record as a block of lines; hashes stay out, they tell a person nothing."""
    hidden = {"lsn", "kind", "carried", "segment", "offset", "key", "body", "card", "original_key"}
    carried = " (carried by a checkpoint)" if record["carried"] else ""
    at = f"  {shown_time(record['at_ms'])}" if "at_ms" in record else ""
    lines = [f"record {record['lsn']}  {record['kind']}{carried}{at}"]
    lines += [
        f"    {name:18} {value}" for name, value in record.items() if name not in hidden | {"at_ms"}
    ]
    return lines
