"""Compares a run of the micro-benchmarks with the committed baseline.

Both hold ratios to the yardstick of their own run (bench/reference.py), so a slower machine alone
changes nothing. Best of all rounds, because noise only ever adds. Exit code 6: something became
slower than the tolerance allows, or disappeared.

    python bench/compare.py out/bench.json           compare
    python bench/compare.py out/bench.json --save    make this run the baseline
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

__all__ = ["compare", "ratios"]

BASELINE: Final = Path(__file__).with_name("baseline.json")
REFERENCE: Final = "bench/test_reference.py::test_reference"
TOLERANCE: Final = 1.5
"""Another processor shifts ratios by a third; a lost optimisation is a multiple."""
DISK_TOLERANCE: Final = 10.0
"""What waits for a disk is told, but disks differ by more than any mistake of ours."""
ON_DISK: Final = ("test_durable_group", "test_index.py::test_build")
EXIT_THRESHOLD: Final = 6


def ratios(saved: dict[str, Any]) -> dict[str, float]:
    """Bench to its best time as multiple of the yardstick's. Raises KeyError without it."""
    best = {bench["fullname"]: float(bench["stats"]["min"]) for bench in saved["benchmarks"]}
    reference = best.pop(REFERENCE)
    return {name: round(seconds / reference, 4) for name, seconds in sorted(best.items())}


def compare(found: dict[str, float], baseline: dict[str, float]) -> tuple[list[str], bool]:
    """A line a bench, and whether all is well."""
    lines, well = [], True
    for name in sorted({*found, *baseline}):
        new, old = found.get(name), baseline.get(name)
        if old is None:
            verdict = "new"
        elif new is None:
            verdict, well = "GONE", False
        else:
            limit = DISK_TOLERANCE if name.endswith(ON_DISK) else TOLERANCE
            factor = new / old
            verdict = f"x {factor:.2f}"
            if factor > limit:
                verdict, well = f"{verdict} SLOWER than {limit} allows", False
        cells = ["-" if value is None else f"{value:.4f}" for value in (old, new)]
        lines.append(f"{name.removeprefix('bench/'):<40} {cells[0]:>10} {cells[1]:>10}  {verdict}")
    return lines, well


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare benches with the baseline.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--save", action="store_true", help="make this run the baseline")
    arguments = parser.parse_args()
    saved = json.loads(arguments.run.read_text(encoding="utf-8"))
    found = ratios(saved)
    machine = saved["machine_info"]
    if arguments.save:
        cpu = machine.get("cpu", {}).get("brand_raw", "unknown")
        interpreter = f"{machine['python_implementation']} {machine['python_version']}"
        baseline = {
            "machine": f"{cpu}, {machine['system']} {machine['release']}",
            "interpreter": interpreter,
            "native": machine.get("native", {}),
            "ratios": found,
        }
        BASELINE.write_text(json.dumps(baseline, indent=2) + "\n", encoding="utf-8")
        return 0
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    print(f"baseline: {baseline['machine']}, {baseline['interpreter']}")  # noqa: T201
    lines, well = compare(found, baseline["ratios"])
    print("\n".join([f"{'multiples of the yardstick':<40} {'baseline':>10} {'now':>10}", *lines]))  # noqa: T201
    return 0 if well else EXIT_THRESHOLD


if __name__ == "__main__":
    sys.exit(main())
