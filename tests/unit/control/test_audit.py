"""The audit of orders: chained, whole after a crash, and found out when it is not."""

import asyncio
import fcntl
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec
import pytest
from click.testing import CliRunner

from switch.cli.audit import command
from switch.control import orders
from switch.control.audit import Audit, audit_file, read, verify
from switch.control.chain import files
from switch.control.member_list import MemberList, MembersShown
from switch.control.order import By, Caller, Order
from switch.control.orders import PERFORM
from switch.control.place import socket_file
from switch.control.reload import ReloadBySignal
from switch.control.remote import ask
from switch.errors import AuditError
from switch.observe.catalogue import ACTIONS
from switch.runtime import local
from tests.support.config import write_config
from tests.support.peer import Acquirer, Bank, purchase
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
    assert set(ACTIONS) == {str(order.__struct_config__.tag) for order in PERFORM}


# -- several writers, several files ----------------------------------------------------------------


def test_commands_and_a_worker_write_one_chain(file: Path) -> None:
    """Each goes on behind what the other has written, and neither loses a record."""
    worker, command = opened(file), Audit(file, "")
    command.attach(AT_MS)
    for number in range(5):
        told = command.command(AT_MS, {"order": "keys-create", "number": number}, CALLER)
        asked_for = worker.order(AT_MS, Turn(), CALLER)
        worker.result(AT_MS, asked_for, "done", "", "")
        command.result(AT_MS, told, "done", "", "")
    command.detach()
    worker.close(AT_MS)
    verdict = verify(file)
    assert (verdict.problem, verdict.records) == ("", 22)


def test_a_writer_that_stands_still_refuses_the_others_in_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = opened(file)
    with file.with_suffix(".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        monkeypatch.setattr("switch.control.audit.LOCK_TRIES", 3)
        with pytest.raises(AuditError, match="another process holds it; nothing was done"):
            audit.order(AT_MS, Turn(), CALLER)
    audit.order(AT_MS, Turn(), CALLER)
    assert verify(file).problem == ""


def test_long_file_is_set_aside_and_the_chain_goes_on(file: Path) -> None:
    audit = Audit(file, "1", 1_000)
    audit.open(AT_MS, 99)
    other = Audit(file, "1", 1_000)
    other.attach(AT_MS)
    for _ in range(10):
        audit.order(AT_MS, Turn(), CALLER)
        other.command(AT_MS, {"order": "keys-create"}, CALLER)
    audit.close(AT_MS)
    other.detach()
    parts = files(file)
    assert len(parts) > 4
    assert all(part.stat().st_size < 1_500 for part in parts)
    verdict = verify(file)
    assert (verdict.problem, verdict.first) == ("", 1)
    kinds = [one.kind for one in read(file)]
    assert (kinds.count("order"), kinds.count("continued")) == (20, len(parts) - 1)
    # The next worker takes it up, also one that finds its file just set aside.
    parts[-1].rename(file.with_name(f"orders-{verdict.records:012d}.jsonl"))
    assert opened(file).newest[0] == verdict.records + 2
    assert verify(file).problem == ""


@pytest.mark.parametrize("lost", [1, 2, -2])
def test_file_that_is_missing_in_between_is_found(file: Path, lost: int) -> None:
    audit = Audit(file, "1", 1_000)
    audit.open(AT_MS, 99)
    for _ in range(20):
        audit.order(AT_MS, Turn(), CALLER)
    audit.close(AT_MS)
    files(file)[lost].unlink()
    assert "line 1 is not what was written" in verify(file).problem


def test_oldest_files_may_go_where_their_anchor_is_kept(file: Path, tmp_path: Path) -> None:
    write_config(tmp_path)
    file = audit_file(tmp_path / "data")
    audit = Audit(file, "1", 1_000)
    (tmp_path / "data").mkdir()
    audit.open(AT_MS, 99)
    for _ in range(20):
        audit.order(AT_MS, Turn(), CALLER)
    audit.close(AT_MS)
    oldest = files(file)[0]
    last = json.loads(oldest.read_text().splitlines()[-1])
    oldest.unlink()
    verdict = verify(file)
    assert (verdict.first, verdict.problem) == (last["n"] + 1, "")
    run = CliRunner().invoke
    words = ["verify", "--config", str(tmp_path)]
    without = run(command, words, standalone_mode=False)
    assert without.return_value == 1
    assert f"the records up to {last['n']} are not here" in without.stdout
    anchors = tmp_path / "anchors"
    anchors.write_text(f"{last['n']}:{last['hash']}\n")
    assert run(command, [*words, "--anchor", str(anchors)], standalone_mode=False).return_value == 0
    anchors.write_text(f"{last['n']}:{'0' * 64}\n")
    assert run(command, [*words, "--anchor", str(anchors)], standalone_mode=False).return_value == 1


def test_anchor_finds_a_chain_that_was_cut_together_with_its_head(tmp_path: Path) -> None:
    write_config(tmp_path)
    file = audit_file(tmp_path / "data")
    (tmp_path / "data").mkdir()
    written(file)
    run = CliRunner().invoke
    kept = run(command, ["anchor", "--config", str(tmp_path)], standalone_mode=False)
    anchor = kept.stdout.strip()
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:4]))
    file.with_suffix(".head").unlink()
    words = ["verify", "--config", str(tmp_path)]
    assert run(command, words, standalone_mode=False).return_value == 0, "in itself it holds"
    cut = run(command, [*words, "--anchor", anchor], standalone_mode=False)
    assert cut.return_value == 1
    assert "of the anchor" in cut.stdout


