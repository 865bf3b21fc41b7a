"""Nodes and banks that end with their test, whatever it did."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import MakeNode, Node
from tests.support.peer import Bank, Peer


@pytest.fixture
async def make_node(tmp_path: Path) -> AsyncIterator[MakeNode]:
    """Makes nodes in this test's directory."""
    nodes: list[Node] = []

    def make(banks: list[str], **more: Any) -> Node:
        directory = tmp_path / f"node{len(nodes)}"
        directory.mkdir()
        nodes.append(Node(directory, banks, **more))
        return nodes[-1]

    yield make
    for peer in list(Peer.open_peers):
        peer.abort()
    await asyncio.sleep(0)
    for node in nodes:
        await node.end()
        # Shown by pytest when the test fails.
        sys.stdout.write(node.text() if node.output.exists() else "not started")


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    """One bank, not yet listening."""
    bank = Bank()
    yield bank
    await bank.stop()
