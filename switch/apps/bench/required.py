"""What an overload must leave of a switch, and whether a run reached it."""

import math
from collections.abc import Iterator
from statistics import median
from typing import Final

from switch.apps.bench.overload import REVERSALS, OverloadRun, Stage

__all__ = ["REQUIRED", "result"]

REQUIRED: Final = {2.0: 0.90, 5.0: 0.75, 10.0: 0.55}
"""Multiple of the knee to the least goodput, as a share of the knee's."""
QUIET_SUCCESS_MIN: Final = 0.999
QUIET_P99_MAX: Final = 2.0
"""Times its own p99 beside a calm one."""
RECOVERED_S_MAX: Final = 2.0
GROWTH_MAX: Final = 32 << 20
"""Of resident memory in the second half of an overload, in bytes: flat but for what an allocator
takes in steps."""


def result(run: OverloadRun) -> list[tuple[bool, str]]:
    """What is required, and whether it was reached. Of a multiple that was measured several times
    times and shares are medians of the steps that are not void, which must be more than half of
    them; what must never happen is asked of every step."""
    found: list[tuple[bool, str]] = []
    for multiple in dict.fromkeys(stage.multiple for stage in run.stages):
        stages = [stage for stage in run.stages if stage.multiple == multiple]
        found += ((ok, f"{multiple:g}x: {said}") for ok, said in _reached(multiple, stages))
    return found


def _reached(multiple: float, stages: list[Stage]) -> Iterator[tuple[bool, str]]:
    valid = [stage for stage in stages if stage.valid]
    if 2 * len(valid) <= len(stages):
        yield False, next(stage.fault for stage in stages if not stage.valid)
    valid = valid or stages
    share = median(stage.goodput_share for stage in valid)
    least = REQUIRED.get(multiple)
    if least is not None:
        yield share >= least, f"goodput {100 * share:.1f} % >= {100 * least:g} %"
    quiet = [stage.quiet["overload"] for stage in stages]
    success = sum(one.approved for one in quiet) / max(1, sum(one.offered for one in quiet))
    said = f"quiet acquirer's success {100 * success:.3f} % >= 99.9 %"
    yield success >= QUIET_SUCCESS_MIN, said
    times = median(_or_never(stage.quiet_p99_times) for stage in valid)
    yield times <= QUIET_P99_MAX, f"quiet acquirer's p99 {times:g} x normal <= {QUIET_P99_MAX:g}"
    after = median(_or_never(stage.recovered_s) for stage in valid)
    when = "never" if math.isinf(after) else f"{after:g} s"
    yield after <= RECOVERED_S_MAX, f"p99 normal {when} after it <= {RECOVERED_S_MAX:g} s"
    growth = max(stage.memory_second_half - stage.memory_first_half for stage in stages)
    yield growth <= GROWTH_MAX, f"memory grew by {growth / 2**20:.1f} MiB in its second half <= 32"
    reversals = min(stage.reversals for stage in stages)
    said = f"reversals acknowledged during it {reversals} of {REVERSALS}"
    yield reversals == REVERSALS, said
    words = [stage.conservation for stage in stages]
    bad = [one for one in words if not one.startswith("agree")]
    yield not bad, f"ledgers {(bad or words)[0]}"


def _or_never(value: float | None) -> float:
    return math.inf if value is None else value
