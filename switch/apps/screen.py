"""What the demonstration shows: one live screen on a terminal, one plain line a second elsewhere.

Pure: a `Snapshot` in, something to print out. Who fills the snapshot is `switch.apps.demo`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["LinkRow", "Snapshot", "closing", "plain", "screen"]

PANEL_HEIGHT: Final = 10
REASONS: Final = {
    "05": "do not honour",
    "12": "invalid transaction",
    "13": "invalid amount",
    "14": "no such card",
    "30": "format error",
    "41": "lost card",
    "43": "stolen card",
    "51": "insufficient funds",
    "54": "expired card",
    "55": "wrong PIN",
    "57": "not permitted to card",
    "58": "not permitted to terminal",
    "61": "amount limit",
    "62": "restricted card",
    "65": "count limit",
    "75": "PIN tries exceeded",
    "91": "bank down or timed out",
    "92": "no route",
    "94": "duplicate",
    "96": "malfunction",
}
"""Response code to a few words."""


class LinkRow(msgspec.Struct, frozen=True):
    """One institution's links as its own side sees them."""

    member: str
    role: str
    connections: int
    signed_on: int
    in_flight: int
    messages: int
    reversals: int
    """Acquirer: reversals that its terminals still owe. Bank: reversals that it booked."""
    latency_us: tuple[int, int]
    """p50 and p99 of the last second: an acquirer's whole wait, a bank's own thinking."""

    @property
    def state(self) -> str:
        if not self.connections:
            return "down"
        return "signed on" if self.signed_on else "not signed on"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one screen shows. Durations in µs, counts since the start."""

    elapsed_s: float
    rate: float
    """Sales in the last second."""
    offered: int
    approved: int
    declined: Mapping[str, int]
    unknown: int
    repeats: int
    in_flight: int
    reversals_done: int
    """Reversals that banks acknowledged to the switch."""
    reversals_waiting: int
    """Reversals that the switch owes to banks."""
    ours_us: tuple[int, ...]
    """p50 and p99 of what the switch adds."""
    bank_us: tuple[int, ...]
    taps: int = 0
    """Of the offered sales, those with a device."""
    refused: Mapping[str, int] = {}
    """Taps that the switch refused, by its own reason."""
    links: Sequence[LinkRow] = ()
    warnings: Sequence[str] = ()


def milliseconds(value_us: float) -> str:
    """``0.42 ms``, ``12 ms``; a dash for nothing measured."""
    if not value_us:
        return "–"
    value = value_us / 1000
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def plain(snapshot: Snapshot) -> str:
    """One line for logs and pipes."""
    answered = snapshot.approved + sum(snapshot.declined.values())
    worst = sorted(snapshot.declined.items(), key=lambda item: -item[1])[:4]
    reasons = " ".join(f"{code}:{count}" for code, count in worst) or "none"
    up = sum(row.signed_on > 0 for row in snapshot.links)
    return (
        f"{snapshot.elapsed_s:5.0f} s  {snapshot.rate:.0f}/s"
        f"  approved {share(snapshot.approved, answered)}  declined {reasons}"
        f"  ours p50 {milliseconds(snapshot.ours_us[0])} p99 {milliseconds(snapshot.ours_us[1])}"
        f"  bank p50 {milliseconds(snapshot.bank_us[0])} p99 {milliseconds(snapshot.bank_us[1])}"
        f"  reversals {snapshot.reversals_done} done {snapshot.reversals_waiting} waiting"
        f"  links {up}/{len(snapshot.links)} up"
    ) + (f"  taps refused {_few(snapshot.refused)}" if snapshot.taps else "")


def _few(counts: Mapping[str, int]) -> str:
    """The most frequent ones, in one line."""
    worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return " ".join(f"{reason}:{count}" for reason, count in worst[:8]) or "none"


def screen(snapshot: Snapshot) -> RenderableType:
    """The whole screen."""
    top = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        top.add_column(ratio=1)
    top.add_row(_flow(snapshot), _reasons(snapshot), _latency(snapshot))
    if snapshot.taps:
        return Group(_head(snapshot), top, _refused(snapshot), _links(snapshot), _foot(snapshot))
    return Group(_head(snapshot), top, _links(snapshot), _foot(snapshot))


def _head(snapshot: Snapshot) -> Text:
    head = Text.assemble(
        (" tapswitch demo ", "bold reverse"),
        f"  {snapshot.elapsed_s:.0f} s",
    )
    for warning in snapshot.warnings:
        head.append("   ")
        head.append(f" {warning} ", "bold black on yellow")
    return head


def _flow(snapshot: Snapshot) -> Panel:
    answered = snapshot.approved + sum(snapshot.declined.values())
    rows = Table.grid(padding=(0, 2))
    rows.add_column(justify="right", style="bold")
    rows.add_column()
    rows.add_row(f"{snapshot.rate:,.0f}", "sales a second")
    rows.add_row(f"{snapshot.offered:,}", "offered by terminals")
    approved = f"approved  {share(snapshot.approved, answered)}"
    rows.add_row(Text(f"{snapshot.approved:,}", "bold green"), approved)
    declined = sum(snapshot.declined.values())
    rows.add_row(Text(f"{declined:,}", "bold red"), f"declined  {share(declined, answered)}")
    rows.add_row(f"{snapshot.unknown:,}", "given up by terminals")
    rows.add_row(f"{snapshot.repeats:,}", "repeats and duplicates")
    rows.add_row(f"{snapshot.in_flight:,}", "in flight now")
    return Panel(rows, height=PANEL_HEIGHT, title="what flows", title_align="left", box=box.ROUNDED)


def _reasons(snapshot: Snapshot) -> Panel:
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="red")
    rows.add_column()
    rows.add_column(justify="right")
    ordered = sorted(snapshot.declined.items(), key=lambda item: (-item[1], item[0]))
    for code, count in ordered[:7]:
        rows.add_row(code, REASONS.get(code, "other"), f"{count:,}")
    if len(ordered) > 7:
        rows.add_row("…", f"{len(ordered) - 7} more", f"{sum(c for _, c in ordered[7:]):,}")
    return Panel(
        rows, height=PANEL_HEIGHT, title="declined, by reason", title_align="left", box=box.ROUNDED
    )


def _refused(snapshot: Snapshot) -> Panel:
    ordered = sorted(snapshot.refused.items(), key=lambda item: (-item[1], item[0]))
    text = Text()
    for reason, count in ordered:
        text.append(f"{reason.replace('_', ' ')} ")
        text.append(f"{count:,}   ", "bold red")
    refused = sum(snapshot.refused.values())
    title = f"taps {snapshot.taps:,}, refused by the switch itself {refused:,}"
    return Panel(text, title=title, title_align="left", box=box.ROUNDED)


def _latency(snapshot: Snapshot) -> Panel:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_row("", Text("p50", "dim"), Text("p99", "dim"))
    rows.add_row(Text("ours", "bold"), *(milliseconds(value) for value in snapshot.ours_us))
    rows.add_row("the bank's", *(milliseconds(value) for value in snapshot.bank_us))
    rows.add_row("")
    waiting = snapshot.reversals_waiting
    rows.add_row(Text("reversals", "bold"), "", "")
    rows.add_row("waiting", Text(f"{waiting:,}", "bold yellow" if waiting else ""), "")
    rows.add_row("done", f"{snapshot.reversals_done:,}", "")
    return Panel(rows, height=PANEL_HEIGHT, title="latency", title_align="left", box=box.ROUNDED)


def _links(snapshot: Snapshot) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for column in ("institution", "role", "state"):
        table.add_column(column)
    for column in ("links", "in flight", "requests", "reversals", "p50", "p99"):
        table.add_column(column, justify="right")
    for row in snapshot.links:
        table.add_row(
            row.member,
            row.role,
            Text(row.state, "green" if row.signed_on else "red"),
            f"{row.signed_on}/{row.connections}",
            f"{row.in_flight:,}",
            f"{row.messages:,}",
            f"{row.reversals:,}",
            milliseconds(row.latency_us[0]),
            milliseconds(row.latency_us[1]),
        )
    return table


def _foot(snapshot: Snapshot) -> Text:
    return Text("Ctrl-C ends it; then three ledgers are compared.", "dim")


def closing(summary: Mapping[str, object], findings: Sequence[str]) -> str:
    """The last words, as text. `summary` is what ``-o json`` prints."""
    conservation = summary["conservation"]
    latency = summary["latency_ours_us"]
    assert isinstance(conservation, Mapping)
    assert isinstance(latency, Mapping)
    taps = summary["taps"]
    assert isinstance(taps, Mapping)
    approvals = (
        f"  acquirers hold {conservation['approvals_acquirer']:,} approvals, the journal"
        f" {conservation['approvals_journal']:,}, the banks {conservation['holds_issuer']:,} holds:"
        f" {'the three ledgers agree' if conservation['ok'] else 'THE LEDGERS DISAGREE'}"
    )
    ours = "  ".join(
        f"{name} {milliseconds(latency[key])}"
        for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))
    )
    lines = [
        f"  offered      {summary['offered']:>9,}",
        f"  approved     {summary['approved']:>9,}  net of reversals",
        f"  declined     {summary['declined']:>9,}",
        f"  timed out    {summary['timed_out']:>9,}  at the bank, reversed there",
        f"  cancelled    {summary['cancelled']:>9,}  undone by their terminal",
        f"  reversed     {summary['reversed']:>9,}  acknowledged by banks",
        f"  ours         {ours}",
        *_taps(taps),
        "",
        approvals,
    ]
    return "\n".join([*lines, *(f"  ✗ {finding}" for finding in findings)])


def _taps(taps: Mapping[str, object]) -> list[str]:
    """The last words about taps."""
    refused, proofs = taps["refused"], taps["proofs"]
    assert isinstance(refused, Mapping)
    assert isinstance(proofs, Mapping)
    if not taps["offered"]:
        return []
    total = sum(refused.values())
    lines = [f"  taps         {taps['offered']:>9,}  {taps['genuine']:,} proved, {total:,} refused"]
    lines += [f"  {'':10} {n:>11,}  {reason.replace('_', ' ')}" for reason, n in refused.items()]
    return [*lines, f"  answers      {proofs.get('genuine', 0):>9,}  proved by the device"]
