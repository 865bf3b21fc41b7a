"""`tapswitch token`: issue, show, list, suspend, resume, delete, replace-pan, import, audit.

A card number is read from a prompt, standard input or a descriptor, never from the command line,
where everybody on the machine could see it. It comes out masked.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from switch.tokens.orders import Answer, By, CardGiven, Order, Shown

__all__ = ["command"]

STATES: Final = ("requested", "active", "suspended", "deleted")
MEDIA: Final = ("secure_element", "hce", "qr", "card_on_file")
CHANNELS: Final = ("contactless", "chip", "qr", "ecommerce", "stripe")
PAN_BYTES_MAX: Final = 64
"""What is read of a descriptor; a card number has at most 19 digits."""


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command here."""
    for option in (
        click.option("-o", "output", type=click.Choice(["text", "json"]), default="text"),
        click.option("--actor", default="", help="Who orders it (default: your user name)."),
        click.option("--config", "config", required=True, type=click.Path(exists=True)),
    ):
        function = option(function)
    return function


_reason = click.option("--reason", required=True, help="Why; kept in the audit.")
_pan_fd = click.option(
    "--pan-fd", type=click.IntRange(0, 1 << 20), help="Read the card number from this descriptor."
)


def _card(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that describe a card."""
    for option in (
        click.option("--par", default="", help="Payment account reference, 29 characters."),
        click.option("--card-sequence", type=click.IntRange(0, 99)),
        click.option("--card-expiry", required=True, metavar="YYMM"),
        _pan_fd,
    ):
        function = option(function)
    return function


def _domain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that restrict a token."""
    for option in (
        click.option("--not-after", default="", metavar="DATE", help="End, ISO 8601."),
        click.option("--not-before", default="", metavar="DATE", help="Begin, ISO 8601."),
        click.option("--currency", "currencies", multiple=True, metavar="NNN"),
        click.option("--ceiling-currency", default="", metavar="NNN"),
        click.option("--ceiling-minor", default="", help="Highest amount, in minor units."),
        click.option("--mcc", "mccs", multiple=True, help="Merchant category, 4 digits."),
        click.option("--channel", "channels", multiple=True, type=click.Choice(CHANNELS)),
        click.option("--requestor-bound", is_flag=True, help="Only with its own requestor."),
    ):
        function = option(function)
    return function


@click.group("token")
def command() -> None:
    """Issue tokens, suspend them, change the card behind them.

    Each order is audited with --actor and --reason, also when it is refused (exit code 5). It goes
    to the gateway when the node runs, else to the vault itself. A card number is read from a
    prompt, standard input or --pan-fd.
    """


@command.command("issue")
@click.option("--requestor", required=True, metavar="11 DIGITS", help="Token requestor.")
@click.option("--token-expiry", default="", metavar="YYMM", help="Default: the card's.")
@click.option("--token-sequence", type=click.IntRange(0, 99), default=1, show_default=True)
@click.option("--assurance", default="00", show_default=True, help="Assurance method.")
@click.option("--medium", type=click.Choice(MEDIA), default=MEDIA[0], show_default=True)
@click.option("--suspended", is_flag=True, help="Begin suspended, until resume.")
@_domain
@_card
@_reason
@_options
def issue(config: str, actor: str, reason: str, output: str, **given: Any) -> None:
    """Make a token for a card."""
    from switch.model.token import Medium
    from switch.tokens.domain import domain_of
    from switch.tokens.orders import Issue, Provision

    domain = domain_of(
        {
            "requestor_bound": "yes" if given["requestor_bound"] else "",
            "ceiling_minor": given["ceiling_minor"],
            "ceiling_currency": given["ceiling_currency"],
            "not_before": given["not_before"],
            "not_after": given["not_after"],
        }
        | {key: " ".join(given[key]) for key in ("channels", "mccs", "currencies")}
    )
    provision = Provision(
        card=_card_given(given),
        requestor=given["requestor"],
        token_expiry=given["token_expiry"],
        token_sequence=given["token_sequence"],
        assurance=given["assurance"],
        medium=Medium[given["medium"].upper()],
        domain=domain,
        suspended=given["suspended"],
    )
    _run(config, Issue(by=_by(actor, reason), provision=provision), output)


@command.command("show")
@click.argument("token")
@click.option("--reason", default="", help="Why; kept in the audit.")
@_options
def show(config: str, actor: str, reason: str, output: str, token: str) -> None:
    """Show a token, its card masked, and earlier mappings."""
    from switch.tokens.orders import Show

    _run(config, Show(by=_by(actor, reason), token=token), output)


@command.command("list")
@click.option("--state", type=click.Choice(STATES))
@click.option("--requestor", default="", metavar="11 DIGITS")
@click.option("--by-pan", is_flag=True, help="Only of the card whose number is then read.")
@_pan_fd
@click.option("--after", default="", metavar="TOKEN", help="Begin behind this one.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--reason", default="", help="Why; kept in the audit.")
@_options
def list_(
    config: str, actor: str, reason: str, output: str, state: str | None, **given: Any
) -> None:
    """List tokens in the order of their numbers."""
    from switch.tokens.orders import List

    wanted = given["by_pan"] or given["pan_fd"] is not None
    order = List(
        by=_by(actor, reason),
        state=STATES.index(state) + 1 if state else 0,
        requestor=given["requestor"],
        pan=_read_pan(given["pan_fd"]) if wanted else "",
        after=given["after"],
        limit=given["limit"],
    )
    _run(config, order, output)


@command.command("suspend")
@click.argument("token")
@_reason
@_options
def suspend(config: str, actor: str, reason: str, output: str, token: str) -> None:
    """Make a token unusable until it is resumed; the next tap is declined."""
    from switch.tokens.orders import Suspend

    _run(config, Suspend(by=_by(actor, reason), token=token), output)


@command.command("resume")
@click.argument("token")
@_reason
@_options
def resume(config: str, actor: str, reason: str, output: str, token: str) -> None:
    """Make a suspended token usable again."""
    from switch.tokens.orders import Resume

    _run(config, Resume(by=_by(actor, reason), token=token), output)


@command.command("delete")
@click.argument("token")
@_reason
@_options
def delete(config: str, actor: str, reason: str, output: str, token: str) -> None:
    """Make a token unusable for good."""
    from switch.tokens.orders import Delete

    _run(config, Delete(by=_by(actor, reason), token=token), output)


@command.command("replace-pan")
@click.argument("token")
@_card
@_reason
@_options
def replace_pan(
    config: str, actor: str, reason: str, output: str, token: str, **given: Any
) -> None:
    """Put another card behind a token: a new mapping version."""
    from switch.tokens.orders import ReplacePan

    _run(config, ReplacePan(by=_by(actor, reason), token=token, card=_card_given(given)), output)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Default: by name.")
@click.option("--requestor", default="", metavar="11 DIGITS", help="Where a line names none.")
@click.option("--skip-to", type=click.IntRange(min=1), default=1, help="First line to import.")
@click.option("--out", type=click.File("w", lazy=False), default="-", help="Lines and tokens.")
@_reason
@_options
def import_(config: str, actor: str, reason: str, output: str, **given: Any) -> None:
    """Make a token for each line of FILE ("-": standard input).

    CSV with a head line, or one JSON object a line; columns pan and card_expiry are needed. Each
    part of 50,000 lines is imported whole or not at all. Lines and their tokens go to --out.
    """
    import asyncio

    asyncio.run(_import(config, _by(actor, reason), output, given))


@command.command("audit")
@click.option("--token", default="", help="Only of this token.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--verify", is_flag=True, help="Check the chain instead; exit code 1: broken.")
@_options
def audit(config: str, actor: str, output: str, token: str, limit: int, verify: bool) -> int:
    """Show what was ordered, by whom, why, and what became of it."""
    from switch.tokens.orders import Audit, AuditVerdict, VerifyAudit

    by = _by(actor, "")
    order = VerifyAudit(by=by) if verify else Audit(by=by, token=token, limit=limit)
    answer = _run(config, order, output)
    return 1 if isinstance(answer, AuditVerdict) and answer.broken_at else 0


@command.command("status")
@_options
def status(config: str, actor: str, output: str) -> int:
    """Show how vault and index stand; exit code 1 when they differ."""
    from switch.tokens.orders import Status, StatusShown

    answer = _run(config, Status(by=_by(actor, "")), output)
    return 1 if isinstance(answer, StatusShown) and answer.index_fault else 0


@command.command("reindex")
@_reason
@_options
def reindex(config: str, actor: str, reason: str, output: str) -> None:
    """Build the index anew from the vault, beside the one in force."""
    from switch.tokens.orders import Reindex

    _run(config, Reindex(by=_by(actor, reason)), output)


# -- what is given ---------------------------------------------------------------------------------


def _by(actor: str, reason: str) -> "By":
    import pwd

    from switch.tokens.orders import By

    if not actor:
        try:
            actor = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            actor = f"uid {os.getuid()}"
    return By(actor=actor, reason=reason)


def _card_given(given: dict[str, Any]) -> "CardGiven":
    from switch.tokens.orders import CardGiven

    return CardGiven(
        pan=_read_pan(given["pan_fd"]),
        expiry=given["card_expiry"],
        sequence=given["card_sequence"],
        par=given["par"],
    )


def _read_pan(descriptor: int | None) -> str:
    """From the descriptor, else a prompt on a terminal, else the first line of standard input."""
    if descriptor is not None:
        try:
            read = os.read(descriptor, PAN_BYTES_MAX)
        except OSError as error:
            raise click.UsageError(
                f"descriptor {descriptor} cannot be read: {error.strerror}"
            ) from None
        text = read.split(b"\n")[0].decode("ascii", "replace")
    elif sys.stdin.isatty():
        text = str(click.prompt("card number", hide_input=True, err=True))
    else:
        text = sys.stdin.readline(PAN_BYTES_MAX)
    return "".join(text.split())


async def _import(config: str, by: "By", output: str, given: dict[str, Any]) -> None:
    from switch.control.tokens import connect
    from switch.errors import TokenError
    from switch.settings.load import load
    from switch.tokens.intake import batches, read_csv, read_jsonl
    from switch.tokens.orders import Import, Imported

    file: Path = given["file"]
    form = given["form"] or ("jsonl" if file.suffix in {".jsonl", ".ndjson", ".json"} else "csv")
    read = read_jsonl if form == "jsonl" else read_csv
    done = 0
    try:
        stream = sys.stdin if str(file) == "-" else file.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from None
    with stream:
        lines = (
            line
            for line in read(stream, {"requestor": given["requestor"]})
            if line[0] >= given["skip_to"]
        )
        async with connect(load(config)) as tokens:
            for batch in batches(lines):
                numbers = [number for number, _ in batch]
                order = Import(
                    by=by, rows=[row for _, row in batch], first_line=numbers[0], lines=numbers
                )
                try:
                    answer = await tokens.perform(order)
                except TokenError as error:
                    help_text = f"{done} tokens were made; go on with --skip-to {numbers[0]}"
                    raise TokenError(error.problem, help=help_text) from None
                assert isinstance(answer, Imported)
                _write_tokens(given["out"], numbers, answer.tokens, output, first=not done)
                done += len(numbers)
                if sys.stderr.isatty():
                    click.echo(f"\r{done:,} tokens", err=True, nl=False)
    click.echo(f"\r{done:,} tokens" if sys.stderr.isatty() else f"{done:,} tokens", err=True)


def _write_tokens(
    out: Any, numbers: list[int], tokens: list[str], output: str, *, first: bool
) -> None:
    pairs = zip(numbers, tokens, strict=True)
    if output == "json":
        text = "".join(f'{{"line":{line},"token":"{token}"}}\n' for line, token in pairs)
    else:
        text = "".join(f"{line},{token}\n" for line, token in pairs)
        text = f"line,token\n{text}" if first else text
    out.write(text)


# -- what comes out --------------------------------------------------------------------------------


def _run(config: str, order: "Order", output: str) -> "Answer":
    """Performs one order and prints its answer."""
    import asyncio

    from switch.control.tokens import connect
    from switch.settings.load import load

    async def perform() -> "Answer":
        async with connect(load(config)) as tokens:
            return await tokens.perform(order)

    answer = asyncio.run(perform())
    if output == "json":
        import msgspec

        click.echo(json.dumps(msgspec.to_builtins(answer), indent=2))
    else:
        for line in _lines(answer):
            click.echo(line)
    return answer


def _lines(answer: "Answer") -> list[str]:
    from switch.tokens import orders

    match answer:
        case orders.Shown():
            return _shown_lines(answer)
        case orders.Listed(tokens=tokens, more=more):
            rows = [
                f"{one.token:19}  {one.state:9}  {one.pan:19}  {one.token_expiry}  {one.requestor}"
                for one in tokens
            ]
            return [*rows, f"there are more: --after {tokens[-1].token}"] if more else rows
        case orders.AuditPage(rows=rows):
            return [
                f"{row.sequence:6}  {_time(row.at_ms)}  {row.actor:12}  {row.action:11}"
                f"  {row.outcome:9}  {row.token or '-':19}  {row.reason}"
                + (f"  ({row.code} {row.detail})" if row.code else "")
                for row in rows
            ]
        case orders.AuditVerdict():
            return [answer.problem or f"{answer.records} records, the chain holds"]
        case orders.StatusShown():
            return [
                f"vault     {answer.tokens:,} tokens, change {answer.change}",
                f"index     {answer.index_tokens:,} tokens, change {answer.index_change}"
                f"  {answer.index_fault or 'in step'}"
                + ("  (being rebuilt)" if answer.rebuilding else ""),
            ]
        case _:
            return []


def _shown_lines(one: "Shown") -> list[str]:
    from switch.tokens.domain import describe

    sequence = "" if one.card_sequence is None else f"  sequence {one.card_sequence:02}"
    lines = [
        f"token      {one.token}  sequence {one.token_sequence:02}  expires {one.token_expiry}",
        f"state      {one.state}"
        + ("  expired" if one.expired else "")
        + ("" if one.changed else "  (as before)"),
        f"card       {one.pan}{sequence}  expires {one.card_expiry}",
        f"requestor  {one.requestor}  assurance {one.assurance}  medium {one.medium}",
        f"domain     {describe(one.domain)}",
        f"mapping    version {one.mapping_version}  changed {_time(one.changed_ms)}",
    ]
    if one.par:
        lines.append(f"par        {one.par}")
    return lines + [
        f"before     version {old.version}  {old.pan}  expires {old.card_expiry}"
        f"  until {_time(old.until_ms)}"
        for old in one.history
    ]


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
