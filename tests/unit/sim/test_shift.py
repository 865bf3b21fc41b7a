"""A terminal's shift refuses what it cannot be; a whole one is in the tutorial."""

from pathlib import Path

import pytest

from switch.cli import run
from switch.crypto.keyfile import create_keys
from tests.support.config import write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")
SWITCH = """\
[node]
institution_code = "62990"

[terminals]

[[acquirers]]
id = "SHOPS"
institution_code = "10003"
dialect = "pos-cn"
listen = "127.0.0.1:4001"

[acquirers.mac]
algorithm = "cup-ecb"
keys = "terminal"

[[issuers]]
id = "BANK01"
institution_code = "20001"
addresses = ["127.0.0.1:5001"]
"""


def shift(directory: Path, acquirer: str = "SHOPS", *more: str) -> int:
    where = ["--connect", "127.0.0.1:1", "--node", str(directory), "--acquirer", acquirer]
    return run(["sim", "shift", *where, "--terminal", "52010001", "--prefix", "629900", *more])


def test_real_keys_and_unknown_terminals_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config(tmp_path, SWITCH, "", DIALECT)
    assert shift(tmp_path, "ACQ01") == 3
    assert "is no acquirer of terminals that sign on" in capsys.readouterr().err
    keys = str(tmp_path / "keys" / "switch.keys"), str(tmp_path / "keys" / "sealing.key")
    create_keys(*keys)
    assert shift(tmp_path) == 3
    assert "made of demo keys only" in capsys.readouterr().err
    for file in keys:
        Path(file).unlink()
    create_keys(*keys, demo=True)
    assert shift(tmp_path) == 3
    assert shift(tmp_path, "SHOPS", "--amount", "1") == 2
