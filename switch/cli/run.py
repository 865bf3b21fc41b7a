"""`tapswitch run`: the processes of one node until SIGTERM or Ctrl-C."""

import click

__all__ = ["command"]


@click.command()
@click.option("--config", "config", required=True, type=click.Path(exists=True), metavar="DIR")
@click.option(
    "--last-good",
    type=click.Path(exists=True),
    metavar="FILE",
    help="When DIR has faults: come up with this snapshot (data/run/in-force.json), and say so.",
)
def command(config: str, last_good: str | None) -> int:
    """Run a node from the configuration directory DIR.

    Events go to stderr as JSON lines. The ready file, run/worker.json in the data directory, holds
    the bound addresses. SIGTERM or Ctrl-C drains: what is in flight gets its answer, banks are
    signed off. SIGHUP reloads, as `tapswitch reload` does.
    """
    from switch.apps.supervisor import run_node

    return run_node(config, last_good or "")
