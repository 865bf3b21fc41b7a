"""Tests of orders to a worker run on both loops, as those of the shell do."""

from tests.unit.runtime.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
