"""`tapswitch member` against a worker: what is printed, and how it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from switch.cli import run
from switch.cli.member import command
from tests.support.peer import Bank, until
from tests.support.rig import Rig, rig

HEAD = [
    *("MEMBER", "ROLE", "STATE", "LINKS", "SIGNED", "ON", "IN", "FLIGHT", "REVERSALS", "MESSAGES")
]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Rig]:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        yield node
    await bank.stop()


async def tapswitch(*arguments: str) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, command, list(arguments))
    if done.exception is not None:
        raise done.exception
    return done.stdout


async def test_list_prints_a_table_or_json(node: Rig, tmp_path: Path) -> None:
    text = await tapswitch("list", "--config", str(tmp_path))
    assert [line.split() for line in text.splitlines()] == [
        HEAD,
        ["ACQ01", "acquirer", "down", "0/64", "0", "0/4096", "0", "0"],
        ["BANK01", "issuer", "up", "2/2", "2", "0/1024", "0", "0"],
    ]
    told = json.loads(await tapswitch("list", "--config", str(tmp_path), "-o", "json"))
    assert [one["id"] for one in told["members"]] == ["ACQ01", "BANK01"]
    assert told["answer"] == "members"


async def test_show_and_echo_have_a_row_a_line(node: Rig, tmp_path: Path) -> None:
    text = await tapswitch("show", "BANK01", "--config", str(tmp_path))
    assert "member     BANK01  issuer  up" in text
    assert text.count("signed_on") == 2
    rows = (await tapswitch("echo", "BANK01", "--config", str(tmp_path))).splitlines()
    assert [row.split()[2:5] for row in rows[1:]] == [["signed_on", "1", "0"]] * 2


async def test_drain_asks_first_says_what_it_does_and_needs_a_reason(
    node: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["member", "drain", "BANK01", "--config", str(tmp_path)]
    assert await asyncio.to_thread(run, told) == 2
    assert "Missing option '--reason'" in capsys.readouterr().err
    assert await asyncio.to_thread(run, [*told, "--reason", "disk"]) == 2
    asked = " ".join(capsys.readouterr().err.split())
    assert "This drains BANK01: it would end 2 connections once 0 requests in flight" in asked
    assert "Say --yes" in asked
    assert node.member("BANK01").hold == ""
    assert await asyncio.to_thread(run, [*told, "--reason", "disk", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "BANK01: drained: 2 connections ended" in out
    assert ": disk" in out
    assert await asyncio.to_thread(run, ["member", "show", "BANK1", *told[3:]]) == 5
    assert 'did you mean "BANK01"?' in capsys.readouterr().err


async def test_worker_that_is_down_is_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]):
        pass
    await bank.stop()
    assert run(["member", "list", "--config", str(tmp_path)]) == 4
    told = capsys.readouterr().err
    assert "error[TSW-O0105]: no worker of this node takes orders" in told
    assert f"= help: start it: tapswitch run --config {tmp_path}" in told
