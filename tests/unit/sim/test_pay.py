"""One purchase from the command line, against a node in this process's loop beside it."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from switch.cli import run
from tests.support.ca import Authority, tls_table
from tests.support.peer import Bank
from tests.support.rig import rig
from tests.support.tree import ROOT


async def pay(address: str, *words: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "switch", "sim", "pay", "--connect", address,
        "--institution-code", "10001", "--prefix", "629900", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_purchase_is_paid_declined_and_taken_back(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    ours, theirs = ca.issue("switch.test"), ca.issue("acq01.test")
    bank = Bank()
    directory = tmp_path / "node"
    directory.mkdir()
    table = tls_table("acquirers", ours, "acq01.test")
    async with rig(directory, [await bank.start()], acquirer=table) as node:
        tls = ["--tls", *theirs, "--tls-name", "switch.test"]
        code, output = await pay(node.acquirer, *tls, "--take-back")
        assert code == 0
        assert re.fullmatch(
            r"12\.34 with 629900\*{6}\d{4}, terminal's number \d{6}, reference \d{12}\n"
            r"00 [a-z]+.*, authorisation A00001, after \d+\.\d ms\nreversed\n",
            output,
        ), output
        assert len(bank.reversals) == 1
        bank.code = "51"
        code, output = await pay(node.acquirer, *tls, "-o", "json")
        assert code == 0
        paid = json.loads(output)
        assert (paid["code"], paid["reversed"]) == ("51", False)
        # Another name than the switch's is not spoken to.
        code, output = await pay(node.acquirer, "--tls", *theirs, "--tls-name", "other.test")
        assert (code, "signed on" in output) == (4, True)
    await bank.stop()


@pytest.mark.parametrize("words", [["--prefix", "400000"], ["--amount", "12"], ["--digits", "9"]])
def test_only_test_cards_and_whole_amounts(words: list[str]) -> None:
    wanted = ["--connect", "127.0.0.1:1", "--institution-code", "1", "--prefix", "629900"]
    assert run(["sim", "pay", *wanted, *words]) == 2
