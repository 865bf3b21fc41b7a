"""Every test of the shell that has a loop runs on both: asyncio's own and uvloop."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest
import uvloop

from tests.support.rig import Rig

LOOPS: Final[Mapping[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """A hook of pytest-asyncio: the loops that each test of this folder is run on."""
    return LOOPS


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Native objects must be dropped on the thread that made them. A worker is cyclic garbage, and
    a thread of a later test may be the one that collects it."""
    before = Rig.made
    yield
    if Rig.made != before:
        gc.collect()
