"""Settings of all tests.

Property tests run with a fixed seed in `make test` and CI, so that a red run means a change; set
HYPOTHESIS_PROFILE=search to look for new examples. No deadline per example: two shared cores are no
stopwatch.
"""

import os

from hypothesis import settings

settings.register_profile("fixed", deadline=None, derandomize=True, print_blob=True, database=None)
settings.register_profile("search", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
