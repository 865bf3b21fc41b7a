"""Hand-shakes with real peers, on both loops: who gets a link, who does not, and what is told of
it."""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from switch.native import meter
from switch.runtime import tls
from switch.runtime.transport import Paused
from tests.support.ca import Authority, Pair, tls_table
from tests.support.peer import DIALECT, Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig


class World(NamedTuple):
    """A switch whose acquirer's and bank's links have TLS, under one CA each side may use."""

    ca: Authority
    ours: Pair
    acquirer: Pair
    bank: Pair


@pytest.fixture
def world(tmp_path: Path) -> World:
    ca = Authority(tmp_path / "ca")
    return World(ca, ca.issue("switch.test"), ca.issue("acq01.test"), ca.issue("bank01.test"))


@contextlib.asynccontextmanager
async def secured(
    tmp_path: Path, world: World, bank: Bank | None = None, **more: Any
) -> AsyncIterator[Rig]:
    """TLS on the acquirer's link, and on the bank's when there is one."""
    directory = tmp_path / "node"
    directory.mkdir()
    acquirer = more.pop("acquirer", "") + "\n" + tls_table("acquirers", world.ours, "acq01.test")
    if bank is None:
        bank = Bank()
        banks = [await bank.start()]
    else:
        banks = [await bank.start(tls=world.bank.server())]
        more["bank"] = tls_table("issuers", world.ours, "bank01.test")
    async with rig(directory, banks, acquirer=acquirer, **more) as node:
        yield node
    await bank.stop()


def counters(node: Rig) -> dict[str, int]:
    return meter.MeterReader.open(str(node.worker.metrics.path)).counters()


def shaken(node: Rig, result: str, member: str = "ACQ01") -> int:
    name = f'tapswitch_tls_handshakes_total{{member="{member}",result="{result}"}}'
    return counters(node)[name]


async def refused(node: Rig, context: ssl.SSLContext, result: str) -> None:
    """Connects, is shut out, and neither a slot nor a session came of it."""
    before = shaken(node, result)
    peer = None
    # In TLS 1.3 a client is done before the server has judged it.
    with contextlib.suppress(OSError):
        peer = await Acquirer.connect(node.acquirer, tls=context, sign_on=False)
        peer.send("0200", purchase())
        await asyncio.wait_for(peer.ended.wait(), 5)
    await until(lambda: shaken(node, result) == before + 1, what=f"a hand-shake ended as {result}")
    assert peer is None or peer.received == []
    assert node.member("ACQ01").connections == {}
    assert node.member("ACQ01").bytes_in == 0


async def test_purchase_with_tls_on_both_legs(tmp_path: Path, world: World) -> None:
    bank = Bank()
    async with secured(tmp_path, world, bank) as node:
        acquirer = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        assert len(bank.requests) == 1
        assert shaken(node, "ok") == 1
        await until(lambda: shaken(node, "ok", "BANK01") == 2, what="both dialled links")
        (connection,) = node.member("ACQ01").connections.values()
        assert connection.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        # What finds a vanished peer is set on the socket below.
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(6, 18) == 30_000, "TCP_USER_TIMEOUT"


async def test_tls_1_2_is_enough(tmp_path: Path, world: World) -> None:
    context = world.acquirer.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with secured(tmp_path, world) as node:
        acquirer = await Acquirer.connect(node.acquirer, tls=context)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        (connection,) = node.member("ACQ01").connections.values()
        name, version, _ = connection.transport.get_extra_info("cipher")
        assert version == "TLSv1.2"
        assert name.startswith("ECDHE-")
        assert "GCM" in name or "CHACHA20" in name


async def test_downgrade_to_tls_1_1_is_refused(tmp_path: Path, world: World) -> None:
    context = world.acquirer.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with secured(tmp_path, world) as node:
        await refused(node, context, "protocol")


async def test_plain_tcp_on_a_link_with_tls_is_refused(tmp_path: Path, world: World) -> None:
    async with secured(tmp_path, world) as node:
        peer = await Acquirer.connect(node.acquirer, sign_on=False)
        peer.send("0200", purchase())
        await asyncio.wait_for(peer.ended.wait(), 5)
        assert node.member("ACQ01").connections == {}
        assert sum(shaken(node, one) for one in ("protocol", "error")) == 1


async def test_no_client_certificate_is_no_link(tmp_path: Path, world: World) -> None:
    async with secured(tmp_path, world) as node:
        await refused(node, ssl.create_default_context(cafile=world.ca.file), "no_certificate")


async def test_certificate_of_an_unknown_ca_is_refused(tmp_path: Path, world: World) -> None:
    other = Authority(tmp_path / "other").issue("acq01.test")
    async with secured(tmp_path, world) as node:
        await refused(node, other.client(ca=world.ca.file), "certificate")


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        pytest.param(timedelta(days=-9), timedelta(hours=-1), id="expired"),
        pytest.param(timedelta(hours=1), timedelta(days=9), id="not yet valid"),
    ],
)
async def test_certificate_that_is_not_valid_now_is_refused(
    tmp_path: Path, world: World, begins: timedelta, ends: timedelta
) -> None:
    pair = world.ca.issue("acq01.test", begins=begins, ends=ends, file="other")
    async with secured(tmp_path, world) as node:
        await refused(node, pair.client(), "certificate")


