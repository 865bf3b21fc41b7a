"""A node of real processes with TLS on both legs: a purchase, metrics, an end."""

import re
from pathlib import Path

import httpx
import pytest

from switch.crypto.certificate import read_pem
from tests.support.ca import Authority, tls_table
from tests.support.node import MakeNode
from tests.support.peer import Acquirer, Bank, purchase, until

pytestmark = pytest.mark.system


async def test_purchase_over_tls_on_both_legs(
    tmp_path: Path, make_node: MakeNode, bank: Bank
) -> None:
    ca = Authority(tmp_path / "ca")
    ours, theirs = ca.issue("switch.test"), ca.issue("acq01.test")
    address = await bank.start(tls=ca.issue("bank01.test").server())
    node = make_node(
        [address],
        acquirer=tls_table("acquirers", ours, "acq01.test"),
        bank=tls_table("issuers", ours, "bank01.test"),
    )
    await node.start()
    acquirer = await Acquirer.connect(node.acquirer, tls=theirs.client())
    asked = purchase()
    assert (await acquirer.ask(asked)).get("response_code") == "00"
    assert (await acquirer.ask(acquirer.reversal_of(asked), "0420")).get("response_code") == "00"
    await until(lambda: len(bank.reversals) == 1, what="the reversal at the bank")

    text = await _metrics(await node.metrics())
    assert 'tapswitch_tls_handshakes_total{member="ACQ01",result="ok"} 1.0' in text
    name = r'tapswitch_tls_certificate_expiry_timestamp_seconds\{member="(ACQ01|BANK01)"\} (\S+)'
    ends = {member: float(value) for member, value in re.findall(name, text)}
    (certificate,) = read_pem(ours.certificate, "certificate")[1]
    assert ends == {"ACQ01": certificate.not_after_s, "BANK01": certificate.not_after_s}
    assert await node.stop() == 0
    assert node.events("worker.stopped")
    assert not [e for e in node.events("link.down") if str(e["reason"]).startswith("tls")]


async def _metrics(address: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{address}/metrics")).text
