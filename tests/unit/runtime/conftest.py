"""Every test of the shell that has a loop runs on both: asyncio's own and uvloop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import uvloop

LOOPS: Final[Mapping[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """A hook of pytest-asyncio: the loops that each test of this folder is run on."""
    return LOOPS