async def test_valid_certificate_of_another_institution_is_refused(
    tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = world.ca.issue("acq02.test")
    async with secured(tmp_path, world) as node:
        await refused(node, pair.client(), "name")
    told = capsys.readouterr()
    text = told.out + told.err
    assert "tls.refused" in text
    assert "none of the names of ACQ01 (acq01.test); it has: acq02.test" in text


async def test_common_name_counts_only_without_an_alternative_name(
    tmp_path: Path, world: World
) -> None:
    bare = world.ca.issue("bare", names=[], common_name="acq01.test")
    dressed = world.ca.issue("dressed", names=["acq02.test"], common_name="acq01.test")
    async with secured(tmp_path, world) as node:
        acquirer = await Acquirer.connect(node.acquirer, tls=bare.client())
        await acquirer.close()
        await until(lambda: not node.member("ACQ01").connections, what="the end of the first")
        before = node.member("ACQ01").bytes_in
        node.member("ACQ01").bytes_in = 0
        assert before > 0
        await refused(node, dressed.client(), "name")


async def test_certificate_for_servers_only_is_no_clients(tmp_path: Path, world: World) -> None:
    pair = world.ca.issue("acq01.test", purposes=["server"], file="server-only")
    async with secured(tmp_path, world) as node:
        await refused(node, pair.client(), "certificate")


async def test_slow_hand_shake_ends_in_time_and_holds_no_place(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.3)
    async with secured(tmp_path, world, acquirer="connections_max = 1") as node:
        slow = await Acquirer.connect(node.acquirer, sign_on=False)
        slow.write(b"\x16\x03\x01")
        good = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        assert (await good.ask(purchase())).get("response_code") == "00"
        await asyncio.wait_for(slow.ended.wait(), 5)
        await until(lambda: shaken(node, "timeout") == 1, what="the slow one counted")


async def test_peer_that_goes_in_the_hand_shake_is_counted(tmp_path: Path, world: World) -> None:
    async with secured(tmp_path, world) as node:
        peer = await Acquirer.connect(node.acquirer, sign_on=False)
        peer.write(b"\x16\x03\x01")
        await asyncio.sleep(0.05)
        await peer.close()
        await until(lambda: shaken(node, "closed") == 1, what="counted")


async def test_hand_shakes_beyond_the_limit_wait_in_the_kernels_queue(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two say nothing and have both places; who comes then is served when one of them is out."""
    monkeypatch.setattr(tls, "HANDSHAKES_MAX", 2)
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.5)
    async with secured(tmp_path, world) as node:
        idle = [await Acquirer.connect(node.acquirer, sign_on=False) for _ in range(2)]
        began_s = asyncio.get_running_loop().time()
        good = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        assert asyncio.get_running_loop().time() - began_s > 0.3
        assert (await good.ask(purchase())).get("response_code") == "00"
        for peer in idle:
            await asyncio.wait_for(peer.ended.wait(), 5)
        assert shaken(node, "timeout") == 2


async def test_time_of_hand_shakes_is_counted(tmp_path: Path, world: World) -> None:
    label = 'tapswitch_tls_handshake_seconds_total{member="ACQ01"}'
    async with secured(tmp_path, world) as node:
        assert counters(node)[label] == 0
        await refused(node, world.ca.issue("acq02.test").client(), "name")
        one_us = counters(node)[label]
        assert 100 < one_us < 1_000_000, "one that fails has its cost too"
        await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        assert counters(node)[label] > one_us + 100


async def test_cap_on_connections_holds_with_tls(tmp_path: Path, world: World) -> None:
    async with secured(tmp_path, world, acquirer="connections_max = 1") as node:
        first = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        second = await Acquirer.connect(node.acquirer, tls=world.acquirer.client(), sign_on=False)
        await asyncio.wait_for(second.ended.wait(), 5)
        assert (await first.ask(purchase())).get("response_code") == "00"


async def test_bank_with_another_name_is_not_signed_on(tmp_path: Path, world: World) -> None:
    bank = Bank()
    other = world._replace(bank=world.ca.issue("bank02.test"))
    async with secured(tmp_path, other, bank) as node:
        await until(lambda: shaken(node, "name", "BANK01") >= 2, what="two refusals")
        assert bank.network == []
        assert node.member("BANK01").connections == {}
        # The other leg is none the worse.
        acquirer = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        assert (await acquirer.ask(purchase())).get("response_code") == "91"


@pytest.mark.parametrize("names", [["127.0.0.1"], ["bank01.test"]])
async def test_without_names_the_host_that_is_dialled_is_the_name(
    tmp_path: Path, world: World, names: list[str]
) -> None:
    pair = world.ca.issue("host", names=names)
    bank = Bank()
    address = await bank.start(tls=pair.server())
    directory = tmp_path / "node"
    directory.mkdir()
    async with rig(directory, [address], bank=tls_table("issuers", world.ours)) as node:
        result = "ok" if names == ["127.0.0.1"] else "name"
        await until(lambda: shaken(node, result, "BANK01") >= 2, what=result)
        assert bool(bank.network) == (result == "ok")
    await bank.stop()


async def test_bank_that_connects_to_us_shows_its_certificate(tmp_path: Path, world: World) -> None:
    directory = tmp_path / "node"
    directory.mkdir()
    table = tls_table("issuers", world.ours, "bank01.test")
    bank = Bank()
    async with rig(directory, ["accept"], bank=table) as node:
        stranger = world.ca.issue("bank02.test")
        with contextlib.suppress(OSError):
            link = await bank.dial(node.issuers["BANK01"], stranger.client(), "switch.test")
            await asyncio.wait_for(link.ended.wait(), 5)
        await until(lambda: shaken(node, "name", "BANK01") == 1, what="the stranger refused")
        assert bank.network == []
        await bank.dial(node.issuers["BANK01"], world.bank.client(), "switch.test")
        acquirer = await Acquirer.connect(node.acquirer)
        await until(lambda: node.member("BANK01").signed_on() == 1, what="sign-on")
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
    await bank.stop()


async def test_peer_that_does_not_read_is_cut_off_at_the_limit_with_tls_too(
    tmp_path: Path, world: World
) -> None:
    limits = "write_buffer_bytes_max = 65536"
    async with secured(tmp_path, world, limits=limits) as node:
        acquirer = await Acquirer.connect(
            node.acquirer, receive_buffer=4096, tls=world.acquirer.client()
        )
        known = purchase()
        assert (await acquirer.ask(known)).get("response_code") == "00"
        (connection,) = node.member("ACQ01").connections.values()
        acquirer.stop_reading()
        frame = DIALECT.encode("0201", known)

        def flood() -> bool:
            acquirer.write(frame * 200)
            return node.driver.counts["peer_does_not_read"] > 0

        await until(flood, what="the peer to be noticed")
        assert connection.paused & Paused.PEER_DOES_NOT_READ or connection.transport is None
        assert not connection.writable
        transport = connection.transport
        assert transport is None or transport.get_write_buffer_size() < 1 << 20


async def test_big_writes_arrive_whole_after_back_pressure(tmp_path: Path, world: World) -> None:
    """More than any mark waits for a slow peer; when it reads again, nothing is missing."""
    async with secured(tmp_path, world, limits="write_buffer_bytes_max = 4194304") as node:
        acquirer = await Acquirer.connect(
            node.acquirer, receive_buffer=4096, tls=world.acquirer.client()
        )
        known = purchase()
        assert (await acquirer.ask(known)).get("response_code") == "00"
        (connection,) = node.member("ACQ01").connections.values()
        acquirer.stop_reading()
        frame, sent = DIALECT.encode("0201", known), 0
        while connection.writable:
            acquirer.write(frame * 50)
            sent += 50
            await asyncio.sleep(0.002)
        assert acquirer.transport is not None
        acquirer.transport.resume_reading()
        await until(lambda: len(acquirer.received) == sent + 2, 20, f"{sent} answers")
        assert connection.writable
        assert connection.paused == 0
        assert {one.get("response_code") for one in acquirer.received[1:]} == {"00"}


async def test_drain_delivers_the_last_answer_and_says_goodbye(
    tmp_path: Path, world: World
) -> None:
    bank = Bank()
    bank.silent = True
    async with secured(tmp_path, world, bank) as node:
        acquirer = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        acquirer.send("0200", purchase())
        await until(lambda: len(bank.requests) == 1, what="request")
        finishing = asyncio.ensure_future(node.worker.finish())
        await asyncio.sleep(0.1)
        acquirer.send("0200", purchase())
        bank.reply(bank.links[0], bank.requests[0])
        assert (await acquirer.next()).get("response_code") == "00"
        await asyncio.wait_for(acquirer.ended.wait(), 5)
        assert len(acquirer.received) == 2
        assert await finishing == 0


async def test_link_that_its_tls_layer_ended_says_so(tmp_path: Path, world: World) -> None:
    async with secured(tmp_path, world) as node:
        acquirer = await Acquirer.connect(node.acquirer, tls=world.acquirer.client())
        assert acquirer.transport is not None
        sock = acquirer.transport.get_extra_info("socket")
        # A record that nobody sealed.
        asyncio.get_running_loop().call_soon(
            _send, sock.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32
        )
        await asyncio.wait_for(acquirer.ended.wait(), 5)
        label = 'tapswitch_link_disconnects_total{member="ACQ01",reason="tls"}'
        await until(lambda: counters(node)[label] == 1, what="the reason")


def _send(descriptor: int, data: bytes) -> None:
    import os

    os.write(descriptor, data)
