"""`tapswitch sim`: banks and terminals to test a switch against, each a process of its own."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from switch.sim.magic import text
from switch.sim.network.rule import text as network_text

if TYPE_CHECKING:
    import ssl

    from switch.sim.cards import Mixture
    from switch.sim.pay import Paid
    from switch.sim.process import Devices
    from switch.sim.terminal import Habit

__all__ = ["command"]

EXIT_REFUSED = 5


def _common(function: Any) -> Any:
    """Options of both simulators."""
    options = (
        click.option("--name", required=True, help="Institution id, such as BANK01."),
        click.option("--institution-code", required=True, help="Numeric code, up to 11 digits."),
        click.option("--ledger", type=click.Path(path_type=Path), required=True, help="New file."),
        click.option("--dialect", type=click.Path(path_type=Path), help="Default: iso87-ascii."),
        click.option("--connections", default=4, show_default=True, type=click.IntRange(1, 256)),
        click.option("--sign-on/--no-sign-on", default=True, show_default=True),
        click.option("--seed", type=int, help="Draw the same again; default: a new draw."),
        click.option(
            "--tls",
            type=(str, str, str),
            metavar="CERTIFICATE KEY CA",
            help="TLS with these files, the other side's CA last; key of mode 0600.",
        ),
        click.option("--tls-name", help="The switch's name in its certificate; default: the host."),
        click.option("--steered", is_flag=True, help="Take orders as JSON lines on stdin."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group("sim")
def command() -> None:
    """Simulated issuers and terminals.

    Both print one JSON status line a second, and with --steered take orders: {"do": "pause"},
    resume, heal, report, stop. The end of stdin, Ctrl-C or SIGTERM stops them.
    """


@command.command("issuer", epilog="\b\n" + text())
@_common
@click.option("--listen", metavar="HOST:PORT", help="Accept the switch here; port 0: any free one.")
@click.option("--dial", metavar="HOST:PORT", help="Dial in there instead.")
@click.option("--prefix", "prefixes", multiple=True, required=True, help="Card prefix, 6299xx.")
@click.option("--fast-ms", type=(float, float), default=(5, 40), show_default=True)
@click.option("--slow-ms", type=float, default=600, show_default=True, help="Slowest good answer.")
@click.option("--slow-share", type=click.FloatRange(0, 1), default=0.02, show_default=True)
@click.option(
    "--late-ms", type=float, default=3000, show_default=True, help="When a late one comes."
)
@click.option("--balance", type=int, default=100_000_000, show_default=True, help="Minor units.")
def issuer(
    name: str,
    institution_code: str,
    ledger: Path,
    dialect: Path | None,
    connections: int,
    sign_on: bool,
    seed: int | None,
    tls: tuple[str, str, str] | None,
    tls_name: str | None,
    steered: bool,
    listen: str | None,
    dial: str | None,
    prefixes: tuple[str, ...],
    fast_ms: tuple[float, float],
    slow_ms: float,
    slow_share: float,
    late_ms: float,
    balance: int,
) -> None:
    """A bank: accounts, balances, holds, and every misbehaviour on demand.

    Four digits of a card (7 to 10) or of an amount (the last four) choose the outcome.
    """
    from switch.sim.issuer import IssuerPlan
    from switch.sim.process import run_issuer
    from switch.sim.steering import parse_address

    if (listen is None) == (dial is None):
        raise click.UsageError("say either --listen or --dial")
    plan = IssuerPlan(
        name,
        institution_code,
        prefixes,
        listen=parse_address(listen) if listen else None,
        dial=parse_address(dial) if dial else None,
        connections=connections,
        sign_on=sign_on,
        fast_ms=fast_ms,
        slow_share=slow_share,
        slow_ms=slow_ms,
        late_ms=late_ms,
        opening_balance=balance,
        tls=_tls(tls, server=listen is not None),
        tls_name=tls_name,
    )
    run_issuer(plan, dialect, ledger, seed, steered=steered)


@command.command("terminal", epilog="\b\n" + text())
@_common
@click.option("--connect", "addresses", metavar="HOST:PORT", multiple=True, required=True)
@click.option(
    "--prefix", "prefixes", multiple=True, required=True, help="Cards to pay with, 6299xx."
)
@click.option("--lane", default="A", show_default=True, help="One character, unlike other fleets'.")
@click.option(
    "--rate", type=click.FloatRange(0), default=50, show_default=True, help="Sales a second."
)
@click.option("--terminals", type=click.IntRange(1, 9_999_999), default=500, show_default=True)
@click.option("--patience-ms", type=float, default=5000, show_default=True)
@click.option(
    "--mixture",
    type=click.Choice(["demo", "approving", "harsh"]),
    default="demo",
    show_default=True,
    help="demo: some of everything; approving: good cards only; harsh: all faults, often.",
)
@click.option(
    "--tokens", type=click.Path(path_type=Path), help="Tokens to tap with, one a line; see below."
)
@click.option(
    "--node",
    type=click.Path(path_type=Path),
    help="Configuration of the switch; devices are made of its card masters. Demo keys only.",
)
@click.option(
    "--part", default="0/1", show_default=True, help="N/M: every M-th token, for one of M fleets."
)
@click.option(
    "--counter",
    type=click.IntRange(0, 65_533),
    default=0,
    show_default=True,
    help="Last transaction counter that the devices used in an earlier run.",
)
def terminal(
    name: str,
    institution_code: str,
    ledger: Path,
    dialect: Path | None,
    connections: int,
    sign_on: bool,
    seed: int | None,
    tls: tuple[str, str, str] | None,
    tls_name: str | None,
    steered: bool,
    addresses: tuple[str, ...],
    prefixes: tuple[str, ...],
    lane: str,
    rate: float,
    terminals: int,
    patience_ms: float,
    mixture: str,
    tokens: Path | None,
    node: Path | None,
    part: str,
    counter: int,
) -> None:
    """A fleet of terminals: a Poisson schedule of sales, repeats, time-outs, changes of mind.

    With --tokens and --node most customers tap with a device, whose cryptogram is genuine and which
    proves the issuer's answer. Columns of the token file: token, token_sequence, token_expiry,
    requestor, profile (unionpay-01, visa-10 or visa-18).
    """
    from switch.client.acquirer import Policy
    from switch.sim.process import run_fleet
    from switch.sim.steering import parse_address
    from switch.sim.terminal import FleetPlan

    if len(lane) != 1 or not lane.isalnum():
        raise click.UsageError("--lane is one letter or digit")
    devices = _devices(tokens, node, part, counter)
    habits, cards = _mixture(mixture)
    plan = FleetPlan(
        name,
        institution_code,
        lane.upper(),
        rate=rate,
        terminals=terminals,
        patience=patience_ms / 1000,
        habits=habits,
    )
    run_fleet(
        plan,
        Policy(connections, sign_on, tls=_tls(tls, server=False), tls_name=tls_name),
        [parse_address(address) for address in addresses],
        (prefixes, cards),
        devices,
        dialect,
        ledger,
        seed,
        steered=steered,
    )


@command.command("network", epilog="\b\n" + network_text())
@click.option("--listen", metavar="HOST:PORT", required=True, help="Port 0: any free one.")
@click.option("--to", metavar="HOST:PORT", required=True, help="Where connections go on to.")
@click.option(
    "--fault", "faults", multiple=True, metavar="RULE", help="Such as 'down lose mti=0210 nth=3'."
)
@click.option(
    "--dialect",
    type=click.Path(path_type=Path),
    help="Tell messages apart by this file; without it bytes are bytes, TLS too.",
)
@click.option("--seed", type=int, help="Draw the same again; default: a new draw.")
@click.option("--steered", is_flag=True, help="Take orders as JSON lines on stdin.")
def network(
    listen: str,
    to: str,
    faults: tuple[str, ...],
    dialect: Path | None,
    seed: int | None,
    steered: bool,
) -> None:
    """A network that fails on purpose, between two peers: to test them, or to bench with delay.

    A rule is a direction (up: towards --to; down: back; both, the default), a fault, and what it
    takes. Bytes count from the frame's first, without --dialect from the connection's. Orders
    beside stop and report: heal, fail (the rules again), cut (reset all), refuse (down until
    healed).
    """
    from switch.sim.network import parse_rule
    from switch.sim.network.process import run_network
    from switch.sim.steering import parse_address

    rules = [parse_rule(fault) for fault in faults]
    run_network(parse_address(listen), parse_address(to), rules, dialect, seed, steered=steered)


@command.command("pos")
@click.option("--connect", "address", metavar="HOST:PORT", required=True)
@click.option(
    "--node",
    type=click.Path(path_type=Path),
    required=True,
    help="Configuration of the switch; master keys are those of its registry. Demo keys only.",
)
@click.option("--acquirer", required=True, help="Whose terminals: an id in the settings.")
@click.option("--terminals", type=click.IntRange(1, 10_000), default=10, show_default=True)
@click.option("--pause-ms", type=float, default=500, show_default=True, help="Between customers.")
@click.option("--patience-ms", type=float, default=5000, show_default=True)
@click.option("--prefix", default="629900", show_default=True, help="Of the cards.")
@click.option("--seed", type=int)
@click.option(
    "--for", "seconds", type=float, default=10.0, show_default=True, help="Seconds until the end."
)
def pos_(
    address: str,
    node: Path,
    acquirer: str,
    terminals: int,
    pause_ms: float,
    patience_ms: float,
    prefix: str,
    seed: int | None,
    seconds: float,
) -> int:
    """A street of Chinese POS terminals (pos-cn): sign on, pay, reserve, take back, sign off.

    Each downloads its keys and proves every message. Prints what came of it as JSON. Exit code 5:
    something was not proved, a key was wrong, or a reversal is still owed.
    """
    import asyncio
    from random import Random

    import msgspec

    from switch.sim.street import StreetPlan, open_street

    pause, patience = pause_ms / 1000, patience_ms / 1000
    plan = StreetPlan(acquirer, address, terminals, pause, patience, prefix)
    street = open_street(plan, node, Random(seed))

    async def day() -> None:
        street.start()
        await asyncio.sleep(seconds)
        await street.stop()

    asyncio.run(day())
    status = street.status()
    click.echo(msgspec.json.encode(status).decode())
    return 5 if any(status.get(bad) for bad in ("unproved", "bad_keys", "owed")) else 0


@command.command("pay")
@click.option("--connect", "address", metavar="HOST:PORT", required=True)
@click.option("--institution-code", required=True, help="The acquirer's, up to 11 digits.")
@click.option("--prefix", required=True, help="Of the test card, 6299xx; the rest is drawn.")
@click.option(
    "--digits",
    default="0000",
    show_default=True,
    help="Digits 7 to 10 of the card; they choose the bank's answer.",
)
@click.option("--amount", default="12.34", show_default=True, help="Below 90.00, with two places.")
@click.option("--take-back", is_flag=True, help="Reverse it after the answer.")
@click.option("--sign-on/--no-sign-on", default=True, show_default=True)
@click.option(
    "--tls", type=(str, str, str), metavar="CERTIFICATE KEY CA", help="As for the others."
)
@click.option("--tls-name", help="The switch's name in its certificate; default: the host.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def pay_(
    address: str,
    institution_code: str,
    prefix: str,
    digits: str,
    amount: str,
    take_back: bool,
    sign_on: bool,
    tls: tuple[str, str, str] | None,
    tls_name: str | None,
    output: str,
) -> int:
    """Pay once with a test card, and print the answer. Exit code 5: no answer came; reversed."""
    import msgspec

    from switch.client.acquirer import Policy
    from switch.sim.pay import Sale, pay
    from switch.sim.steering import load_dialect, parse_address

    if not (re.fullmatch("6299[0-9]{2}", prefix) and re.fullmatch("[0-9]{4}", digits)):
        raise click.UsageError("--prefix is 6299 and two digits, --digits are four digits")
    if not re.fullmatch(r"[0-9]{1,10}\.[0-9]{2}", amount):
        raise click.UsageError("--amount is like 12.34")
    sale = Sale(
        institution_code=institution_code,
        prefix=prefix,
        digits=digits,
        amount_minor=int(amount.replace(".", "")),
        take_back=take_back,
    )
    policy = Policy(1, sign_on, tls=_tls(tls, server=False), tls_name=tls_name)
    paid = pay(load_dialect(None), parse_address(address), policy, sale)
    if output == "json":
        click.echo(msgspec.json.encode(paid).decode())
    else:
        _print(paid)
    return 0 if paid.code else EXIT_REFUSED


@command.command("shift")
@click.option("--connect", "address", metavar="HOST:PORT", required=True)
@click.option(
    "--node",
    type=click.Path(path_type=Path),
    required=True,
    help="Configuration of the switch; the master key is that of its registry. Demo keys only.",
)
@click.option("--acquirer", required=True, help="Whose terminal: an id in the settings.")
@click.option("--terminal", required=True, help="As the registry has it.")
@click.option("--prefix", required=True, help="Of the test card, 6299xx; the rest is drawn.")
@click.option("--amount", default="12.34", show_default=True, help="Below 90.00, with two places.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def shift_(
    address: str, node: Path, acquirer: str, terminal: str, prefix: str, amount: str, output: str
) -> int:
    """Be one POS terminal (pos-cn): sign on, sell, take it back, sign off, and print each step.

    Exit code 5: no answer came, or its code was wrong.
    """
    import msgspec

    from switch.sim.shift import work

    if not re.fullmatch("6299[0-9]{2}", prefix):
        raise click.UsageError("--prefix is 6299 and two digits")
    if not re.fullmatch(r"[0-9]{1,10}\.[0-9]{2}", amount):
        raise click.UsageError("--amount is like 12.34")
    steps = work(node, acquirer, terminal, address, (prefix, "0000", int(amount.replace(".", ""))))
    if output == "json":
        click.echo(msgspec.json.encode(steps).decode())
    else:
        from switch.observe.codes import title_of

        for step in steps:
            said = f"{step.code} {title_of('response', step.code)}" if step.code else "no answer"
            code = {True: ", code proved", False: ", code WRONG", None: ""}[step.proved]
            more = f"  {step.more}" if step.more else ""
            click.echo(f"{step.what:8} {step.mti} {step.stan}  {said.strip()}{code}{more}")
    return 0 if all(step.code and step.proved is not False for step in steps) else EXIT_REFUSED


def _print(paid: "Paid") -> None:
    from switch.observe.codes import title_of

    click.echo(
        f"{paid.amount_minor / 100:.2f} with {paid.card}, terminal's number {paid.stan}, "
        f"reference {paid.rrn}"
    )
    if paid.code:
        said = f"{paid.code} {title_of('response', paid.code)}".strip()
        authorised = f", authorisation {paid.auth_code}" if paid.code == "00" else ""
        click.echo(f"{said}{authorised}, after {paid.ms:.1f} ms")
    else:
        click.echo(f"no answer within {paid.ms / 1000:.0f} s")
    if paid.reversed:
        click.echo("reversed")


def _tls(files: tuple[str, str, str] | None, *, server: bool) -> "ssl.SSLContext | None":
    if files is None:
        return None
    from switch.crypto.tls import peer_context

    return peer_context(*files, server=server)


def _mixture(name: str) -> "tuple[Mapping[Habit, float], Mixture]":
    """What terminals do and what their customers buy."""
    from switch.sim.cards import APPROVING, DEMO, HARSH
    from switch.sim.terminal import HABITS, HARSH_HABITS

    plain: dict[Habit, float] = {}
    return {
        "demo": (HABITS, DEMO),
        "approving": (plain, APPROVING),
        "harsh": (HARSH_HABITS, HARSH),
    }[name]


def _devices(tokens: Path | None, node: Path | None, part: str, counter: int) -> "Devices | None":
    from switch.sim.process import Devices

    if tokens is None or node is None:
        if tokens is not None or node is not None:
            raise click.UsageError("--tokens and --node go together")
        return None
    return Devices(tokens, node, _part(part), counter)


def _part(text: str) -> tuple[int, int]:
    number, separator, of = text.partition("/")
    if not (separator and number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise click.UsageError("--part is N/M with N below M, such as 0/2")
    return int(number), int(of)
