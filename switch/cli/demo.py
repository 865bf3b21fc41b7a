"""`tapswitch demo`: everything at once, on this machine."""

from pathlib import Path

import click

__all__ = ["command"]


@click.command("demo")
@click.option("--for", "seconds", type=click.FloatRange(min=1), help="End after so many seconds.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1, max=20_000),
    default=100,
    show_default=True,
    help="Sales a second, all terminals together.",
)
@click.option(
    "--mixture",
    type=click.Choice(["demo", "approving", "harsh"]),
    default="demo",
    show_default=True,
    help="What terminals do; harsh: every fault, often, broken connections included.",
)
@click.option(
    "--tokens",
    type=click.IntRange(0, 10_000_000),
    default=100_000,
    show_default=True,
    help="Tokens that the vault issues at the start; 0: plain cards only.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="Leave configuration, journal and ledgers in this new directory.",
)
def command(
    seconds: float | None,
    rate: float,
    mixture: str,
    tokens: int,
    output: str,
    keep: Path | None,
) -> int:
    """The whole system on this machine with traffic, until Ctrl-C.

    A switch with two acquirers and three banks on loopback, with development keys. Customers tap
    with tokens, some pay with plain cards; most are approved, some declined, some banks are slow or
    silent, and some taps are forged, replayed or not allowed. At the end three independent ledgers
    are compared: exit code 6 when they disagree.
    """
    from switch.apps.demo import Options, run

    options = Options(
        seconds=seconds,
        rate=rate,
        mixture=mixture,
        tokens=tokens,
        as_json=output == "json",
        keep=keep,
    )
    return run(options)
