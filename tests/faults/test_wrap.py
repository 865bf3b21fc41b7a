"""Row 45 on a real node: our numbers towards a bank come to 999999 and begin again while requests
are in flight; late answers find their own, reversals and their repeats keep what they had."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from switch.constants import STAN_MAX
from switch.native import journal
from switch.wire import Message
from tests.support.mac import node_keys
from tests.support.node import Node
from tests.support.peer import Acquirer, Bank, BankLink, Peer, purchase, until
from tests.support.tree import ROOT

LEFT: Final = 12
"""Numbers up to the wrap when the node starts."""


def near_the_end(node: Node) -> None:
    """A journal that knows that nearly all numbers towards BANK01 were used a moment ago."""
    keys = node_keys(node.directory)
    place = node.data / "journal" / "w0"
    for part in (node.data, place.parent, place):
        part.mkdir(mode=0o700, exist_ok=True)
    made = journal.Journal.open(str(place), keys, segment_bytes=2 << 20)
    now = time.time()
    made.append({
        "kind": "STAN_MARK", "at_ms": int(now * 1000), "institution": "BANK01",
        "out_stan": STAN_MAX - LEFT, "out_time": time.strftime("%m%d%H%M%S", time.gmtime(now)),
    })  # fmt: skip
    made.commit()
    made.close()


def number(message: Message) -> tuple[str, str]:
    return str(message.get("stan")), str(message.get("transmission_time"))


async def test_numbers_wrap_while_requests_are_in_flight_and_reversals_keep_theirs(
    tmp_path: Path,
) -> None:
    bank = Bank()
    kept: list[tuple[BankLink, Message]] = []

    def silent_for_some(link: BankLink, message: Message) -> None:
        if str(message.get("amount")).endswith("77"):
            kept.append((link, message))
        else:
            bank.reply(link, message)

    bank.on_request = silent_for_some
    node = Node(tmp_path, [await bank.start()], deadline="deadline_ms = 4000")
    near_the_end(node)
    try:
        await node.start()
        await until(lambda: node.opened("BANK01") >= 2, what="the bank's links")
        acquirer = await Acquirer.connect(node.acquirer)
        waiting: list[dict[str, Any]] = [dict(purchase(1_077)) for _ in range(4)]
        bank.acknowledges = False
        for one in waiting:
            acquirer.send("0200", one)
        await until(lambda: len(kept) == 4, what="in flight")
        before = [int(str(message.get("stan"))) for _, message in kept]
        assert min(before) > STAN_MAX - LEFT, "numbered before the wrap"
        asked = [dict(purchase()) for _ in range(2 * LEFT)]
        for one in asked:
            answer = await acquirer.ask(one)
            assert (answer.get("response_code"), answer.get("stan")) == ("00", one["stan"])
        stans = [int(str(message.get("stan"))) for message in bank.requests]
        assert max(stans) == STAN_MAX
        assert stans[-1] < 3 * LEFT, "they have begun again"
        # One answer comes behind the wrap and finds its own request.
        bank.reply(*kept[0])
        late = await acquirer.next()
        assert (late.get("response_code"), late.get("stan")) == ("00", waiting[0]["stan"])
        # Three never come: reversed, and reversed again under the numbers of the first time.
        told = [await acquirer.next() for _ in range(3)]
        assert {one.get("response_code") for one in told} == {"91"}
        originals = {number(message) for _, message in kept[1:]}
        await until(lambda: len(bank.reversals) >= 6, what="repeated reversals")
        await node.kill_worker()
        seen = len(bank.reversals)
        await until(lambda: len(bank.reversals) >= seen + 3, what="repeated after a restart")
        assert {original(message) for message in bank.reversals} == originals
        assert len({number(message) for message in bank.reversals}) == 3
        bank.acknowledges = True
        # The next life goes on behind the wrap, not before it.
        acquirer = await Acquirer.connect(node.acquirer)
        for one in asked[:2]:
            assert (await acquirer.ask(one)).get("auth_code") == "A00001"
        assert len(bank.requests) == len(stans), "the bank sees them once"
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        assert int(str(bank.requests[-1].get("stan"))) > stans[-1]
        every = [number(m) for m in (*bank.requests, *bank.network)]
        every += sorted({number(m) for m in bank.reversals})
        assert len(every) == len(set(every)), "no number twice"
        await asyncio.sleep(0.6)
        for peer in list(Peer.open_peers):
            peer.abort()
        assert await node.stop() == 0
        verified = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "switch", "journal", "verify", str(tmp_path)],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        assert verified.returncode == 0, verified.stdout
    finally:
        for peer in list(Peer.open_peers):
            peer.abort()
        await node.end()
        await bank.stop()
        print(node.text()[-4_000:])  # noqa: T201 - shown when the test fails


def original(message: Message) -> tuple[str, str]:
    return (
        str(message.get("original_data.stan")),
        str(message.get("original_data.transmission_time")),
    )
