"""`tapswitch terminal` and `keys link`: keys in parts, masked output, errors with help."""

import json
import os
import subprocess
import sys
from pathlib import Path

from psec import des

from tests.support.mac import KEY, node_keys
from tests.support.node import Node
from tests.support.terminals import MERCHANT, POS_ACQUIRER, TERMINALS
from tests.support.tree import ROOT


def tapswitch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "switch", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def part(directory: Path, name: str, key: bytes) -> str:
    file = directory / name
    file.write_text(key.hex(), encoding="ascii")
    file.chmod(0o600)
    return str(file)


def test_transport_key_import_list_and_retire(tmp_path: Path) -> None:
    Node(tmp_path, ["accept"], acquirer=POS_ACQUIRER, tokens=TERMINALS)
    node_keys(tmp_path)
    config = ["--config", str(tmp_path)]
    first = os.urandom(16)
    second = bytes(a ^ b for a, b in zip(first, KEY, strict=True))
    added = tapswitch(
        "keys", "link", "add", "zmk", *config, "--usage", "transport",
        "--component", part(tmp_path, "a", first), "--component", part(tmp_path, "b", second),
        "--check-value", "08D7B4FB",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert "08D7B4FB" in added.stdout
    assert des.generate_kcv(first, 4).hex().upper() in added.stderr
    master = os.urandom(16)
    source = tmp_path / "terminals.csv"
    sealed = des.encrypt_tdes_ecb(KEY, master).hex()
    source.write_text(
        f"terminal_id,merchant_id,master_key,zone\n52010001,{MERCHANT},{sealed},north\n",
        encoding="utf-8",
    )
    of = [*config, "--acquirer", "ACQ01"]
    brought = tapswitch("terminal", "import", str(source), *of, "--transport-key", "zmk")
    assert brought.stdout == "1 terminals of ACQ01\n", brought.stderr
    listed = tapswitch("terminal", "list", *config, "-o", "json")
    (row,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert row["check_value"] == des.generate_kcv(master, 4).hex().upper()
    assert master.hex().upper() not in (listed.stdout + brought.stdout).upper()
    again = tapswitch("terminal", "import", str(source), *of, "--transport-key", "zmk")
    assert again.returncode == 3
    assert "there already" in again.stderr
    assert tapswitch("terminal", "retire", "52010001", *of).returncode == 0
    assert tapswitch("terminal", "list", *config).stdout == ""
    shown = tapswitch("terminal", "show", "52010001", *of)
    assert "retired" in shown.stdout
    other = tapswitch("terminal", "add", "1", *config, "--acquirer", "ACQ1", "--merchant", "M")
    assert other.returncode == 3
    assert 'no acquirer "ACQ1"' in other.stderr
    keys = tapswitch("keys", "link", "list", *config)
    assert "zmk" in keys.stdout
    assert "transport" in keys.stdout
