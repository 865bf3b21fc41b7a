"""Settings of all tests.

Property tests run with a fixed seed in `make test` and CI, so that a red run means a change; set
HYPOTHESIS_PROFILE=search to look for new examples. No deadline per example: two shared cores are no
stopwatch.
"""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.rig import Rig

settings.register_profile("fixed", deadline=None, derandomize=True, print_blob=True, database=None)
settings.register_profile("search", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Native objects must be dropped on the thread that made them. A worker is cyclic garbage, and
    a thread of a later test may be the one that collects it."""
    before = Rig.made
    yield
    if Rig.made != before:
        gc.collect()
