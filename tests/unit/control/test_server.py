"""The control socket of a worker: who may call, what a caller may cost, what comes back."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from switch.control import server
from switch.control.audit import Audit, Record, audit_file, read
from switch.control.member_list import MemberList, MembersShown
from switch.control.orders import PERFORM, AnyOrder
from switch.control.place import socket_file
from switch.control.remote import ask
from switch.errors import OrderError, UnreachableError, UsageError
from switch.settings.load import load
from switch.settings.schema import Settings
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


@pytest.fixture
async def node(tmp_path: Path, bank: Bank) -> AsyncIterator[Rig]:
    async with rig(tmp_path, [await bank.start()]) as node:
        yield node


def audited(node: Rig) -> list[Record]:
    return list(read(audit_file(node.worker.settings.node.data_dir)))


async def asked(settings: Settings, within_s: float | None = None) -> MembersShown:
    return await asyncio.to_thread(ask, settings, MemberList(), MembersShown, within_s)


class Caller:
    """Somebody who writes whatever it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, line: bytes) -> dict[str, object]:
        self.writer.write(line + b"\n")
        return await self.answer()

    async def answer(self) -> dict[str, object]:
        answer: dict[str, object] = json.loads(await self.reader.readline() or b"{}")
        return answer

    async def left(self) -> bytes:
        """What comes until the server hangs up; a reset is as good as an end of stream."""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(5):
                return await self.reader.read()
        return b""

    async def hang_up(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


Call = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def call(node: Rig) -> AsyncIterator[Call]:
    """Connects to the worker of `node`, or to another socket."""
    callers: list[Caller] = []

    async def call(file: Path | None = None) -> Caller:
        at = file or socket_file(node.worker.settings.node.data_dir)
        callers.append(Caller(*await asyncio.open_unix_connection(str(at), limit=1 << 22)))
        return callers[-1]

    yield call
    for caller in callers:
        await caller.hang_up()


async def test_members_are_shown_as_they_are(node: Rig, bank: Bank) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
    shown = {one.id: one for one in (await asked(node.worker.settings)).members}
    assert list(shown) == ["ACQ01", "BANK01"]
    assert (shown["ACQ01"].role, shown["ACQ01"].signed_on, shown["ACQ01"].messages) == (
        "acquirer", 1, 1,
    )  # fmt: skip
    issuer = shown["BANK01"]
    assert (issuer.state, issuer.signed_on, issuer.links_max, issuer.messages) == ("up", 2, 2, 1)
    assert {link.peer for link in issuer.links} == {f"127.0.0.1:{bank.port}"}
    assert {link.session for link in issuer.links} == {"signed_on"}


async def test_several_orders_on_one_connection_and_several_callers(call: Call) -> None:
    callers = [await call() for _ in range(4)]
    for _ in range(3):
        answers = await asyncio.gather(*(c.say(b'{"order":"member-list"}') for c in callers))
        assert [a["answer"] for a in answers] == ["members"] * 4


async def test_socket_is_for_our_user_alone(node: Rig) -> None:
    file = socket_file(node.worker.settings.node.data_dir)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(file.stat().st_mode)


async def test_another_user_is_refused(node: Rig, call: Call, tmp_path: Path) -> None:
    """The mode of the file keeps others out; where it was widened, the kernel's word still does."""
    file = tmp_path / "other.sock"
    other = server.Server(
        node.worker, file, Audit(tmp_path / "other.jsonl", "1"), frozenset({os.getuid() + 4711})
    )
    await other.start()
    caller = await call(file)
    told = await caller.say(b'{"order":"member-list"}')
    assert (told["answer"], told["code"]) == ("refused", OrderError.code)
    assert "may give no orders to this node" in str(told["problem"])
    assert await caller.left() == b""
    await other.close()
    (refused,) = [one for one in read(tmp_path / "other.jsonl") if one.kind == "refused"]
    assert (refused.uid, refused.pid, refused.outcome) == (os.getuid(), os.getpid(), "refused")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"hello", "this is no JSON"),
        (b"[]", "this is no order: Expected `object`, got `array`"),
        (b'{"order":"sell"}', "this is no order: Invalid value 'sell'"),
        (b'{"order":"member-list","x":1}', "this is no order: Object contains unknown field `x`"),
    ],
)
async def test_what_is_no_order_is_refused_and_the_next_one_is_taken(
    call: Call, line: bytes, problem: str
) -> None:
    caller = await call()
    told = await caller.say(line)
    assert told["answer"] == "refused"
    assert told["code"] == "TSW-O0120"
    assert str(told["problem"]).startswith(problem)
    assert (await caller.say(b'{"order":"member-list"}'))["answer"] == "members"


FIELDS = ("member", "members", "txn", "what", "count", "dry_run", "wait", "reason", "by", "stage")
WRONG: tuple[object, ...] = (
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "x" * 3_000,
    "\x00\ud7ff",
    [],
    [[]],
    {},
    {"actor": 1},
)


def _orders() -> list[bytes]:
    """Every order, with nothing, with what is not its own, and with each field of its own wrong."""
    lines = []
    for kind in typing.get_args(AnyOrder):
        tag = kind.__struct_config__.tag
        own = [field for field in kind.__struct_fields__ if field != "by"]
        lines.append({"order": tag})
        lines += [{"order": tag, name: wrong} for name in {*own, *FIELDS} for wrong in WRONG]
        lines += [{"order": tag, **dict.fromkeys(own, wrong)} for wrong in WRONG]
    return [json.dumps(line).encode() for line in lines]


