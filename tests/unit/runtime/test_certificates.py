"""Certificates that change while links stand, on both loops: by order, by themselves, and files
that are no good."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from switch.apps.start import checked
from switch.errors import CertificateError
from switch.native import meter
from switch.runtime import certificates
from tests.support.ca import Authority, Pair, tls_table
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig

NAME = "tapswitch_tls_%s"


def gauges(node: Rig) -> dict[str, int]:
    return meter.MeterReader.open(str(node.worker.metrics.path)).gauges()


def reloads(node: Rig, result: str) -> int:
    counters = meter.MeterReader.open(str(node.worker.metrics.path)).counters()
    return counters[f'tapswitch_tls_certificate_reloads_total{{member="ACQ01",result="{result}"}}']


def expiry(node: Rig, whose: str = "certificate") -> int:
    return gauges(node)[f'tapswitch_tls_{whose}_expiry_timestamp_seconds{{member="ACQ01"}}']


def ends(pair: Pair) -> int:
    from switch.crypto.certificate import read_pem

    return read_pem(pair.certificate, "certificate")[1][0].not_after_s


def read(file: str | Path) -> bytes:
    return Path(file).read_bytes()


def write(file: str | Path, data: bytes) -> None:
    Path(file).write_bytes(data)


async def serial(address: str, context: ssl.SSLContext) -> str:
    """Serial number of the certificate that the switch shows a new connection."""
    peer = await Acquirer.connect(address, tls=context)
    assert peer.transport is not None
    shown = peer.transport.get_extra_info("peercert")
    await peer.close()
    return str(shown["serialNumber"])


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


async def test_reload_while_a_session_stands_and_traffic_goes_on(
    tmp_path: Path, ca: Authority
) -> None:
    ours, theirs = ca.issue("switch.test", ends=timedelta(days=5)), ca.issue("acq01.test")
    bank = Bank()
    table = tls_table("acquirers", ours, "acq01.test")
    async with rig(tmp_path, [await bank.start()], acquirer=table) as node:
        worker = node.worker
        acquirer = await Acquirer.connect(node.acquirer, tls=theirs.client())
        before = await serial(node.acquirer, theirs.client())
        assert expiry(node) == ends(ours)
        assert expiry(node, "peer_certificate") == ends(theirs)
        asked, answered = 0, 0

        async def sell() -> None:
            nonlocal asked, answered
            while asked < 200:
                asked += 1
                code = (await acquirer.ask(purchase(serial=asked))).get("response_code")
                answered += code == "00"
                if asked == 50:
                    ca.issue("switch.test", ends=timedelta(days=200))
                    worker.certificates.reload(worker.settings)

        await sell()
        assert (asked, answered) == (200, 200), "the session stood through it"
        assert await serial(node.acquirer, theirs.client()) != before
        assert expiry(node) == ends(ours) > ends(theirs)
        assert (reloads(node, "ok"), reloads(node, "failed")) == (1, 0)
    await bank.stop()


async def test_reload_with_a_bad_file_changes_nothing_and_says_why(
    tmp_path: Path, ca: Authority
) -> None:
    ours, theirs = ca.issue("switch.test"), ca.issue("acq01.test")
    bank = Bank()
    table = tls_table("acquirers", ours, "acq01.test")
    async with rig(tmp_path, [await bank.start()], acquirer=table) as node:
        worker = node.worker
        acquirer = await Acquirer.connect(node.acquirer, tls=theirs.client())
        before, end = await serial(node.acquirer, theirs.client()), expiry(node)
        good = read(ours.key)
        write(ours.key, read(theirs.key))
        with pytest.raises(CertificateError, match="does not belong to") as raised:
            worker.certificates.reload(worker.settings)
        assert (raised.value.file, raised.value.key) == (ours.key, "key")
        write(ours.key, good)
        ca.issue("switch.test", begins=timedelta(days=-9), ends=timedelta(days=-1))
        with pytest.raises(CertificateError, match="has ended"):
            worker.certificates.reload(worker.settings)
        assert await serial(node.acquirer, theirs.client()) == before
        assert (expiry(node), reloads(node, "failed"), reloads(node, "ok")) == (end, 2, 0)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
    await bank.stop()


async def test_changed_files_are_noticed_and_told_once(
    tmp_path: Path,
    ca: Authority,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(certificates, "LOOK_EVERY_S", 0)
    ours, theirs = ca.issue("switch.test"), ca.issue("acq01.test")
    bank = Bank()
    table = tls_table("acquirers", ours, "acq01.test")
    async with rig(tmp_path, [await bank.start()], acquirer=table) as node:
        before = await serial(node.acquirer, theirs.client())
        ca.issue("switch.test", ends=timedelta(days=200))
        await until(lambda: reloads(node, "ok") == 1, 10, "the new files")
        after = await serial(node.acquirer, theirs.client())
        assert after != before
        write(ours.certificate, b"half a fi")
        await until(lambda: reloads(node, "failed") == 1, 10, "the bad file")
        await asyncio.sleep(1.2)
        assert reloads(node, "failed") == 1, "said once, not at every look"
        assert await serial(node.acquirer, theirs.client()) == after
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "tls.unchanged" in line]
    assert len(told) == 1
    assert "there is no certificate in the certificate" in told[0]
    await bank.stop()


async def test_name_that_was_taken_away_is_out_at_the_next_hand_shake(
    tmp_path: Path, ca: Authority
) -> None:
    from switch.settings.load import load

    ours, theirs, other = (ca.issue(n) for n in ("switch.test", "acq01.test", "pos.acq01.test"))
    bank = Bank()
    table = tls_table("acquirers", ours, "acq01.test")
    async with rig(tmp_path, [await bank.start()], acquirer=table) as node:
        standing = await Acquirer.connect(node.acquirer, tls=theirs.client())
        file = tmp_path / "switch.toml"
        file.write_text(file.read_text("utf-8").replace('"acq01.test"', '"pos.acq01.test"'))
        worker = node.worker
        settings = load(tmp_path)
        worker.certificates.adopt(settings, worker.certificates.prepare(settings))
        assert (await standing.ask(purchase())).get("response_code") == "00"
        new = await Acquirer.connect(node.acquirer, tls=other.client())
        assert (await new.ask(purchase())).get("response_code") == "00"
        old = Acquirer.connect(node.acquirer, tls=theirs.client())
        with pytest.raises((OSError, TimeoutError)):
            await old
    await bank.stop()


async def test_ca_that_was_taken_away_is_out_at_the_next_hand_shake(
    tmp_path: Path, ca: Authority
) -> None:
    ours, theirs = ca.issue("switch.test"), ca.issue("acq01.test")
    second = Authority(tmp_path / "ca", "second")
    trusted = tmp_path / "trusted.pem"
    write(trusted, read(ca.file))
    bank = Bank()
    table = tls_table("acquirers", ours, "acq01.test", ca=str(trusted))
    async with rig(tmp_path, [await bank.start()], acquirer=table) as node:
        context = theirs.client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        first = await Acquirer.connect(node.acquirer, tls=context)
        write(trusted, read(second.file))
        node.worker.certificates.reload(node.worker.settings)
        # Also where the peer would go on with the session that it had: TLS 1.2 remembers one.
        with pytest.raises(OSError):  # noqa: PT011 - TLS 1.2 tells the peer in the hand-shake
            await Acquirer.connect(node.acquirer, tls=context)
        assert (await first.ask(purchase())).get("response_code") == "00"
    await bank.stop()


async def test_worker_starts_with_a_certificate_that_has_ended(
    tmp_path: Path, ca: Authority
) -> None:
    """The other links' traffic must not stop with it."""
    ours = ca.issue("switch.test", begins=timedelta(days=-9), ends=timedelta(hours=-1))
    bank = Bank()
    table = tls_table("issuers", ours, "bank01.test")
    address = await bank.start(tls=ca.issue("bank01.test").server())
    async with rig(tmp_path, [address], bank=table) as node:
        checked(str(tmp_path))
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "91"
        assert bank.network == [], "the bank does not take it"
    await bank.stop()
