"""`tapswitch explain`: what a code means and what to do. Works offline."""

import json
import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from switch.observe.codes import Code, Language

__all__ = ["command"]

SCHEMA = "tapswitch.explain/1"
HEADS = {
    "cause": ("cause", "原因"),
    "money": ("money", "资金影响"),
    "fix": ("what to do", "处置"),
    "acts": ("who acts", "处置人"),
    "retired": ("retired", "已停用"),
    "answered": ("answered to an acquirer with", "对收单方应答"),
    "exit": ("exit code of a command", "命令退出码"),
}


@click.command("explain")
@click.argument("code", default="", metavar="[CODE]")
@click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default=lambda: "zh" if os.environ.get("LANG", "").startswith("zh") else "en",
    help="Language of the text (default: by LANG).",
)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def command(code: str, lang: "Language", output: str) -> int:
    """Explain an error (TSW-O0102 or O0102), an end code (TW), a rule (walk.3), a response code
    (51).

    Without CODE all are listed. Exit code 1: there is no such code.
    """
    from switch.observe.codes import codes, explain, suggestion

    found = explain(code) if code else list(codes())
    if output == "json":
        rows = [_row(one) for one in found]
        click.echo(json.dumps({"schema": SCHEMA, "codes": rows}, ensure_ascii=False, indent=2))
    elif not code:
        for one in found:
            click.echo(f"{one.code:10}  {one.severity:8}  {one.text('title', lang)}")
    else:
        click.echo("\n\n".join(_text(one, code, lang) for one in found), nl=bool(found))
    if found:
        return 0
    near = suggestion(code)
    click.echo(
        f"there is no code {code!r}"
        + (f"; did you mean {near}?" if near else "; `tapswitch explain` lists all"),
        err=True,
    )
    return 1


def _row(code: "Code") -> dict[str, Any]:
    import msgspec

    row: dict[str, Any] = msgspec.to_builtins(code)
    return {name: value for name, value in row.items() if value != ""}


def _text(code: "Code", asked: str, lang: "Language") -> str:
    from switch.observe.codes import KINDS

    place = 0 if lang == "en" else 1
    lines = [
        f"{code.code}  {code.text('title', lang)}",
        f"  {KINDS[code.kind][place]}, {code.severity}, since {code.since}"
        if lang == "en"
        else f"  {KINDS[code.kind][place]}，{code.severity}，自 {code.since} 起",
    ]
    from switch.model.end import RETIRED

    if asked.upper() in RETIRED and code.kind == "end":
        lines.append(f"  {HEADS['retired'][place]}: {asked.upper()} → {code.code}")
    for name in ("cause", "money", "fix"):
        if text := code.text(name, lang):
            head = HEADS["acts" if name == "fix" and code.kind == "end" else name][place]
            lines += ["", f"{head}:" if lang == "en" else f"{head}：", *_wrapped(text)]
    if code.kind == "class":
        from switch.errors import REGISTRY

        found = REGISTRY[code.code]
        lines += ["", f"{HEADS['answered'][place]} {found.response_code};"]
        lines[-1] += f" {HEADS['exit'][place]} {found.exit_code}"
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    import textwrap

    if not text.isascii() and "。" in text:
        return [f"  {text}"]
    return textwrap.wrap(text, 96, initial_indent="  ", subsequent_indent="  ")