GARBAGE = (
    b"",
    b"\xff\xfe",
    b'{"order":"\xff"}',
    b"[" * 16_000,
    b'{"by":' * 2_700,
    b'{"order":"member-list","order":"restart"',
    b'{"order":' + b"9" * 4_400 + b"}",
    b'{"order":"member-show","member":"' + b"\\u0000" * 2_000 + b'"}',
    b"\x00" * 16_000,
    b"NaN",
)


async def test_no_order_however_wrong_stops_the_worker(node: Rig, call: Call) -> None:
    caller = await call()
    for line in (*GARBAGE, *_orders()):
        told = await caller.say(line)
        assert told["answer"], line
        assert not node.worker.driver.failed.done(), line
    assert (await caller.say(b'{"order":"member-list"}'))["answer"] == "members"
    failed = [one for one in audited(node) if one.outcome == "failed"]
    assert failed == []


async def test_an_order_that_the_metrics_do_not_know_is_done_all_the_same(
    node: Rig, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_action: str, _result: str) -> None:
        raise KeyError

    monkeypatch.setattr(node.worker.driver, "gauges", Ordered(unknown))
    caller = await call()
    assert (await caller.say(b'{"order":"member-list"}'))["answer"] == "members"
    assert not node.worker.driver.failed.done()


class Ordered:
    """Gauges of which only orders are wanted."""

    def __init__(self, ordered: Callable[[str, str], None]) -> None:
        self.ordered = ordered


async def test_an_answer_that_cannot_be_told_is_an_answer_all_the_same(
    node: Rig, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(_order: object, _node: object) -> MembersShown:
        return MembersShown(members=[object()])  # type: ignore[list-item]

    monkeypatch.setitem(typing.cast("dict[object, object]", PERFORM), MemberList, odd)
    caller = await call()
    told = await caller.say(b'{"order":"member-list"}')
    assert (told["answer"], told["code"]) == ("refused", UsageError.code)
    assert str(told["problem"]).endswith("the order is done")
    monkeypatch.undo()
    assert (await caller.say(b'{"order":"member-list"}'))["answer"] == "members"


async def test_what_is_refused_before_it_is_an_order_is_audited(node: Rig, call: Call) -> None:
    for line in (b"hello", b'{"order":"sell"}', b"6299" + b" " * server.ORDER_BYTES_MAX):
        await (await call()).say(line)
    await node.worker.control.incidents()
    await node.worker.control.incidents()
    told = [one for one in audited(node) if one.kind == "refused"]
    assert [one.order["times"] for one in told] == [1, 2]
    assert {(one.uid, one.code, one.problem) for one in told} == {
        (os.getuid(), OrderError.code, "")
    }
    assert told[0].pid == os.getpid()


async def test_endless_order_is_cut_off(call: Call) -> None:
    caller = await call()
    caller.writer.write(b" " * (server.ORDER_BYTES_MAX * 2))
    told = await caller.answer()
    assert str(told["problem"]) == "an order has at most 16384 bytes"
    assert await caller.left() == b""


async def test_caller_that_says_nothing_is_not_waited_for(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LINE_S", 0.05)
    caller = await call()
    caller.writer.write(b'{"order":')
    assert await caller.left() == b""


async def test_one_caller_too_many_is_told(call: Call) -> None:
    callers = [await call() for _ in range(server.CALLERS_MAX)]
    for caller in callers:
        await caller.say(b'{"order":"member-list"}')
    late = await call()
    assert "16 callers" in str((await late.answer())["problem"])
    await callers[0].hang_up()
    await asyncio.sleep(0.05)
    again = await call()
    assert (await again.say(b'{"order":"member-list"}'))["answer"] == "members"


async def test_worker_that_is_down_gives_the_way_to_mend_it(tmp_path: Path, bank: Bank) -> None:
    async with rig(tmp_path, [await bank.start()]) as node:
        settings = node.worker.settings
        await asked(settings)
    with pytest.raises(UnreachableError, match="no worker of this node takes orders") as raised:
        await asked(settings)
    assert raised.value.help == f"start it: tapswitch run --config {tmp_path}"
    assert raised.value.exit_code == 4


async def test_socket_left_by_a_killed_worker_is_taken_over(tmp_path: Path, bank: Bank) -> None:
    (tmp_path / "data" / "run").mkdir(parents=True)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "data" / "run" / "worker.sock"))
    left.close()
    async with rig(tmp_path, [await bank.start()]) as node:
        assert (await asked(node.worker.settings)).members


async def test_path_too_long_for_a_socket_is_reached_all_the_same(
    tmp_path: Path, bank: Bank
) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with rig(deep, [await bank.start()]) as node:
        assert len(str(socket_file(node.worker.settings.node.data_dir))) > 200
        assert (await asked(node.worker.settings)).members
    with pytest.raises(UnreachableError):
        await asked(load(deep))


async def test_answer_that_does_not_come_in_time_is_told(node: Rig) -> None:
    file = socket_file(node.worker.settings.node.data_dir)
    file.unlink()
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(file))
    silent.listen()
    with pytest.raises(UnreachableError, match=r"no answer within 0\.05 s") as raised:
        await asked(node.worker.settings, within_s=0.05)
    assert raised.value.help == "tapswitch audit show says what became of it"
    silent.close()
