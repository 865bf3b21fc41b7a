"""Every command of the front door: what it leaves in an audit, and what needs none."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from switch.cli import root, run
from switch.control.audit import audit_file, read, verify
from tests.support.config import SWITCH, write_config

BY_COMMAND = {
    "keys create", "keys card-master add", "keys card-master retire", "keys link add",
    "keys link retire", "terminal add", "terminal import", "terminal retire", "cert request",
    "audit show", "audit verify", "audit anchor",
}  # fmt: skip
"""They record themselves (switch/control/witness.py)."""
LOOKS = {
    "keys show", "keys card-master list", "keys link list", "terminal list", "terminal show",
    "cert show", "cert practice",
}  # fmt: skip
"""They change nothing of a node and show no secret."""


def leaves(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_command_beside_a_node_is_recorded_or_only_looks() -> None:
    """Those that ask a worker are recorded by it (tests/unit/control/test_audit.py), those about
    tokens in the vault (tests/unit/tokens/test_service.py)."""
    for name, command in leaves(root):
        assert command.callback is not None
        called = set(command.callback.__code__.co_names)
        if called & {"witnessed", "_looked"}:
            assert name in BY_COMMAND, name
        elif name.split()[0] in {"keys", "terminal", "cert", "audit"} and "ask" not in called:
            assert name in LOOKS, name
    assert {name for name, _ in leaves(root)} >= BY_COMMAND | LOOKS


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A node that was there before, with registry, tokens and a link with TLS."""
    (tmp_path / "data").mkdir()
    more = '[terminals]\n[tokens]\nranges = [{ prefix = "629950", length = 16 }]\n'
    tls = (
        '[acquirers.tls]\ncertificate = "a.pem"\nkey = "keys/a.key"\nca = "ca.pem"\nnames = ["x"]\n'
    )
    text = SWITCH.replace('listen = "127.0.0.1:4001"\n', f'listen = "127.0.0.1:4001"\n{tls}')
    return write_config(tmp_path, text + more)


def test_commands_beside_a_node_are_in_its_audit_refused_ones_too(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", str(directory)]
    key = directory / "part"
    key.write_bytes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
    key.chmod(0o600)
    terminals = directory / "terminals.csv"
    terminals.write_text("terminal_id,merchant_id,master_key\n52010002,M1," + "0" * 31 + "1\n")
    place = ["--scheme", "unionpay", "--prefix", "629950", "--index", "1"]
    plan: list[tuple[str, list[str], int | None]] = [
        ("keys create", [], 0),
        ("keys create", [], 3),
        (
            "keys card-master add",
            [*place, "--institution", "B1", "--option", "A", "--check-value", "08D7B4",
             "--key", str(key)],
            0,
        ),
        ("keys card-master retire", [*place, "--version", "9"], 3),
        ("keys link add", ["acq", "--component", str(key)], 0),
        ("keys link retire", ["acq", "--version", "7"], 3),
        ("terminal add", ["52010001", "--acquirer", "ACQ01", "--merchant", "M1",
                          "--component", str(key)], None),
        ("terminal import", [str(terminals), "--acquirer", "ACQ01", "--transport-key", "none"], 3),
        ("terminal retire", ["52019999", "--acquirer", "ACQ01"], 3),
        ("cert request", ["--member", "ACQ01", "--name", "a.example"], 0),
        ("audit show", [], 0),
        ("audit anchor", [], 0),
        ("audit verify", ["--orders-only"], 0),
    ]  # fmt: skip
    assert {name for name, _, _ in plan} == BY_COMMAND
    file = audit_file(directory / "data")
    for name, more, code in plan:
        before = len(list(read(file)))
        got = run([*name.split(), *more, *config])
        if code is not None:
            assert got == code, (name, capsys.readouterr().err)
        records = list(read(file))[before:]
        assert records, name
        assert records[0].order["order"] == name.replace(" ", "-")
        outcome = records[-1].outcome
        assert outcome == ("done" if got == 0 else "refused"), name
        assert bool(records[-1].code) == (got != 0)
    assert verify(file).problem == ""
    # Neither key bytes nor what opens them.
    text = file.read_text(encoding="utf-8").upper()
    assert "0123456789ABCDEF" not in text
    assert (directory / "keys" / "sealing.key").read_bytes().hex().upper() not in text


def test_command_that_cannot_be_recorded_changes_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "data" / "audit").mkdir(mode=0o700)
    (directory / "data" / "audit" / "orders.jsonl").write_text("no chain\nnor this\n")
    (directory / "data" / "audit" / "orders.jsonl").chmod(0o600)
    assert run(["keys", "create", "--config", str(directory)]) == 3
    assert "the audit cannot be written" in capsys.readouterr().err
    assert not (directory / "keys").exists()


def test_keys_of_a_node_that_never_ran_need_no_audit(tmp_path: Path) -> None:
    assert run(["keys", "create", "--config", str(write_config(tmp_path))]) == 0
    assert not (tmp_path / "data").exists()


def test_audit_that_is_broken_is_shown_all_the_same_and_says_so(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["keys", "create", "--config", str(directory)])
    file = audit_file(directory / "data")
    file.write_bytes(file.read_bytes().replace(b"keys-create", b"keys-nothing"))
    capsys.readouterr()
    assert run(["audit", "verify", "--orders-only", "--config", str(directory), "-o", "json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["broken_line"] == 1
    assert "this look is not recorded" in told.err
