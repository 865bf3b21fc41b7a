"""`tapswitch run`: the processes of one node until SIGTERM or Ctrl-C."""

import click

__all__ = ["command"]


@click.command()
@click.option("--config", "config", required=True, type=click.Path(exists=True), metavar="DIR")
def command(config: str) -> int:
    """Run a node from the configuration directory DIR.

    Events go to stderr as JSON lines. The ready file, run/worker.json in the data directory, holds
    the bound addresses. SIGTERM or Ctrl-C drains: what is in flight gets its answer, banks are
    signed off.
    """
    from switch.apps.supervisor import run_node

    return run_node(config)
