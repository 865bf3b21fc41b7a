"""A function of the product in the place of which another stands for a while."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["Mutant", "instead"]

Mutant = Callable[[], AbstractContextManager[None]]
"""Makes a defect for as long as it is entered."""


@contextlib.contextmanager
def instead(owner: Any, name: str, other: Any) -> Iterator[None]:
    """`other` under this name of a class or module."""
    before = owner.__dict__[name]
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)