def test_audit_that_others_may_read_takes_no_orders(file: Path) -> None:
    written(file)
    file.chmod(0o640)
    with pytest.raises(AuditError, match="it has mode 0640: others may read") as raised:
        opened(file)
    assert raised.value.help.startswith(f"chmod 600 {file}")


async def test_what_members_should_not_do_is_in_the_audit_once(node: Rig) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    for _ in range(3):
        asked_for = await acquirer.ask(purchase(acquirer_code="10009"))
        assert asked_for.get("response_code") == "30"
    await node.worker.control.incidents()
    await node.worker.control.incidents()
    told = [one for one in read(order_file(node)) if one.kind == "incident"]
    assert len(told) == 1
    assert told[0].order["incident"] == "foreign_institution"
    assert (told[0].order["member"], told[0].order["count"]) == ("ACQ01", 3)
    assert told[0].order["peer"].startswith("127.0.0.1:")


async def test_another_body_under_a_key_is_in_the_audit_and_a_late_original_is_not(
    node: Rig,
) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    values = purchase(100)
    assert (await acquirer.ask(values)).get("response_code") == "00"
    other = {**values, "amount": "000000000999"}
    assert (await acquirer.ask(other)).get("response_code") == "94"
    late = purchase(500, serial=2)
    taken_back = {
        **purchase(500, serial=2),
        "original_data.mti": "0200",
        "original_data.stan": late["stan"],
        "original_data.transmission_time": late["transmission_time"],
        "original_data.acquirer_code": late["acquirer_code"],
        "original_data.forwarder_code": "0" * 11,
    }
    assert (await acquirer.ask(taken_back, mti="0420")).get("response_code") == "00"
    assert (await acquirer.ask(late)).get("response_code") == "94"
    await node.worker.control.incidents()
    (told,) = [one for one in read(order_file(node)) if one.kind == "incident"]
    assert told.order["incident"] == "another_body"
    assert (told.order["member"], told.order["count"]) == ("ACQ01", 1)
    assert told.order["peer"].startswith("127.0.0.1:")


async def test_reload_by_signal_is_recorded_like_one_by_order(node: Rig) -> None:
    await node.worker._reload_by_signal()
    order, result = list(read(order_file(node)))[-2:]
    assert (order.kind, order.order["order"], order.actor) == ("order", "reload", "signal SIGHUP")
    assert (order.uid, result.of, result.outcome) == (-1, order.n, "done")


# -- every order that there is ---------------------------------------------------------------------


def sample(kind: type[Order]) -> bytes:
    """Some order of that kind; whom it is about does not exist."""
    given: dict[str, Any] = {"order": str(kind.__struct_config__.tag)}
    for field in msgspec.structs.fields(kind):
        if field.required:
            given[field.encode_name] = _some(msgspec.inspect.type_info(field.type))
    return msgspec.json.encode(given)


def _some(info: msgspec.inspect.Type) -> Any:
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return _some(inner)
        case msgspec.inspect.IntType(ge=least):
            return least or 0
        case msgspec.inspect.BoolType():
            return False
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            return []
        case _:
            return "NOBODY"


UNAUDITED = {"member-list", "member-show"}
"""Looks that programs take many times a minute."""


async def test_every_order_leaves_its_record_also_when_it_is_refused(node: Rig) -> None:
    known = set(PERFORM) - {ReloadBySignal}
    for kind in known:
        before = len(list(read(order_file(node))))
        await asyncio.to_thread(raw_order, node, sample(kind))
        records = list(read(order_file(node)))[before:]
        told = str(kind.__struct_config__.tag)
        if not kind.audited:
            assert (told in UNAUDITED, records) == (True, []), told
            continue
        assert records, told
        assert records[0].order["order"] == told
        assert records[0].uid == os.getuid()
        if kind.changes:
            assert [one.kind for one in records] == ["order", "result"], told
            assert records[1].outcome in {"done", "refused"}, told
        else:
            assert [one.kind for one in records] == ["look"], told
    assert verify(order_file(node)).problem == ""


def raw_order(node: Rig, line: bytes) -> bytes:
    file = socket_file(node.worker.settings.node.data_dir)
    with local.connect(file, 10) as connected:
        connected.sendall(line + b"\n")
        with connected.makefile("rb") as answers:
            return answers.readline()


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
