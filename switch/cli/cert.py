"""`tapswitch cert`: what a node's certificates are and when they end; asking for new ones."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from switch.crypto.certificate import Certificate

__all__ = ["command"]

SCHEMA = "tapswitch.cert/1"
DAY_S = 86_400


@click.group("cert")
def command() -> None:
    """Certificates of links with TLS: what they are, when they end, how to get new ones."""


@command.command("show")
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR|FILE")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def show(path: Path, output: str) -> int:
    """Show the certificates of a configuration DIR by member, or those in a PEM FILE.

    A name that is shown is what the settings of a peer's link may list. Exit code 1: a file is no
    good, or a certificate of ours is not valid now.
    """
    now_s = int(time.time())
    rows = list(_rows(path, now_s))
    if output == "json":
        click.echo(json.dumps({"schema": SCHEMA, "certificates": rows}, ensure_ascii=False))
    else:
        for row in rows:
            click.echo(_text(row))
    bad = (row for row in rows if row.get("problem") or not row["valid"])
    return int(any(row.get("what") != "ca" or row.get("problem") for row in bad))


@command.command("request")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.option("--member", required=True, help="Whose link: an id of the settings.")
@click.option(
    "--name",
    "names",
    multiple=True,
    required=True,
    help="What the certificate is to be for: a DNS name, IP address or URI; may be repeated.",
)
def request_(directory: Path, member: str, names: tuple[str, ...]) -> None:
    """Print a request for a certificate of a member's link, for the CA that both sides agreed on.

    The private key is made in the file that the settings name, when it is not there yet.
    """
    from switch.control.witness import witnessed
    from switch.crypto.issue import request
    from switch.errors import SettingsError
    from switch.settings.load import load
    from switch.settings.nearest import suggest

    settings = load(directory)
    tables = settings.tls()
    if member not in tables:
        raise SettingsError(
            f"there is no member {member} with a table tls",
            file=settings.file,
            help=suggest(member, list(tables)),
        )
    with witnessed(settings.node.data_dir, "cert-request", member=member, names=" ".join(names)):
        made = request(tables[member][1].key, names)
    click.echo(made.decode(), nl=False)


@command.command("practice")
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1, required=True)
def practice_(directory: Path, names: tuple[str, ...]) -> None:
    """Make certificates for NAMES under a CA to practise with, kept in DIRECTORY.

    Good for a link on one machine, or for trying it out with a partner's test host. Each name gets
    NAME.pem and NAME.key, fit for both sides; ca.pem is what the other side trusts.
    """
    from switch.crypto.issue import practice

    for file in practice(directory, names, int(time.time())):
        click.echo(str(file))


def _rows(path: Path, now_s: int) -> Iterator[dict[str, Any]]:
    from switch.crypto.certificate import read_pem
    from switch.errors import CertificateError

    # A settings file is TOML; everything else is taken for certificates.
    if not (path.is_dir() or path.suffix == ".toml"):
        for one in read_pem(str(path), "file")[1]:
            yield _row(one, now_s, file=str(path))
        return
    from switch.settings.load import load

    for member, (_, table) in load(path).tls().items():
        for what, file in (("ours", table.certificate), ("ca", table.ca)):
            try:
                found = read_pem(file, "CA file" if what == "ca" else "certificate")[1]
            except CertificateError as error:
                yield {"member": member, "what": what, "file": file, "problem": error.problem}
                continue
            for one in found:
                more = {"expected": list(table.names)} if what == "ca" else {}
                yield {"member": member, "what": what, **_row(one, now_s, file=file), **more}


def _row(one: "Certificate", now_s: int, *, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "subject": one.subject,
        "issuer": one.issuer,
        "names": list(one.names),
        "not_before": _day(one.not_before_s),
        "not_after": _day(one.not_after_s),
        "valid": one.not_before_s <= now_s < one.not_after_s,
        "days": (one.not_after_s - now_s) // DAY_S,
        "purposes": [
            name for name, fit in (("server", one.for_server), ("client", one.for_client)) if fit
        ],
        "ca": one.is_ca,
        "sha256": one.fingerprint,
    }


def _text(row: dict[str, Any]) -> str:
    head = f"{row['member']} {row['what']}: " if "member" in row else ""
    if "problem" in row:
        return f"{head}{row['file']}: {row['problem']}"
    left = f"{row['days']} days left" if row["valid"] else "NOT VALID NOW"
    lines = [
        f"{head}{row['subject']}",
        f"  names     {', '.join(row['names'])}",
        f"  signed by {row['issuer']}",
        f"  valid     {row['not_before']} to {row['not_after']}, {left}",
        f"  for       {', '.join(row['purposes'])}{', signing others' if row['ca'] else ''}",
        f"  file      {row['file']}",
    ]
    if row.get("expected"):
        lines.append(f"  peer must be one of {', '.join(row['expected'])}")
    return "\n".join(lines)


def _day(at_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))
