"""Plants card numbers behind tokens, a card master key and what is derived of it, lets them be used
in every way, kills worker and gateway once, and searches everything that is left behind."""

import asyncio
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from pyemv import kd, tools

from switch.control.tokens import connect
from switch.crypto.keyfile import create_keys, open_keys
from switch.crypto.masters import Place, add_master, open_masters
from switch.crypto.profiles import Option, Scheme
from switch.errors import TokenError
from switch.settings.load import load
from switch.tokens.orders import (
    By,
    CardGiven,
    Import,
    Imported,
    Provision,
    ReplacePan,
    Resume,
    Suspend,
)
from tests.support.canary import find
from tests.support.node import MakeNode, Node
from tests.support.peer import Acquirer, Bank, Values, luhn, purchase, until
from tests.support.tree import ROOT
from tests.support.wallet import TOKENS, tap

MASTER = bytes.fromhex("7f3a94c1e6582bd09c41f7062e8db35a")
"""Planted: of no scheme and no issuer."""
CARDS = [luhn(f"629900{n:09d}") for n in (810_000_001, 810_000_002, 810_000_003, 810_000_004)]
AMOUNT = 1250
BY = By(actor="canary", reason="a search for secrets")


def keys_of(node: Node) -> bytes:
    """Makes the node's keys and enters the master; the sealing key, the seed of all others."""
    settings = load(node.directory)
    assert settings.tokens is not None
    sealing = settings.keys.sealing_key_file
    create_keys(settings.keys.file, sealing, demo=True)
    descriptor = os.memfd_create("master")
    try:
        os.write(descriptor, MASTER)
        os.lseek(descriptor, 0, os.SEEK_SET)
        check_value = tools.encrypt_tdes_ecb(MASTER, bytes(8))[:3].hex()
        add_master(
            settings.tokens.card_masters_file,
            open_keys(settings.keys.file, sealing),
            Place(Scheme.UNIONPAY, "629977", 1),
            "BANK01",
            Option.A,
            1_795_600_000,
            (descriptor, check_value),
        )
    finally:
        os.close(descriptor)
    return bytes.fromhex(Path(sealing).read_text(encoding="ascii").strip())


async def issued(node: Node) -> list[str]:
    """Tokens of the planted cards; and an order that is refused, with a card number in it."""
    async with connect(load(node.directory)) as gateway:
        rows = [
            Provision(card=CardGiven(pan=pan, expiry="3106"), requestor="12300000001")
            for pan in CARDS[:3]
        ]
        made = await gateway.perform(Import(by=BY, rows=rows))
        assert isinstance(made, Imported)
        with pytest.raises(TokenError) as refused:
            await gateway.perform(Suspend(by=BY, token=CARDS[3]))
        assert CARDS[3] not in str(refused.value)
        return made.tokens


async def used(node: Node, bank: Bank, tokens: list[str]) -> list[bytes]:
    """Taps that are approved, declined, repeated, reversed and lost; their chip data."""
    settings = load(node.directory)
    assert settings.tokens is not None
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    masters = open_masters(settings.tokens.card_masters_file, keys)
    devices = [masters.element("unionpay-01", 1, token, 1, "3106") for token in tokens]
    chips: list[bytes] = []

    def asked(number: int, **tricks: object) -> Values:
        chips.append(tap(devices[number], AMOUNT, tell="5A 57 5F34", **tricks).field)
        return purchase(AMOUNT, pan=tokens[number], icc=chips[-1])

    acquirer = await Acquirer.connect(node.acquirer)
    approved = asked(0)
    for mti in ("0200", "0201"):
        assert (await acquirer.ask(approved, mti)).get("response_code") == "00"
    assert (await acquirer.ask(asked(1, spoiled=True))).get("response_code") == "05"
    assert (await acquirer.ask(acquirer.reversal_of(approved), "0420")).get("response_code") == "00"
    async with connect(settings) as gateway:
        await gateway.perform(Suspend(by=BY, token=tokens[1]))
        assert (await acquirer.ask(asked(1))).get("response_code") == "62"
        await gateway.perform(Resume(by=BY, token=tokens[1]))
        new = CardGiven(pan=CARDS[3], expiry="3106")
        await gateway.perform(ReplacePan(by=BY, token=tokens[2], card=new))
    assert (await acquirer.ask(asked(2))).get("response_code") == "00"
    bank.silent, bank.acknowledges = True, False
    assert (await acquirer.ask(asked(1))).get("response_code") == "91"
    return chips


def derived(tokens: list[str]) -> dict[str, bytes]:
    """Card keys and first session keys, by the oracle."""
    found = {}
    for number, token in enumerate(tokens):
        card_key = kd.derive_icc_mk_a(MASTER, token, "01")
        found[f"card key {number}"] = card_key
        session = tools.encrypt_tdes_ecb(card_key, bytes(7) + b"\x01" + bytes(6) + b"\xff\xfe")
        found[f"session key {number}"] = session
    return found


async def test_nothing_secret_of_a_tap_is_left_behind(
    make_node: MakeNode, bank: Bank, tmp_path: Path
) -> None:
    node = make_node([await bank.start()], tokens=TOKENS)
    seed = keys_of(node)
    await node.start()
    ready = node.data / "run" / "gateway.json"
    await until(ready.exists, 30, "gateway ready")
    tokens = await issued(node)
    chips = await used(node, bank, tokens)
    shown = await asyncio.to_thread(_command, node, "token", "show", tokens[2])
    assert f"{CARDS[3][:6]}******{CARDS[3][-4:]}" in shown
    await node.kill_worker()
    bank.acknowledges = True
    await until(lambda: len(bank.reversals) >= 2, what="reversals")
    scraped = tmp_path / "metrics.txt"
    scraped.write_bytes(await asyncio.to_thread(_scrape, await node.metrics()))
    (tmp_path / "shown.txt").write_text(shown, encoding="utf-8")
    assert await node.stop() == 0
    secrets: dict[str, str | bytes] = {f"card {n}": pan for n, pan in enumerate(CARDS)}
    secrets |= {f"chip data {n}": chip for n, chip in enumerate(chips)}
    secrets |= {"master key": MASTER, **derived(tokens)}
    places = [node.directory, scraped, tmp_path / "shown.txt"]
    assert find(secrets, places) == []
    sealing = load(node.directory).keys.sealing_key_file
    elsewhere = [p for p in node.directory.rglob("*") if p.is_file() and str(p) != sealing]
    assert find({"seed": seed}, [*elsewhere, scraped]) == []
    # The search looked at what matters.
    assert any(p.suffix == ".mdb" for p in elsewhere)
    assert any(p.suffix == ".sqlite" for p in elsewhere)
    assert b"tapswitch_tap_refusals_total" in scraped.read_bytes()


def _command(node: Node, *words: str) -> str:
    """What a command says, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "switch", *words, "--config", str(node.directory)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _scrape(address: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        body: bytes = answer.read()
    return body
