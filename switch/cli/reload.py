"""`tapswitch reload`: a running node takes up its files."""

from typing import TYPE_CHECKING

import click

from switch.cli.order import ask, by, common, show

if TYPE_CHECKING:
    from switch.control.reload import Reloaded

__all__ = ["command"]


@click.command("reload")
@common
@click.option("--dry-run", is_flag=True, help="Only say what it would do; nothing changes.")
@click.option("--wait", is_flag=True, help="Return when all bounced links are back.")
@click.option("--reason", default="", help="For the audit.")
def command(config: str, dry_run: bool, wait: bool, reason: str, output: str) -> None:
    """Bring the files of a running node into force: all of them, or nothing.

    What is in flight is finished under the configuration it was accepted with. SIGHUP to the node
    does the same; its log tells the outcome.

    Exit code 3: the files are bad, nothing was changed; 4: no worker runs; 5: refused, because a
    key differs that needs a restart.
    """
    from switch.control.reload import Reload, Reloaded

    order = Reload(dry_run=dry_run, wait=wait, by=by(reason))
    answer = ask(config, order, Reloaded)
    show(answer, output, lambda: _lines(answer))


def _lines(answer: "Reloaded") -> list[str]:
    lines: list[str] = []
    for change in answer.changes:
        sign = "+" if not change.before else "-" if not change.after else "~"
        values = " -> ".join(filter(None, (change.before, change.after)))
        bounces = f"; bounces {', '.join(change.bounces)}" if change.bounces else ""
        note = f"; {change.note}" if change.note else ""
        lines.append(f"{sign} {change.key}  {values}  ({change.effect}{bounces}{note})")
    lines += [f"warning: {warning}" for warning in answer.warnings]
    verb = "would be" if answer.dry_run else "is"
    same = " (no key differs)" if not answer.changes else ""
    lines.append(f"config {answer.after} {verb} in force, before it {answer.before}{same}")
    return lines
