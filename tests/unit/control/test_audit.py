"""The audit of orders: chained, whole after a crash, and found out when it is not."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from click.testing import CliRunner

from switch.cli.audit import command
from switch.control import orders
from switch.control.audit import Audit, audit_file, read, verify
from switch.control.member_list import MemberList, MembersShown
from switch.control.order import By, Caller, Order
from switch.control.orders import PERFORM
from switch.control.remote import ask
from switch.errors import AuditError
from switch.observe.catalogue import ACTIONS
from tests.support.peer import Bank
from tests.support.rig import Rig, rig
from tests.support.tree import ROOT

AT_MS = 1_795_456_800_123
CALLER = Caller(4711, 1000, "ops")


class Turn(Order, frozen=True, kw_only=True, tag="turn"):
    """An order of the tests."""

    changes: ClassVar[bool] = True
    member: str = "BANK01"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return audit_file(tmp_path)


def opened(file: Path) -> Audit:
    audit = Audit(file, "1.2.3")
    audit.open(AT_MS, 99)
    return audit


def written(file: Path, orders: int = 3) -> None:
    """A worker's life with some orders."""
    audit = opened(file)
    for number in range(orders):
        order = Turn(by=By(reason=f"because {number}", actor="li"))
        told = audit.order(AT_MS + number, order, CALLER)
        audit.result(AT_MS + number, told, "done", "", "")
    audit.close(AT_MS)


def test_every_order_is_there_with_who_what_why_when_and_result(file: Path) -> None:
    written(file)
    assert verify(file).problem == ""
    records = list(read(file))
    assert [one.kind for one in records] == ["opened", *["order", "result"] * 3, "closed"]
    order, result = records[1:3]
    assert (order.pid, order.uid, order.user, order.actor) == (4711, 1000, "ops", "li")
    assert order.order == {"order": "turn", "member": "BANK01"}
    assert (order.reason, order.at) == ("because 0", "2026-11-23T18:00:00.123Z")
    assert (result.of, result.outcome) == (order.n, "done")
    assert (file.stat().st_mode & 0o777, records[0].version) == (0o600, "1.2.3")


def test_next_worker_goes_on_with_the_chain(file: Path) -> None:
    written(file)
    written(file)
    verdict = verify(file)
    assert (verdict.problem, verdict.records) == ("", 16)


@pytest.mark.parametrize("line", range(8))
def test_a_changed_line_is_named(file: Path, line: int) -> None:
    written(file)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"at":"2026', b'"at":"2027')
    file.write_bytes(b"".join(lines))
    verdict = verify(file)
    assert (verdict.broken_line, verdict.records) == (line + 1, line)
    assert verdict.problem.startswith(f"line {line + 1} is not what was written")


@pytest.mark.parametrize("line", range(7))
def test_a_line_taken_out_is_named(file: Path, line: int) -> None:
    written(file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))
    assert verify(file).broken_line == line + 1


@pytest.mark.parametrize("line", range(8))
def test_a_chain_cut_at_its_end_is_found(file: Path, line: int) -> None:
    written(file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:line]))
    verdict = verify(file)
    assert verdict.broken_line == line + 1
    assert verdict.problem == f"cut at line {line + 1}: {line} records are left, 8 were written"


def test_every_byte_is_covered(file: Path) -> None:
    written(file, 1)
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert verify(file).broken_line > 0, place


def test_damaged_audit_takes_no_orders_and_says_where(file: Path) -> None:
    written(file)
    file.write_bytes(file.read_bytes().replace(b"because 1", b"because 9"))
    audit = Audit(file, "1")
    before = file.read_bytes()
    with pytest.raises(AuditError, match="line 4 is not what was written"):
        audit.open(AT_MS, 1)
    with pytest.raises(AuditError, match="line 4 is not what was written") as raised:
        audit.order(AT_MS, Turn(), CALLER)
    assert "move it away" in raised.value.help
    audit.close(AT_MS)
    assert file.read_bytes() == before


def test_a_crash_at_any_byte_of_a_record_is_taken_up_and_stays_in_sight(file: Path) -> None:
    """Nothing is cut away: the unfinished line stays, and the next record names it."""
    written(file, 1)
    whole = file.read_bytes()
    head = file.with_suffix(".head")
    start = whole[:-1].rindex(b"\n") + 1
    (n, digest) = next((one.n, one.hash) for one in read(file) if one.kind == "result")
    for length in range(1, len(whole) - start):
        file.write_bytes(whole[: start + length])
        head.write_text(f"{n} {digest}\n", encoding="ascii")
        assert verify(file).unfinished_bytes == length
        assert verify(file).problem == ""
        opened(file).close(AT_MS)
        assert verify(file).problem == "", length
        assert file.read_bytes().startswith(whole[: start + length] + b"\n")
        resumed = [one.torn_bytes for one in read(file) if one.kind == "resumed"]
        # Whole but for its newline, it was a record.
        assert resumed == ([length] if length < len(whole) - start - 1 else [])
        # A second start finds nothing odd, and what was left cannot be changed afterwards.
        opened(file).close(AT_MS)
        assert verify(file).problem == ""


