"""One transaction as a picture: a lane for each acquirer, the switch and each bank, time downwards.

What is sent is an arrow to where it arrives; an arrow that ends in a cross never did. Equal times
keep a line's distance, so that nothing is drawn over anything: distances are not to scale.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from switch.simulation.trace import MESSAGES, NODE, Event

__all__ = ["picture"]

LANE: Final = 260
LEFT: Final = 210
TOP: Final = 90
ROW: Final = 26
STYLE: Final = (
    "text{font:13px ui-monospace,monospace;fill:#1c2733}.time{fill:#5b6b7b;text-anchor:end}"
    ".lane{font-weight:bold;text-anchor:middle}.line{stroke:#9fb0c0;stroke-dasharray:3 4}"
    ".way{stroke:#1f5fae;stroke-width:1.6;marker-end:url(#head)}.lost{stroke:#b3261e;"
    "stroke-width:1.6;stroke-dasharray:6 4}.fault{fill:#b3261e}.note{fill:#5b3fa0}"
    ".said{text-anchor:middle}"
)


def picture(events: Sequence[Event], title: str) -> str:
    """An SVG of `events`, which `trace.follow` chose. Card numbers are not drawn."""
    ends = {end for one in events if one.what in MESSAGES for end in (one.node, one.peer)}
    peers = sorted(ends - {NODE, ""})
    acquirers = [name for name in peers if name.startswith("ACQ")]
    lanes = [*acquirers, NODE, *(name for name in peers if name not in acquirers)]
    at = {name: LEFT + LANE // 2 + LANE * place for place, name in enumerate(lanes)}
    width = LEFT + LANE * len(lanes) + 20
    height = TOP + ROW * (len(events) + 1)
    body = "".join(_rows(events, at))
    head = "".join(
        f'<text class="lane" x="{x}" y="56">{escape(name)}</text>'
        f'<line class="line" x1="{x}" y1="66" x2="{x}" y2="{height - 10}"/>'
        for name, x in at.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}"><title>Transaction {escape(title)}</title>'
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        f' markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#1f5fae"/></marker></defs>'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="20" y="28">Transaction {escape(title)}, virtual time in ms, not to scale</text>'
        f"{head}{body}</svg>\n"
    )


def _rows(events: Sequence[Event], at: dict[str, int]) -> Iterator[str]:
    arrivals = _arrivals(events)
    for row, event in enumerate(events):
        y = TOP + ROW * row
        if event.what == "gets":
            continue
        yield f'<text class="time" x="{LEFT - 20}" y="{y + 4}">{event.at_ns / 1e6:.3f}</text>'
        if event.what != "sends":
            kind = "fault" if event.what == "fault" else "note"
            x = at.get(event.node, at.get(NODE, LEFT)) + 8
            yield f'<text class="{kind}" x="{x}" y="{y + 4}">{escape(event.text)}</text>'
            continue
        begin, end = at[event.node], at[event.peer]
        arrived = arrivals.get(row)
        below = TOP + ROW * arrived if arrived is not None else y + ROW // 2
        stop = end if arrived is not None else (begin + end) // 2
        kind = "way" if arrived is not None else "lost"
        yield f'<line class="{kind}" x1="{begin}" y1="{y}" x2="{stop}" y2="{below}"/>'
        if arrived is None:
            yield f'<text class="fault" x="{stop - 4}" y="{below + 5}">✕</text>'
        middle, level = (begin + end) // 2, (y + below) // 2 - 5
        yield f'<text class="said" x="{middle}" y="{level}">{escape(_said(event))}</text>'


def _arrivals(events: Sequence[Event]) -> dict[int, int]:
    """Row of what was sent to the row in which it arrived; what was lost has none."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    for row, sent in enumerate(events):
        if sent.what != "sends":
            continue
        for later in range(row + 1, len(events)):
            got = events[later]
            if later not in taken and got.what == "gets" and _same(sent, got):
                taken.add(later)
                found[row] = later
                break
    return found


def _same(sent: Event, got: Event) -> bool:
    return (
        (sent.node, sent.peer, sent.link) == (got.peer, got.node, got.link)
        and (sent.mti, sent.stan, sent.rrn, sent.code) == (got.mti, got.stan, got.rrn, got.code)
    )  # fmt: skip


def _said(event: Event) -> str:
    parts = [event.mti, event.stan]
    if event.code:
        parts.append(f"code {event.code}")
    elif event.amount_minor >= 0:
        parts.append(f"{event.amount_minor / 100:.2f}")
    return " ".join(part for part in parts if part)
