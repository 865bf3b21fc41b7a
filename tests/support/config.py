"""A small configuration directory for tests, written as text so that places can be checked."""

from pathlib import Path

__all__ = ["SWITCH", "write_config"]

SWITCH = """\
[node]
institution_code = "00000000001"

[[acquirers]]
id = "ACQ01"
institution_code = "00000010001"
listen = "127.0.0.1:4001"

[[issuers]]
id = "BANK01"
institution_code = "00000020001"
addresses = ["127.0.0.1:5001"]

[[issuers]]
id = "BANK02"
institution_code = "00000020002"
mode = "accept"
listen = "127.0.0.1:4102"
"""

ROUTES = """\
[[routes]]
prefix = "629900"
issuer = "BANK01"

[[routes]]
prefix = "629901"
issuer = "BANK02"
"""

DIALECT = 'name = "iso87-ascii"\n'


def write_config(
    directory: Path, switch: str = SWITCH, routes: str = ROUTES, dialect: str = DIALECT
) -> Path:
    """A configuration directory with one routes file and one dialect; returns `directory`."""
    for name in ("routes", "dialects"):
        (directory / name).mkdir(exist_ok=True)
    (directory / "switch.toml").write_text(switch, encoding="utf-8")
    (directory / "routes" / "cards.toml").write_text(routes, encoding="utf-8")
    (directory / "dialects" / "iso87-ascii.toml").write_text(dialect, encoding="utf-8")
    return directory