def test_left_over_of_a_crash_cannot_be_changed_afterwards(file: Path) -> None:
    written(file, 1)
    with file.open("ab") as more:
        more.write(b'{"n":5,"at":"20')
    opened(file).close(AT_MS)
    assert verify(file).problem == ""
    file.write_bytes(file.read_bytes().replace(b'{"n":5,"at":"20\n', b'{"n":5,"at":"21\n'))
    assert verify(file).broken_line == 5


@pytest.fixture
def room() -> Iterator[None]:
    """What a full disk does: a write ends at a byte of the test's choice."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_refuses_the_order_and_leaves_no_half_record(file: Path, room: None) -> None:
    audit = opened(file)
    size = file.stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for more in (0, 1, 40):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + more, hard))
        with pytest.raises(AuditError, match="File too large; nothing was done") as raised:
            audit.order(AT_MS, Turn(), CALLER)
        assert raised.value.help == "make room on its disk; payments go on"
        assert file.stat().st_size == size
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert audit.order(AT_MS, Turn(), CALLER) == 2
    audit.close(AT_MS)
    assert verify(file).problem == ""


def test_result_that_finds_no_room_is_written_before_the_next_order(file: Path, room: None) -> None:
    audit = opened(file)
    number = audit.order(AT_MS, Turn(), CALLER)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    with pytest.raises(AuditError):
        audit.result(AT_MS, number, "done", "", "")
    with pytest.raises(AuditError):
        audit.order(AT_MS, Turn(), CALLER)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    audit.order(AT_MS, Turn(), CALLER)
    assert [one.kind for one in read(file)] == ["opened", "order", "result", "order"]
    audit.close(AT_MS)


def test_killed_writer_leaves_a_chain_that_holds(file: Path) -> None:
    """SIGKILL in the middle of its work, again and again, on one file."""
    script = (
        "import sys, os; from pathlib import Path\n"
        "from switch.control.audit import Audit\n"
        "from switch.control.member_list import MemberList\n"
        "from switch.control.order import Caller\n"
        "audit = Audit(Path(sys.argv[1]), '1'); audit.open(1, 1); print(flush=True)\n"
        "while True: audit.order(1, MemberList(), Caller(1, 1, 'x'))\n"
    )
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(file)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.kill()
    opened(file).close(AT_MS)
    assert verify(file).problem == ""


# -- in a worker -----------------------------------------------------------------------------------


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Rig]:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        yield node
    await bank.stop()


async def asked(node: Rig, order: Order) -> None:
    await asyncio.to_thread(ask, node.worker.settings, order, MembersShown)


def order_file(node: Rig) -> Path:
    return audit_file(node.worker.settings.node.data_dir)


async def test_worker_records_who_asked(node: Rig) -> None:
    await asked(node, MemberList(by=By(reason="morning round")))
    records = list(read(order_file(node)))
    assert [one.kind for one in records] == ["opened", "look"]
    assert (records[1].pid, records[1].uid) == (os.getpid(), os.getuid())
    assert (records[1].reason, records[1].outcome) == ("morning round", "done")


async def test_damaged_audit_refuses_what_changes_and_serves_what_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = audit_file(tmp_path / "data")
    written(file)
    file.write_bytes(file.read_bytes().replace(b"because 1", b"because 9"))
    performed: list[Order] = []

    async def turn(order: Turn, node: object) -> MembersShown:
        performed.append(order)
        return MembersShown(members=[])

    monkeypatch.setitem(cast(Any, PERFORM), Turn, turn)
    monkeypatch.setattr("switch.control.server.decode_order", lambda _: Turn())
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        monkeypatch.setattr(type(node.driver.gauges), "ordered", lambda *_: None)
        with pytest.raises(AuditError, match="line 4"):
            await asked(node, MemberList())
        assert performed == []
        monkeypatch.setattr("switch.control.server.decode_order", orders.decode_order)
        await asked(node, MemberList())
    await bank.stop()


def test_catalogue_of_metrics_knows_every_order() -> None:
    assert sorted(ACTIONS) == sorted(str(order.__struct_config__.tag) for order in PERFORM)


# -- on the command line ---------------------------------------------------------------------------


async def test_show_and_verify_read_the_file(tmp_path: Path, node: Rig) -> None:
    await asked(node, MemberList(by=By(reason="morning round", actor="li")))
    run = CliRunner().invoke
    shown = run(command, ["show", "--config", str(tmp_path)], standalone_mode=False)
    assert shown.return_value == 0
    assert "member-list  done  by " in shown.stdout
    assert " for li (pid " in shown.stdout
    assert "reason: morning round" in shown.stdout
    told = run(command, ["verify", "--config", str(tmp_path), "-o", "json"], standalone_mode=False)
    anchor = json.loads(told.stdout)["anchor"]
    arguments = ["verify", "--config", str(tmp_path), "--anchor", anchor]
    assert run(command, arguments, standalone_mode=False).return_value == 0
    # Written anew, it holds in itself; the anchor tells.
    file = order_file(node)
    file.unlink()
    file.with_suffix(".head").unlink()
    written(file)
    assert run(command, arguments[:3], standalone_mode=False).return_value == 0
    forged = run(command, arguments, standalone_mode=False)
    assert forged.return_value == 1
    assert "the file was written anew" in forged.stdout
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[1:]))
    broken = run(command, arguments[:3], standalone_mode=False)
    assert broken.return_value == 1
    assert "line 1 is not what was written" in broken.stdout
