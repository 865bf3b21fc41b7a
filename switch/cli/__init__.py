"""Commands only: parse, call, print. Each is a file of its own, imported when it is called.

To add one: write `switch/cli/NAME.py` with a click command called `command`, and enter NAME with
its line of help into `COMMANDS`. A command returns its exit code (None is 0) or raises an error of
`switch.errors`, whose class knows its exit code.
"""

import importlib
import sys
from typing import Any, Final

import click

from switch.errors import TapswitchError

__all__ = ["COMMANDS", "main"]

COMMANDS: Final[dict[str, str]] = {
    "demo": "The whole system on this machine with traffic, until Ctrl-C.",
    "run": "Run a node from a configuration directory.",
    "check": "Find in a configuration directory what would fail at run time.",
    "config": "Show the configuration in force, and what a reload would change.",
    "reload": "Bring a running node's files into force, all or nothing.",
    "restart": "Replace a running node's worker; nobody who connects is refused.",
    "member": "Show a running node's institutions, drain them, test their lines.",
    "link": "Frames that could not be decoded, masked, with the place.",
    "audit": "Show what was ordered of a node, and verify that record.",
    "keys": "Make a node's keys, show which they are.",
    "saf": "What banks are owed: list, retry, hold, release, write off.",
    "stand-in": "Approvals in banks' names: rules, limits, sums of today.",
    "cert": "Certificates of links: what they are, when they end, new ones.",
    "terminal": "Enter terminals that sign on, show them, retire them.",
    "token": "Issue tokens, suspend them, change the card behind them.",
    "decode": "Take messages apart: offsets, bytes, names and values, masked.",
    "encode": "Make a test message from names and values.",
    "diff": "Compare two messages field by field, masked.",
    "journal": "Verify, search and show the journal.",
    "top": "Members, rates, times and waiting reversals of a node, live.",
    "tail": "Transactions as they come to their end, masked.",
    "trace": "The whole life of one transaction, from the journal.",
    "explain": "What an error, end, rule or response code means, and what to do.",
    "bench": "Measure the switch beside its floors.",
    "sim": "Simulated issuers and terminals.",
    "simulate": "The whole switch in seeded worlds: replay one, or run a swarm.",
    "version": "Version, build profile and interpreter.",
}
"""Command to its one line of help, in the order of `--help`; the module has the command's name,
with _ for -."""

EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


class LazyGroup(click.Group):
    """Knows its commands by name; imports one only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"switch.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from switch.settings.nearest import nearest

            hint = nearest(args[0], COMMANDS)
            if not hint:
                raise
            raise click.UsageError(f"{error.message} Did you mean {hint!r}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def root() -> None:
    """An open payment switch that a city can run.

    Exit codes: 0 ok, 1 findings, 2 usage, 3 settings or set-up, 4 unreachable, 5 refused,
    6 threshold or conservation failed, 130 interrupted.
    """


def main(args: list[str] | None = None) -> None:
    """Runs one command in a process of its own and exits with its code."""
    sys.exit(run(args, own_process=True))


def run(args: list[str] | None = None, *, own_process: bool = False) -> int:
    """Runs one command; returns its exit code, errors printed on stderr.

    `own_process`: nothing else runs in this process, so that it may be hardened for good.
    """
    try:
        if own_process:
            # Every command: one that opens no key may be given a message with a card in it, or
            # pass a key's descriptor on.
            from switch.runtime.harden import harden

            harden()
        result: Any = root.main(args, prog_name="tapswitch", standalone_mode=False)
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except TapswitchError as error:
        from switch.cli.report import print_error

        print_error(error)
        return error.exit_code
    return result if isinstance(result, int) else 0
