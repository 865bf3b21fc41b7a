"""`tapswitch saf` against a worker: what is printed, and what is asked before the final word."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from switch.cli.saf import command
from switch.errors import OrderError
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Rig]:
    """A node whose bank refuses an advice: one dead letter."""
    bank = Bank()
    bank.advice_code = "51"
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase(), "0220")).get("response_code") == "00"
        await until(lambda: node.worker.driver.engine.deliveries.dead == 1, what="a dead letter")
        yield node
    await bank.stop()


async def saf(directory: Path, *words: str, by: str = "") -> Result:
    """`by`: the person behind sudo."""
    told = [*words, "--config", str(directory)]
    runner = CliRunner(env={"SUDO_USER": by})
    return await asyncio.to_thread(runner.invoke, command, told)


async def test_it_is_listed_as_a_table_and_as_json(node: Rig, tmp_path: Path) -> None:
    lines = (await saf(tmp_path, "list")).output.splitlines()
    assert lines[0].split() == ["MEMBER", "MOVING", "PARKED", "HELD", "DEAD"]
    assert lines[1].split() == ["BANK01", "0", "0", "0", "1"]
    assert lines[-1].split()[1:4] == ["advice", "BANK01", "dead"]
    assert lines[-1].endswith("by order (51)")
    told = json.loads((await saf(tmp_path, "list", "-o", "json")).output)
    assert (told["deliveries"][0]["stage"], told["more"]) == ("dead", False)
    one = await saf(tmp_path, "show", told["deliveries"][0]["id"])
    assert one.output.splitlines()[-1].split()[1] == "advice"


async def test_the_final_word_is_asked_for_and_wants_a_reason(node: Rig, tmp_path: Path) -> None:
    told = json.loads((await saf(tmp_path, "list", "-o", "json")).output)
    only = told["deliveries"][0]["id"]
    assert (await saf(tmp_path, "write-off", only, "--yes")).exit_code == 2
    unasked = await saf(tmp_path, "write-off", only, "--reason", "by phone")
    assert unasked.exit_code == 2
    assert "would be written off" in unasked.output
    only_said = await saf(tmp_path, "write-off", only, "--reason", "by phone", "--dry-run")
    assert "would be written off" in only_said.output
    write_off = ("write-off", only, "--reason", "by phone", "--yes")
    asked = await saf(tmp_path, *write_off, by="anna")
    assert "is written off once another operator confirms it" in asked.output
    listed = (await saf(tmp_path, "list")).output
    assert "write-off to be confirmed (anna asked)" in listed
    again = await saf(tmp_path, *write_off, "--confirm", by="anna")
    assert isinstance(again.exception, OrderError)
    gone = await saf(tmp_path, *write_off, "--confirm", by="bert")
    assert "is written off" in gone.output
    assert (await saf(tmp_path, "list")).output.splitlines()[-1] == "nothing to show"


async def test_retry_wants_a_transaction_or_a_member(node: Rig, tmp_path: Path) -> None:
    assert (await saf(tmp_path, "retry", "--reason", "x")).exit_code == 2
    both = await saf(tmp_path, "retry", "1-0-1", "--member", "BANK01", "--reason", "x")
    assert both.exit_code == 2
    done = await saf(tmp_path, "retry", "--member", "BANK01", "--reason", "its table is mended")
    assert "1 of BANK01 are sent again" in done.output
