"""The gateway ends without warning between any two steps of an order: the stricter state is in
force at once, and the repair makes vault and index equal.

A child process carries out one order and ends itself (os._exit) at a named step; what it leaves is
looked at before and after the next start.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from switch.crypto.keyfile import open_keys
from switch.errors import TokenError
from switch.native import journal
from switch.tokens import orders
from tests.support.journal import make_keys
from tests.support.tree import ROOT
from tests.support.vault import BY, Room, card, differences, opened, provision

CRASHED = 42
CHILD = """
import asyncio, os, sys
from pathlib import Path
import msgspec
from switch.tokens import orders
from tests.faults.test_token_crash import CRASHED, keys_in
from tests.support.vault import opened

directory, at, order = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def step(name):
    print(name, flush=True)
    if name == at:
        os._exit(CRASHED)

async def main():
    async with opened(directory, keys_in(directory), step=step) as room:
        if order == "repair":
            return
        await room.service.perform(msgspec.json.decode(order, type=orders.Order))

asyncio.run(main())
"""


def keys_in(directory: Path) -> journal.Keys:
    return open_keys(str(directory / "switch.keys"), str(directory / "sealing.key"))


def perform(directory: Path, order: orders.Order | None, at: str = "") -> tuple[int, list[str]]:
    """One order (None: only the repair) in a process of its own: exit code and steps passed."""
    told = "repair" if order is None else msgspec.json.encode(order).decode()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(directory), at, told],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, CRASHED), done.stderr
    return done.returncode, done.stdout.split()


ORDERS = ["issue", "import", "suspend", "resume", "delete", "replace-pan"]


async def prepared(directory: Path, name: str) -> tuple[orders.Order, str]:
    """An order, and the token that it is about ('' when it makes one)."""
    make_keys(directory)
    async with opened(directory, keys_in(directory)) as room:
        token = (await room.issue(1)).token
        await room.issue(2)
        if name == "resume":
            await room.suspend(token)
    made: dict[str, orders.Order] = {
        "issue": orders.Issue(by=BY, provision=provision(3)),
        "import": orders.Import(by=BY, rows=[provision(n) for n in range(3, 9)]),
        "suspend": orders.Suspend(by=BY, token=token),
        "resume": orders.Resume(by=BY, token=token),
        "delete": orders.Delete(by=BY, token=token),
        "replace-pan": orders.ReplacePan(by=BY, token=token, card=card(9, "3312")),
    }
    return made[name], "" if name in {"issue", "import"} else token


RESTRICTING = {"suspend": "suspended", "delete": "deleted"}
STEPS = {
    "issue": ["issue.vault", "issue.index"],
    "import": ["import.vault", "import.index"],
    "resume": ["resume.vault", "resume.index"],
    "suspend": ["suspend.intent", "suspend.index", "suspend.vault"],
    "delete": ["delete.intent", "delete.index", "delete.vault"],
    "replace-pan": ["replace-pan.intent", "replace-pan.index", "replace-pan.vault"],
}


async def strict_before_the_repair(room: Room, name: str, at: str, token: str) -> None:
    """What the next tap meets after the crash, before anybody has repaired anything."""
    if name in RESTRICTING:
        assert room.usable(token) == (at == f"{name}.intent"), "not yet answered, or in force"
    if name == "resume":
        assert room.usable(token) == (at == "resume.index")
    if name == "replace-pan" and at != "replace-pan.intent":
        found = room.tap(token)
        assert found is not None
        assert found["mapping_version"] == 2
    if name in {"issue", "import"} and at.endswith(".vault"):
        assert len(room.books.index) == 2


async def completed_after_the_repair(room: Room, name: str, token: str) -> None:
    """What was begun is brought to its end, once, and audited once."""
    if name in RESTRICTING:
        assert (await room.show(token)).state == RESTRICTING[name]
        assert not room.usable(token)
    if name == "resume":
        assert (await room.show(token)).state == "active"
        assert room.usable(token)
    if name == "replace-pan":
        shown = await room.show(token)
        assert (shown.mapping_version, shown.card_expiry) == (2, "3312")
        assert [old.version for old in shown.history] == [1]
    if name in {"issue", "import"}:
        assert len(room.books.index) == (3 if name == "issue" else 8)
    done = [row for row in await room.audit() if row.action == name and row.outcome == "done"]
    assert len(done) == (3 if name == "issue" else 1)
    assert all((row.actor, row.reason) == (BY.actor, BY.reason) for row in done)
    verdict = await room.service.perform(orders.VerifyAudit(by=BY))
    assert isinstance(verdict, orders.AuditVerdict)
    assert verdict.broken_at == 0


@pytest.mark.parametrize("name", ORDERS)
async def test_every_step_of_an_order_is_named(tmp_path: Path, name: str) -> None:
    """So that the next test crashes between every two of them."""
    order, _ = await prepared(tmp_path, name)
    assert perform(tmp_path, order) == (0, STEPS[name])


@pytest.mark.parametrize("at", [at for name in ORDERS for at in STEPS[name]])
async def test_crash_leaves_the_stricter_state_and_the_repair_makes_both_equal(
    tmp_path: Path, at: str
) -> None:
    name = at.rpartition(".")[0]
    order, token = await prepared(tmp_path, name)
    assert perform(tmp_path, order, at)[0] == CRASHED
    async with opened(tmp_path, keys_in(tmp_path), repaired=False) as room:
        await strict_before_the_repair(room, name, at, token)
        await room.books.repair()
        assert await differences(room) == []
        assert await room.books.vault.intents() == []
        await completed_after_the_repair(room, name, token)


@pytest.mark.parametrize("at", ["suspend.intent", "suspend.index"])
async def test_crash_in_the_repair_itself_is_repaired(tmp_path: Path, at: str) -> None:
    order, token = await prepared(tmp_path, "suspend")
    assert perform(tmp_path, order, at)[0] == CRASHED
    assert perform(tmp_path, None, "repair.intent")[0] == CRASHED
    if at == "suspend.intent":
        assert perform(tmp_path, None, "repair.page")[0] == CRASHED
    async with opened(tmp_path, keys_in(tmp_path)) as room:
        assert await differences(room) == []
        await completed_after_the_repair(room, "suspend", token)


@pytest.mark.parametrize("at", ["rebuild.page", "rebuild.filled", "rebuild.finished"])
async def test_crash_in_a_rebuild_leaves_one_whole_index(tmp_path: Path, at: str) -> None:
    await prepared(tmp_path, "issue")
    order = orders.Reindex(by=BY)
    assert perform(tmp_path, order, at)[0] == CRASHED
    async with opened(tmp_path, keys_in(tmp_path), repaired=False) as room:
        # The one in force answers before anything is repaired, whichever of the two it is.
        assert room.books.index.why == ""
        assert len(room.books.index) == 2
        await room.books.repair()
        assert await differences(room) == []
        await room.books.rebuild()
        assert await differences(room) == []
    left = [file for file in (tmp_path / "index").iterdir() if file.is_dir()]
    assert len(left) == 1, "half a generation is removed by the next rebuild"


async def test_what_was_never_durable_is_as_if_never_ordered(tmp_path: Path) -> None:
    _, token = await prepared(tmp_path, "suspend")
    async with opened(tmp_path, keys_in(tmp_path)) as room:
        with pytest.raises(TokenError):
            await room.replace(token, card(9, "3399"))
        assert room.usable(token)
        assert await differences(room) == []
