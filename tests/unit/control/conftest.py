"""Tests of orders to a worker run on both loops, as those of the shell do."""

from tests.unit.runtime.conftest import _collected, pytest_asyncio_loop_factories

__all__ = ["_collected", "pytest_asyncio_loop_factories"]
