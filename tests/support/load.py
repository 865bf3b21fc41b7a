"""A load run that never was: known durations, a stall in the middle."""

import random
from typing import Any

from switch.apps.load.figures import Measured
from switch.apps.load.model import Kind, Moment, Run, Step, entry
from switch.apps.load.threshold import Verdict, judge, parse
from switch.native import load

__all__ = ["RATE", "SECONDS", "made_run"]

RATE = 500
SECONDS = 30
SLICE_MS = 500
STALL = (12.0, 13.0)
MS = 1_000_000


def made_run(**changes: Any) -> tuple[Run, dict[str, "load.Series"]]:
    """30 s at 500/s, evenly: 1 ms or so each, and a second in which nothing was answered."""
    rng = random.Random(7)
    due, sent = load.Series(SLICE_MS), load.Series(SLICE_MS)
    moments: dict[int, list[int]] = {}
    for number in range(RATE * SECONDS):
        at = number / RATE
        took = int(rng.lognormvariate(0, 0.3) * MS)
        waited = int((STALL[1] - at) * 1e9) if STALL[0] <= at < STALL[1] else 0
        due.record(int(at * 1e9), took + waited)
        sent.record(int(at * 1e9), took)
        moments.setdefault(int(at * 1e3) // SLICE_MS, [0, 0])[0] += 1
        ended = at + (took + waited) / 1e9
        moments.setdefault(int(ended * 1e3) // SLICE_MS, [0, 0])[1] += 1
    kind = Kind(
        name="0200", offered=RATE * SECONDS, answered=RATE * SECONDS, declined=0, errors=0,
        timeouts=0, not_sent=0, codes={"00": RATE * SECONDS},
    )  # fmt: skip
    figures = Measured({"0200 due": due.total(), "0200 sent": sent.total()}, [kind], SECONDS)
    values: dict[str, Any] = {
        "tool": "locust",
        "title": "A stall",
        "at": "2026-11-27T12:00:00Z",
        "start_s": 1_795_000_000.5,
        "seconds": float(SECONDS),
        "slice_ms": SLICE_MS,
        "valid": True,
        "shown": (0.0, float(SECONDS)),
        "kinds": [kind],
        "entries": [entry("0200 due", due.total()), entry("0200 sent", sent.total())],
        "timeline": [
            Moment(number * SLICE_MS / 1e3, offered, answered, 0, 0, 0)
            for number, (offered, answered) in sorted(moments.items())
        ],
        "verdicts": [
            judge(parse(text), figures) for text in ("p99(0200)>800ms", "error_rate>0.01%")
        ],
        "plan": {"rate": RATE},
        "environment": {"machine": {"cpu": "a machine", "cores": "2", "stolen_percent": "0.1"}},
    }
    return Run(**(values | changes)), {"0200 due": due, "0200 sent": sent}


def made_step(rate: float, *, passed: bool, valid: bool = True, at_s: float = 0.0) -> Step:
    """A step of a ladder whose p99 grows with its rate."""
    return Step(
        rate=rate, attempt=0, at_s=at_s, seconds=5.0, valid=valid, fault="" if valid else "late",
        passed=passed, offered=int(rate * 5), achieved=rate, errors=0, p50_us=rate, p99_us=rate * 3,
        p999_us=rate * 5, max_us=rate * 9, sent_p99_us=rate * 2, send_lag_p999_us=50.0,
        generator_cpu=0.1, cpu_us_per_request=60.0,
        verdicts=[Verdict("p99(0200)>10ms", passed, rate * 3e3, 1e7, "time", "p99")],
        conservation="agree",
    )  # fmt: skip
