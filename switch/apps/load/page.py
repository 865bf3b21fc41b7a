"""The report as one HTML file that fetches nothing: no script, font or picture from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from switch.apps.load.model import Run
from switch.apps.load.picture import Picture, us
from switch.apps.load.svg import STYLE

__all__ = ["page", "verdict"]

_STYLE: Final = """\
:root{color-scheme:light dark}
body{margin:0 auto;max-width:60rem;padding:1rem 1.25rem 4rem;color:var(--ink);
background:var(--paper);
font:16px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans","PingFang SC",sans-serif}
h1{font-size:1.5rem;margin:.5rem 0 0}h2{font-size:1.15rem;margin:2.5rem 0 .25rem}
p{margin:.25rem 0 .75rem}.faint{color:var(--faint)}
.verdict{border-left:.4rem solid;padding:.5rem 1rem;margin:1rem 0;background:var(--band)}
.verdict strong{font-size:1.15rem}.good{border-color:var(--good)}.good strong{color:var(--good)}
.bad{border-color:var(--bad)}.bad strong{color:var(--bad)}
ul{margin:.25rem 0;padding-left:1.25rem}ul.plain{list-style:none;padding-left:0}
dl.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;
margin:1rem 0}
dl.tiles div{background:var(--band);padding:.5rem .75rem}
dl.tiles dt{color:var(--faint);font-size:.85rem}dl.tiles dd{margin:0;font-size:1.3rem;
font-variant-numeric:tabular-nums}
figure{margin:1rem 0}figcaption{color:var(--faint)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--faint);padding:.25rem 0}
th,td{padding:.2rem .75rem .2rem 0;text-align:right;white-space:nowrap;
border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{text-align:left}td.words{white-space:normal;text-align:left;
overflow-wrap:anywhere}
details summary{cursor:pointer;color:var(--first);padding:.25rem 0}
a{color:var(--first)}:focus-visible{outline:2px solid var(--first);outline-offset:2px}
@media print{details{display:block}body{max-width:none}}
"""


def verdict(run: Run) -> tuple[bool, str, str]:
    """Whether it is good news, one word, and a sentence."""
    agree = run.conservation is None or run.conservation["ok"]
    if not agree:
        return False, "FAILED", "The ledgers do not agree: no figure of this run counts."
    if not run.valid:
        return False, "INVALID", "; ".join(run.faults) + "."
    if run.tool == "ladder":
        if run.sustained is None:
            return False, "FAILED", f"No rate held: {run.limited_by}."
        return True, "PASSED", f"{run.sustained:,.0f} requests a second held; {run.limited_by}."
    bad = [one.text.removeprefix("✗ ") for one in run.verdicts if not one.ok]
    if bad:
        return False, "FAILED", "; ".join(bad) + "."
    return (
        True,
        "PASSED",
        "Every threshold was kept." if run.verdicts else "There was no threshold.",
    )


def page(run: Run, pictures: Sequence[Picture]) -> str:
    """The whole file."""
    good, word, sentence = verdict(run)
    sign = "✓" if good else "✗"
    parts = [
        f"<h1>{escape(run.title)}</h1>",
        (
            f'<p class="faint">{escape(run.at)} · {run.seconds:,.0f} s · '
            f"{escape(run.environment.get('machine', {}).get('cpu', ''))} · "
            f"commit {escape(run.environment.get('build', {}).get('commit', 'unknown'))}</p>"
        ),
        (
            f'<div class="verdict {"good" if good else "bad"}"><strong>{sign} {word}</strong>'
            f"<br>{escape(sentence)}</div>"
        ),
        tiles(run),
        thresholds(run),
        *(figure(one) for one in pictures),
        "<h2>Durations</h2>",
        durations(run),
        "<h2>Requests</h2>",
        requests(run),
        conservation(run),
        "<h2>What was asked for</h2>",
        facts({name: str(value) for name, value in sorted(run.plan.items())}, "setting"),
        "<h2>Where it ran</h2>",
        *(facts(several, subject) for subject, several in sorted(run.environment.items())),
        (
            '<p class="faint">Latency from due counts from when a request was to be sent, so that '
            "nothing that stands still can hide it; from sent is what the switch itself took. "
            "run.hlog beside this page holds every slice for other tools.</p>"
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(run.title)}: {word}</title>\n<style>{STYLE}{_STYLE}</style>\n</head>\n"
        f'<body class="lp"><main>\n' + "\n".join(parts) + "\n</main></body>\n</html>\n"
    )


def tiles(run: Run) -> str:
    """The figures that are asked for first."""
    found: list[tuple[str, str]] = []
    if run.tool == "ladder":
        found.append(("held", "none" if run.sustained is None else f"{run.sustained:,.0f}/s"))
    for one in run.entries[:1]:
        found += [
            (f"p50 {one.name}", us(one.p50_us)),
            (f"p99 {one.name}", us(one.p99_us)),
            (f"p99.9 {one.name}", us(one.p999_us)),
            (f"longest {one.name}", us(one.max_us)),
        ]
    found.append(("offered", f"{sum(kind.offered for kind in run.kinds):,}"))
    found.append(("errors", f"{sum(kind.errors for kind in run.kinds):,}"))
    found.append(("not sent", f"{sum(kind.not_sent for kind in run.kinds):,}"))
    cells = "".join(f"<div><dt>{escape(a)}</dt><dd>{escape(b)}</dd></div>" for a, b in found)
    return f'<dl class="tiles">{cells}</dl>'


def thresholds(run: Run) -> str:
    if not run.verdicts:
        return ""
    items = "".join(f"<li>{escape(one.text)}</li>" for one in run.verdicts)
    where = " (of the step whose figures are shown)" if run.tool == "ladder" else ""
    return f'<h2>Thresholds{where}</h2><ul class="plain">{items}</ul>'


def figure(one: Picture) -> str:
    return (
        f"<h2>{escape(one.title)}</h2><figure>{one.svg}<figcaption>{escape(one.says)}"
        "</figcaption></figure><details><summary>The same as a table</summary>"
        f"{table(one.head, one.rows)}</details>"
    )


def durations(run: Run) -> str:
    head = ("counted", "requests", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "longest")
    rows = [
        (
            one.name,
            f"{one.count:,}",
            *(
                us(value)
                for value in (
                    one.mean_us, one.p50_us, one.p90_us, one.p99_us, one.p999_us, one.p9999_us,
                    one.max_us,
                )
            ),
        )
        for one in run.entries
    ]  # fmt: skip
    return table(head, rows, "A dash: fewer than ten requests lie beyond it.")


def requests(run: Run) -> str:
    head = (
        "kind", "offered", "answered", "declined", "errors", "time-outs", "not sent", "late",
        "codes",
    )  # fmt: skip
    rows = [
        (
            one.name,
            *(
                f"{value:,}"
                for value in (
                    one.offered, one.answered, one.declined, one.errors, one.timeouts,
                    one.not_sent, one.late,
                )
            ),
            ", ".join(f"{code} {count:,}" for code, count in sorted(one.codes.items())),
        )
        for one in run.kinds
    ]  # fmt: skip
    return table(head, rows)


def conservation(run: Run) -> str:
    kept = run.conservation
    if kept is None:
        return "<h2>Conservation</h2><p>The ledgers could not be looked at: not our own node.</p>"
    if kept["ok"]:
        said = (
            f"✓ Terminals, journal and banks agree on {kept['approvals_acquirer']:,} approvals; "
            f"{kept['reversed']:,} requests were reversed."
        )
        return f"<h2>Conservation</h2><p>{said}</p>"
    lines = [*kept["problems"], *(f"{one['rule']}: {one['text']}" for one in kept["findings"])]
    items = "".join(f"<li>✗ {escape(line)}</li>" for line in lines)
    return f'<h2>Conservation</h2><ul class="plain">{items}</ul>'


def facts(several: Mapping[str, str], subject: str) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="words">{escape(value)}</td></tr>'
        for name, value in several.items()
    )
    return f'<div class="wide"><table><caption>{escape(subject)}</caption>{rows}</table></div>'


def table(head: Iterable[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table>{said}<thead><tr>{top}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )
