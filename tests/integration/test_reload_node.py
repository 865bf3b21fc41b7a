"""Reload of a node of real processes: by order, by signal, with bad files, and killed half-way."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from switch.crypto.keyfile import open_keys
from switch.crypto.masters import DEMO_INDEX, Place, retire_master
from switch.crypto.profiles import Scheme
from switch.native import journal
from tests.support.node import MakeNode, Node
from tests.support.peer import ROOT, Acquirer, Bank, purchase, until
from tests.support.tokens import TOKEN_PREFIX
from tests.support.wallet import TOKENS, TokenNode, tap

ROUTES = "routes/cards.toml"


def edit(node: Node, find: str, put: str, name: str = "switch.toml") -> None:
    file = node.directory / name
    text = file.read_text(encoding="utf-8")
    assert find in text, text
    file.write_text(text.replace(find, put), encoding="utf-8")


async def tapswitch(*words: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "switch",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def in_force(node: Node) -> str:
    """Hash of what the next worker would come up with."""
    kept: dict[str, Any] = json.loads((node.data / "run" / "in-force.json").read_text())
    return str(kept["digest"])


def records(node: Node) -> list[Any]:
    keys = open_keys(
        str(node.directory / "keys" / "switch.keys"), str(node.directory / "keys" / "sealing.key")
    )
    reader = journal.Reader.open(str(node.data / "journal" / "w0"), keys)
    assert reader.verify() == []
    return list(reader.records())


async def gauge(node: Node, name: str) -> float:
    host, _, port = (await node.metrics()).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    page = (await reader.read()).decode()
    writer.close()
    found = re.search(rf"^tapswitch_{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_node_reloads_by_order_and_by_signal_and_refuses_bad_files(
    make_node: MakeNode, bank: Bank
) -> None:
    other = Bank()
    node = await make_node([await bank.start(), await other.start()]).start()
    config = str(node.directory)
    await until(lambda: node.opened("BANK02") == 2, what="banks signed on")
    acquirer = await Acquirer.connect(node.acquirer)

    edit(node, 'issuer = "BANK02"', 'issuer = "BANK01"', ROUTES)
    code, output = await tapswitch("config", "diff", config)
    assert (code, "routes.629901.issuer" in output) == (1, True)
    code, output = await tapswitch("reload", "--config", config, "--dry-run")
    assert (code, "would be in force" in output) == (0, True)
    code, output = await tapswitch("reload", "--config", config, "-o", "json")
    told = json.loads(output)
    assert (code, told["after"], len(told["changes"])) == (0, in_force(node), 1)
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"
    assert (len(bank.requests), len(other.requests)) == (1, 0)
    assert (await tapswitch("config", "diff", config))[0] == 0
    code, output = await tapswitch("config", "show", config, "--in-force")
    assert f"# config {told['after']}" in output

    # A bad file, by order and by signal: nothing changes.
    good = (node.directory / ROUTES).read_text(encoding="utf-8")
    edit(node, 'prefix = "629901"', 'prefix = "629901', ROUTES)
    code, output = await tapswitch("reload", "--config", config)
    assert (code, "cards.toml:5:" in output) == (3, True)
    edit(node, 'prefix = "629901', 'prefex = "629901"', ROUTES)
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
    await until(lambda: len(node.events("config.reload_refused")) == 2, what="refused by signal")
    assert 'did you mean "prefix"' in node.events("config.reload_refused")[1]["reason"]
    await asyncio.sleep(1.1)
    assert await gauge(node, "config_last_reload_successful") == 0
    assert await gauge(node, f'config_info{{hash="{told["after"]}"}}') == 1
    assert (await acquirer.ask(purchase())).get("response_code") == "00"

    # The worker dies while the files are bad: the last good configuration stays in force.
    await node.kill_worker()
    await until(lambda: bool(node.events("config.files_are_bad")), what="said loudly")
    assert in_force(node) == told["after"]
    acquirer = await Acquirer.connect(node.acquirer)
    await until(lambda: node.opened("BANK01") >= 4, what="bank signed on again")
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"

    # Mended, and reloaded by signal.
    (node.directory / ROUTES).write_text(
        good.replace('issuer = "BANK01"', 'issuer = "BANK02"'), encoding="utf-8"
    )
    node.process.send_signal(signal.SIGHUP)
    await until(lambda: len(node.events("config.reloaded")) == 2, what="reloaded by signal")
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert len(other.requests) == 1
    assert await node.stop() == 0
    hashes = [r["config_hash"] for r in records(node) if r["kind"] == "ACCEPTED"]
    assert hashes == [told["after"]] * 3 + [in_force(node)]
    await other.stop()


async def test_address_that_a_reload_opened_outlives_the_worker(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    with (node.directory / "switch.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[[acquirers]]\nid = "ACQ02"\ninstitution_code = "10002"\nlisten = "127.0.0.1:0"\n'
        )
    assert (await tapswitch("reload", "--config", str(node.directory)))[0] == 0
    at = node.told()["acquirers"]["ACQ02"]
    await node.kill_worker()
    assert node.told()["acquirers"]["ACQ02"] == at
    acquirer = await Acquirer.connect(at)
    await until(lambda: node.opened("BANK01") >= 4, what="bank signed on again")
    values = purchase(acquirer_code="10002")
    assert (await acquirer.ask(values)).get("response_code") == "00"
    assert await node.stop() == 0


async def restarted(node: Node, pid: int) -> None:
    await until(lambda: node.told().get("pid", pid) != pid, 20, "restarted")


async def test_worker_killed_in_the_middle_of_a_reload_comes_back_whole(
    make_node: MakeNode, bank: Bank
) -> None:
    other = Bank()
    node = await make_node([await bank.start(), await other.start()]).start()
    config = str(node.directory)
    targets = ['issuer = "BANK01"', 'issuer = "BANK02"']
    text = (node.directory / ROUTES).read_text(encoding="utf-8")
    head, _, tail = text.rpartition(targets[1])
    versions = [head + target + tail for target in targets]
    digests = set()
    for round_, pause_s in enumerate((0.0, 0.004, 0.008, 0.016)):
        (node.directory / ROUTES).write_text(versions[round_ % 2], encoding="utf-8")
        before = in_force(node)
        pid = node.worker_pid
        os.kill(pid, signal.SIGHUP)
        await asyncio.sleep(pause_s)
        os.kill(pid, signal.SIGKILL)
        await restarted(node, pid)
        wanted = (await tapswitch("config", "show", config))[1].split()[2]
        assert in_force(node) in {before, wanted}, "the old one whole, or the new one"
        digests.add(in_force(node))
    acquirer = await Acquirer.connect(node.acquirer)
    await until(lambda: len(bank.links) == 2 and len(other.links) == 2, what="banks are back")
    await asyncio.sleep(0.1)
    answer = await acquirer.ask(purchase(prefix="629901"))
    assert answer.get("response_code") == "00"
    assert await node.stop() == 0
    found = records(node)
    accepted = next(record for record in found if record["kind"] == "ACCEPTED")
    assert accepted["config_hash"] == in_force(node)
    assert [r for r in found if r["kind"] == "STARTED"][-1]["config"] == in_force(node)
    await other.stop()


async def test_node_with_bad_files_comes_up_with_the_last_good_ones_when_told_to(
    make_node: MakeNode, bank: Bank, tmp_path: Path
) -> None:
    node = await make_node([await bank.start()]).start()
    assert await node.stop() == 0
    good = in_force(node)
    edit(node, 'issuer = "BANK01"', 'issuer = "BANK07"', ROUTES)
    snapshot = node.data / "run" / "in-force.json"
    command = node.command()
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 3, "without being told to it does not start"
    assert in_force(node) == good
    node.command = lambda: [*command, "--last-good", str(snapshot)]  # type: ignore[method-assign]
    await node.start()
    assert node.events("config.last_good")
    await until(lambda: bool(node.events("config.files_are_bad")), what="said loudly")
    acquirer = await Acquirer.connect(node.acquirer)
    await until(lambda: len(bank.links) == 2, what="the bank")
    await asyncio.sleep(0.1)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0


async def test_card_masters_are_read_anew(make_node: MakeNode, bank: Bank) -> None:
    node = make_node([await bank.start()], tokens=TOKENS)
    tokens = TokenNode(node.directory)
    await node.start()
    acquirer = await Acquirer.connect(node.acquirer)
    device = tokens.device(0)

    async def tapped() -> str:
        one = tokens.rows[0]
        asked = purchase(1250, pan=one.token, icc=tap(device, 1250).field, expiry=one.token_expiry)
        sequence = f"{one.token_sequence:03d}"
        answer = await acquirer.ask({**asked, "card_sequence": sequence})
        return str(answer.get("response_code"))

    assert await tapped() == "00"
    file = str(node.directory / "keys" / "card-masters.keys")
    place = Place(Scheme.UNIONPAY, TOKEN_PREFIX, DEMO_INDEX)
    retire_master(file, tokens.keys, place, 1, 1_790_000_100, last=True)
    assert await tapped() == "00", "the key is in the worker's ring"
    assert (await tapswitch("reload", "--config", str(node.directory)))[0] == 0
    assert await tapped() == "05", "and is no more"
    assert len(bank.requests) == 2
    assert await node.stop() == 0
