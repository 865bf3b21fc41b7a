"""`tapswitch stand-in show` against a worker whose bank is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from switch.cli.stand_in import command
from switch.control.members import MemberDone
from switch.control.order import By
from switch.control.remote import ask
from switch.control.stand_in import StandInSuspend
from switch.control.stand_in_show import StandInShow, StandInShown
from switch.errors import OrderError
from switch.native import meter
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig

RULES = """
suspect_ms = 0
[[issuers.stand_in]]
name = "small"
when = ["unreachable", "circuit"]
cards = ["plain"]
prefixes = ["629900", "6299001234"]
currency = "156"
amount_minor_max = 5000
count_max = 2
sum_minor_max = 12000
bank_sum_minor_max = 30000
[[issuers.stand_in]]
name = "foreign"
when = ["timeout"]
mccs = ["4111"]
currency = "978"
amount_minor_max = 700
count_max = 1
sum_minor_max = 700
"""
CARD, OTHER = "6299001234567891", "6299001234567883"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Rig]:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], bank=RULES) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        yield node


def sale(pan: str, amount: int) -> dict[str, Any]:
    return dict(purchase(amount=amount, pan=pan, expiry="3012"))


async def stand_in(directory: Path, *words: str) -> Result:
    told = ["show", *words, "--config", str(directory)]
    return await asyncio.to_thread(CliRunner().invoke, command, told)


async def told(node: Rig, member: str = "") -> Any:
    """What `-o json` prints, without the log of the worker that shares this process."""
    order = StandInShow(member=member)
    answer = await asyncio.to_thread(ask, node.worker.settings, order, StandInShown)
    return msgspec.to_builtins(answer)


async def test_rules_limits_and_what_was_spent_are_shown(node: Rig, tmp_path: Path) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    wanted = [(CARD, 1_000), (CARD, 5_000), (CARD, 100), (OTHER, 4_000), (OTHER, 5_001)]
    codes = [(await acquirer.ask(sale(*one))).get("response_code") for one in wanted]
    assert codes == ["00", "00", "91", "00", "91"]
    (bank,) = (await told(node))["banks"]
    assert bank["today"] == [
        {"currency": "156", "count": 3, "sum_minor": 10_000},
        {"currency": "978", "count": 0, "sum_minor": 0},
    ]
    small, foreign = bank["rules"]
    assert small["results"] == {"stood": 3, "count": 1}
    assert (small["bank_sum_minor_max"], small["bank_sum_minor_left"]) == (30_000, 20_000)
    assert (foreign["results"], foreign["bank_sum_minor_left"]) == ({}, None)
    shown = await told(node, "BANK01")
    assert (shown["counted"], shown["counted_max"]) == (3, 131_072)
    text = (await stand_in(tmp_path)).output
    assert "approved today: 3, 10,000 minor units of 156" in text
    assert "small since the worker's start: stood 3, count 1" in text
    assert "prefixes 629900, 629900xxxx" in text
    assert "1234" not in text, "of a prefix six digits"
    assert "2 and 12,000" in text


async def test_series_of_a_rule_count_from_the_start(node: Rig) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(sale(CARD, 1_000))).get("response_code") == "00"
    path = str(node.worker.metrics.path)

    def counted(rule: str, result: str) -> int:
        name = f'tapswitch_stand_in_total{{issuer="BANK01",rule="{rule}",result="{result}"}}'
        return meter.MeterReader.open(path).counters()[name]

    await until(lambda: counted("small", "stood") == 1, what="published")
    assert counted("foreign", "stood") == 0


async def test_it_is_shown_as_json_too(node: Rig, tmp_path: Path) -> None:
    assert '"sum_minor_max": 12000' in (await stand_in(tmp_path, "-o", "json")).output


async def test_who_suspended_it_is_shown(node: Rig, tmp_path: Path) -> None:
    why = By(actor="anna", reason="the bank asked for it")
    order = StandInSuspend(member="BANK01", by=why)
    await asyncio.to_thread(ask, node.worker.settings, order, MemberDone)
    assert (await told(node))["banks"][0]["suspended"]["by"] == "anna"
    assert "by anna: the bank asked for it" in (await stand_in(tmp_path)).output


async def test_what_is_no_bank_is_refused(node: Rig, tmp_path: Path) -> None:
    done = await stand_in(tmp_path, "BANK09")
    assert isinstance(done.exception, OrderError)


async def test_without_rules_nothing_is_approved_ever(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]):
        assert "no bank has a rule" in (await stand_in(tmp_path)).output
        assert "no rule: nothing is ever approved" in (await stand_in(tmp_path, "BANK01")).output
    await bank.stop()
