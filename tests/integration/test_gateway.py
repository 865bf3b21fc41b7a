"""The gateway as a process: its socket, its lock, its repair at the start; and in a node."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from switch.control.tokens import Remote, connect, socket_file
from switch.crypto.keyfile import create_keys
from switch.errors import TokenError, UnreachableError
from switch.settings.load import load
from switch.settings.schema import Settings
from switch.tokens import orders
from tests.support.canary import find
from tests.support.config import SWITCH, write_config
from tests.support.node import MakeNode
from tests.support.peer import until
from tests.support.tree import ROOT
from tests.support.vault import BY, card, provision

pytestmark = pytest.mark.system

TOKENS = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'
READY_S = 20.0


class Gateway:
    """One gateway process over a configuration directory."""

    def __init__(self, directory: Path) -> None:
        self.settings: Settings = load(write_config(directory, SWITCH + TOKENS))
        self.output = directory / "gateway.log"
        self._command = [sys.executable, "-m", "switch.apps.gateway", "--config", str(directory)]
        self.process: asyncio.subprocess.Process | None = None
        keys = self.settings.keys
        if not Path(keys.file).exists():
            create_keys(keys.file, keys.sealing_key_file, demo=True)

    @property
    def socket(self) -> Path:
        return socket_file(self.settings)

    async def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, stdout=output, stderr=output
            )
        process = self.process
        await until(
            lambda: self.ready == process.pid or process.returncode is not None, READY_S, "gateway"
        )
        assert process.returncode is None, self.output.read_text()

    @property
    def ready(self) -> int:
        """Process id of the gateway that says it is ready; 0 for none."""
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(self.socket.with_name("gateway.json").read_text())
            return int(told["pid"])
        return 0

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(READY_S):
            return await self.process.wait()

    async def perform(self, order: orders.Order) -> Any:
        async with connect(self.settings) as tokens:
            assert isinstance(tokens, Remote)
            return await tokens.perform(order)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path)
    await made.start()
    yield made
    await made.end(signal.SIGKILL)


async def in_step(gateway: Gateway) -> orders.StatusShown:
    """The status, once the index shows what the vault has."""
    async with asyncio.timeout(READY_S):
        while True:
            status = await gateway.perform(orders.Status(by=BY))
            assert isinstance(status, orders.StatusShown)
            if not status.index_fault and not status.rebuilding:
                return status
            await asyncio.sleep(0.02)


async def test_orders_go_through_the_socket(gateway: Gateway) -> None:
    shown = await gateway.perform(orders.Issue(by=BY, provision=provision(1)))
    assert shown.pan == "629900******0015"
    suspended = await gateway.perform(orders.Suspend(by=BY, token=shown.token))
    assert suspended.state == "suspended"
    rows = [provision(number) for number in range(2, 500)]
    imported = await gateway.perform(orders.Import(by=BY, rows=rows))
    assert len(imported.tokens) == 498
    status = await in_step(gateway)
    assert (status.tokens, status.index_tokens) == (499, 499)
    with pytest.raises(TokenError, match=r"no such token|no token range") as caught:
        await gateway.perform(orders.Suspend(by=BY, token="6299770000000000"))
    assert (caught.value.exit_code, caught.value.key) == (5, "token")
    assert await gateway.end() == 0
    assert not gateway.socket.exists()


async def test_socket_is_for_our_own_user_only(gateway: Gateway) -> None:
    assert gateway.socket.stat().st_mode & 0o777 == 0o600
    assert gateway.socket.parent.stat().st_mode & 0o077 == 0
    data = Path(gateway.settings.node.data_dir)
    left = [file for file in data.rglob("*") if file.is_file()]  # noqa: ASYNC240
    assert {oct(file.stat().st_mode & 0o077) for file in left} == {"0o0"}


@asynccontextmanager
async def raw(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(gateway.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 409, "TSW-O0108"),
        (b"{", 409, "TSW-O0108"),
        (b"[]", 409, "TSW-O0108"),
        (b'{"order":"burn","by":{"actor":"a"}}', 409, "TSW-O0108"),
        (b'{"order":"show","by":{"actor":"a"}}', 409, "TSW-O0108"),
        (b'{"order":"show","token":5,"by":{"actor":"a"}}', 409, "TSW-O0108"),
        (b'{"order":"list","by":{"actor":"a"},"pan":"6299000000000015x"}', 409, "TSW-O0108"),
        (b"\xff" * 100, 409, "TSW-O0108"),
    ],
)
async def test_what_is_no_order_is_a_problem_that_quotes_nothing(
    gateway: Gateway, body: bytes, status: int, code: str
) -> None:
    async with raw(gateway) as client:
        answered = await client.post("/v1/orders", content=body)
        assert (answered.status_code, answered.json()["code"]) == (status, code)
        assert answered.headers["content-type"] == "application/problem+json"
        assert "629900" not in answered.text
        assert (await client.get("/v1/health")).status_code == 200
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/v1/orders")).status_code == 405


async def test_too_large_a_body_is_refused(gateway: Gateway) -> None:
    async with raw(gateway) as client:
        answered = await client.post("/v1/orders", content=b" " * (65 << 20), timeout=60)
        assert answered.status_code == 413
        assert (await client.get("/v1/health")).status_code == 200


async def test_killed_gateway_leaves_nothing_in_the_way(gateway: Gateway) -> None:
    """Its socket file and its lock: the command line works on the vault, a new gateway starts."""
    token = (await gateway.perform(orders.Issue(by=BY, provision=provision(1)))).token
    await gateway.end(signal.SIGKILL)
    assert gateway.socket.exists()
    async with connect(gateway.settings) as tokens:
        assert not isinstance(tokens, Remote)
        shown = await tokens.perform(orders.Suspend(by=BY, token=token))
        assert isinstance(shown, orders.Shown)
    await gateway.start()
    assert (await gateway.perform(orders.Show(by=BY, token=token))).state == "suspended"


async def test_gateway_that_dies_under_an_order_says_that_it_may_be_done(
    gateway: Gateway,
) -> None:
    rows = [provision(number) for number in range(20_000)]
    order = asyncio.ensure_future(gateway.perform(orders.Import(by=BY, rows=rows)))
    await asyncio.sleep(0.3)
    await gateway.end(signal.SIGKILL)
    with pytest.raises(UnreachableError, match="may have been carried out"):
        await order
    await gateway.start()
    assert (await in_step(gateway)).tokens in (0, 20_000), "all or nothing"


async def test_index_that_was_lost_is_built_anew_at_the_start(gateway: Gateway) -> None:
    rows = [provision(number) for number in range(300)]
    await gateway.perform(orders.Import(by=BY, rows=rows))
    assert await gateway.end() == 0
    assert gateway.settings.tokens is not None
    shutil.rmtree(gateway.settings.tokens.index_dir)
    await gateway.start()
    assert (await in_step(gateway)).index_tokens == 300


async def test_commands_find_the_gateway(gateway: Gateway, tmp_path: Path) -> None:
    def tapswitch(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "switch", "token", words[0], "--config", str(tmp_path),
             *words[1:]],
            cwd=ROOT, input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = await asyncio.to_thread(
        tapswitch, "issue", "--requestor", "12300000001", "--card-expiry", "3106", "--reason",
        "new", "-o", "json", stdin=card(1).pan,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    token = json.loads(done.stdout)["token"]
    done = await asyncio.to_thread(tapswitch, "suspend", token, "--reason", "lost")
    assert "suspended" in done.stdout
    done = await asyncio.to_thread(tapswitch, "show", card(1).pan)
    assert done.returncode == 5
    assert "lies in no token range" in done.stderr
    assert gateway.process is not None
    assert gateway.process.returncode is None
    assert find({"card": card(1).pan}, [tmp_path]) == []


async def test_second_gateway_waits_for_the_first(gateway: Gateway, tmp_path: Path) -> None:
    second = Gateway(tmp_path)
    starting = asyncio.ensure_future(second.start())
    await asyncio.sleep(1.0)
    assert await gateway.end() == 0
    await starting
    try:
        assert (await in_step(second)).tokens == 0
    finally:
        assert await second.end() == 0


async def test_node_with_tokens_has_a_gateway(make_node: MakeNode) -> None:
    """Started after the worker, restarted when it dies, ended with the node."""
    node = make_node(["127.0.0.1:1"])
    with (node.directory / "switch.toml").open("a") as file:
        file.write(TOKENS)
    await node.start()
    settings = load(node.directory)
    ready = node.data / "run" / "gateway.json"
    await until(ready.exists, READY_S, "gateway")
    async with connect(settings) as tokens:
        assert isinstance(tokens, Remote)
        shown = await tokens.perform(orders.Issue(by=BY, provision=provision(1)))
    assert isinstance(shown, orders.Shown)
    first = json.loads(ready.read_text())["pid"]
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        return ready.exists() and json.loads(ready.read_text())["pid"] != first

    await until(again, READY_S, "gateway restarted")
    async with connect(settings) as tokens:
        listed = await tokens.perform(orders.List(by=BY))
    assert isinstance(listed, orders.Listed)
    assert [one.token for one in listed.tokens] == [shown.token]
    second = json.loads(ready.read_text())["pid"]
    assert await node.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
    assert not socket_file(settings).exists()
    assert msgspec.json.encode(shown)


def audit_verify(gateway: Gateway, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "switch", "audit", "verify", *words, "--config",
         str(gateway.output.parent)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


async def test_audit_verify_walks_the_vaults_chain_too_and_names_the_forged_record(
    gateway: Gateway,
) -> None:
    """The command that operators have, over both chains: that of orders and that of the vault."""
    for number in (1, 2, 3):
        await gateway.perform(orders.Issue(by=BY, provision=provision(number)))
    sound = await asyncio.to_thread(audit_verify, gateway)
    assert sound.returncode == 0, sound.stderr
    assert "vault: 3 records, the chain holds" in sound.stdout
    told = json.loads((await asyncio.to_thread(audit_verify, gateway, "-o", "json")).stdout)
    # The verification of before is itself on record.
    assert told["tokens"] == {"count": 4, "broken_at": 0, "problem": ""}
    assert await gateway.end() == 0
    tokens = gateway.settings.tokens
    assert tokens is not None
    with contextlib.closing(sqlite3.connect(tokens.vault_file)) as vault:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            vault.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 2")
        # Whoever owns the file can do more.
        vault.execute("DROP TRIGGER audit_stands")
        vault.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 2")
        vault.commit()
    await gateway.start()
    broken = await asyncio.to_thread(audit_verify, gateway)
    assert broken.returncode == 1
    assert "vault: " in broken.stdout
    assert "holds" not in broken.stdout.split("vault: ")[1]
    told = json.loads((await asyncio.to_thread(audit_verify, gateway, "-o", "json")).stdout)
    assert told["tokens"]["broken_at"] == 2
    assert told["tokens"]["problem"]
    alone = await asyncio.to_thread(audit_verify, gateway, "--orders-only")
    assert alone.returncode == 0
