"""Row 18: nobody takes what a node has to say. Its log's disk is full, or the collector at the
other end of its pipe has stopped: payments do not notice, and what was lost is counted. The disk
under the audit is full: no order is carried out unrecorded, and payments do not notice either."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from switch.native import meter
from switch.observe.totals import Totals
from tests.support.disk import Ballast, small_disk
from tests.support.peer import Acquirer, until
from tests.support.tree import ROOT
from tests.support.world import World, world

STANDS_STILL = """
import os, sys
reading, writing = os.pipe()
os.set_inheritable(reading, True)
os.dup2(writing, 2)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A process whose log is a pipe with a reader that never reads."""
FULL = """
import os, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def lost(w: World) -> int:
    totals = Totals()
    totals.read(meter.MeterReader.open(str(w.node.told()["meter"])))
    return totals.of("tapswitch_log_lines_lost_total")


async def talk(w: World) -> None:
    """Gives the worker much to say: every connection is a line at its beginning and its end."""
    for _ in range(60):
        links = [await Acquirer.connect(w.node.acquirer) for _ in range(8)]
        for link in links:
            await link.close()


@pytest.mark.parametrize("how", ["stands still", "full"])
async def test_a_log_that_nobody_takes_costs_lines_and_no_payment(tmp_path: Path, how: str) -> None:
    disk = tmp_path / "log"
    with small_disk(disk, 64):
        async with world(tmp_path, started=False) as w:
            if how == "full":
                Ballast(disk).fill()
                w.bare.wrapped = (sys.executable, "-c", FULL, str(disk / "log"))
            else:
                w.bare.wrapped = (sys.executable, "-c", STANDS_STILL)
            await w.start()
            await w.begin()
            await w.sold(5)
            await talk(w)
            await w.sold(40)
            await until(lambda: lost(w) > 50, what="counted")
            report = await w.conserved()
            assert report.offered > 40


def order(w: World, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "switch", *words, "--config", str(w.node.directory)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


async def test_an_audit_without_room_refuses_orders_and_no_payment(tmp_path: Path) -> None:
    audit = tmp_path / "node" / "data" / "audit"
    with small_disk(audit, 64):
        async with world(tmp_path) as w:
            await w.sold(5)

            async def drained(member: str) -> Any:
                return await asyncio.to_thread(
                    order, w, "member", "drain", member, "--reason", "drill", "--yes"
                )

            ballast = Ballast(audit)
            ballast.fill()
            # The last page of the file has room for some.
            echo = ("member", "echo", "BANK01")
            for _ in range(5):
                asked = [asyncio.to_thread(order, w, *echo) for _ in range(6)]
                if any(one.returncode for one in await asyncio.gather(*asked)):
                    break
            refused = await drained("BANK01")
            assert refused.returncode != 0
            assert "audit" in refused.stderr + refused.stdout
            assert "No space left" in refused.stderr + refused.stdout
            # It did not happen: the bank is asked as before.
            approved = w.fleet.status()["approved"]
            await until(lambda: w.fleet.status()["approved"] > approved + 20, what="sales")
            ballast.drop()
            done = await drained("BANK01")
            assert done.returncode == 0, done.stderr
            await until(lambda: w.fleet.status()["declined"].get("91", 0) > 0, what="drained")
            back = await asyncio.to_thread(
                order, w, "member", "enable", "BANK01", "--reason", "drill"
            )
            assert back.returncode == 0, back.stderr
            await w.sold(10)
            await w.conserved()
        verified = order(w, "audit", "verify", "--orders-only")
        assert verified.returncode == 0, verified.stdout + verified.stderr
