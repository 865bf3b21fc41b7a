"""Plants known card numbers, tracks and PIN blocks, runs the whole system through its fair and foul
ways, kills it once, and searches everything that is left behind."""

import asyncio
import os
import urllib.request
from pathlib import Path

from tests.support.canary import find
from tests.support.node import MakeNode
from tests.support.peer import DIALECT, Acquirer, Bank, luhn, purchase, until

CARDS = {f"card {n}": luhn(f"629900{n:09d}") for n in (700_000_001, 700_000_002, 700_000_003)}
PAN = CARDS["card 700000001"]
TRACK2 = f"{PAN}=30121010000000055500"
TRACK1 = f"B{PAN}^CARDHOLDER/CANARY^30121010000000055500"
PIN_BLOCK = bytes.fromhex("0412ac89abcdef67")
CVV_TRACK = "5550"
"""Too short to search for by itself; it is part of both tracks."""
ICC = (
    bytes.fromhex("57") + bytes([19]) + bytes.fromhex(f"{PAN}d30121010000000055500".ljust(38, "f"))
)


async def test_nothing_secret_is_left_behind(
    make_node: MakeNode, bank: Bank, tmp_path: Path
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)

    approved = purchase(pan=PAN, track2=TRACK2, icc=ICC)
    assert (await acquirer.ask(approved)).get("response_code") == "00"
    assert (await acquirer.ask(approved, "0201")).get("response_code") == "00"
    assert (await acquirer.ask({**approved, "amount": "000000000001"})).get("response_code") == "94"
    reversal = acquirer.reversal_of(approved)
    assert (await acquirer.ask(reversal, "0420")).get("response_code") == "00"
    pin = purchase(pan=CARDS["card 700000002"], pin_block=PIN_BLOCK, track2=TRACK2, track1=TRACK1)
    assert (await acquirer.ask(pin)).get("response_code") == "57"
    assert (await acquirer.ask(purchase(pan=PAN, amount=0))).get("response_code") == "13"
    assert (await acquirer.ask(purchase(pan=luhn("629999700000001")))).get("response_code") == "92"

    # A message that breaks off inside the track, and one whose length is a lie.
    whole = DIALECT.encode("0200", purchase(pan=PAN, track2=TRACK2))
    cut = whole[2:-40]
    acquirer.write(len(cut).to_bytes(2, "big") + cut)
    acquirer.write(whole.replace(b"37", b"99", 1))

    stranger = await Acquirer.connect(node.acquirer, sign_on=False)
    stranger.send("0200", purchase(pan=PAN, track2=TRACK2, pin_block=PIN_BLOCK))
    await stranger.next()

    bank.silent, bank.acknowledges = True, False
    late = await Acquirer.connect(node.acquirer)
    lost = purchase(pan=CARDS["card 700000003"], track2=TRACK2, icc=ICC)
    assert (await late.ask(lost)).get("response_code") == "91"
    late.send("0200", purchase(pan=PAN, track2=TRACK2, serial=9))
    await until(lambda: len(bank.requests) >= 3, what="request in flight")
    await node.kill_worker()
    bank.acknowledges = True
    await until(lambda: len(bank.reversals) >= 3, what="reversals")

    places = [node.directory, *_elsewhere(node.told())]
    scraped = tmp_path / "metrics.txt"
    scraped.write_bytes(await asyncio.to_thread(_scrape, await node.metrics()))
    assert await node.stop() == 0
    secrets: dict[str, str | bytes] = {
        **CARDS,
        "track 2": TRACK2,
        "track 1": TRACK1,
        "chip data": ICC,
        "PIN block": PIN_BLOCK,
        "unrouted card": luhn("629999700000001"),
    }
    assert find(secrets, [*places, scraped]) == []
    # The search looked at what matters.
    assert (node.data / "journal").is_dir()
    assert b"tapswitch_transactions_total" in scraped.read_bytes()
    assert "journal.recovered" in node.text()


def _elsewhere(told: dict[str, object]) -> list[Path]:
    """What the processes keep outside their directory, and what a crash would have left."""
    places = [Path(str(told["meter"])).parent] if told.get("meter") else []
    return places + [p for p in (Path.cwd() / "core", Path(f"core.{os.getpid()}")) if p.exists()]


def _scrape(address: str) -> bytes:
    """Everything that the exporter says."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        body: bytes = answer.read()
    return body
