"""One step of a ladder: how it ended, whether its generator may be believed, how it is told."""

import ipaddress
from typing import Final

from switch.apps.conservation import Report
from switch.apps.load.model import Kind, Step
from switch.errors import OperatorError
from switch.native import load

__all__ = ["KIND", "fault_of", "kind_of", "loopback", "slice_ms", "step_line", "told"]

KIND: Final = "0200"
LAG_MIN_NS: Final = 1_000_000
LAG_SHARE: Final = 0.1
"""p99.9 of the generator's lag may be a millisecond or this share of p99."""
CPU_MAX: Final = 0.85
STOLEN_MAX: Final = 5.0
SLICES: Final = 60
SLICE_MS: Final = (100, 1_000)
"""A step is cut into about `SLICES` slices, within these lengths."""


def slice_ms(step_s: float) -> int:
    """Length of a slice of a step, a round number."""
    wanted = min(max(step_s * 1e3 / SLICES, SLICE_MS[0]), SLICE_MS[1])
    return next(one for one in (100, 200, 250, 500, 1_000) if one >= wanted)


def kind_of(outcome: "load.Outcome") -> Kind:
    """How the requests of a step ended."""
    counts = outcome["recording"].counts()
    declined = counts["declined"]
    return Kind(
        name=KIND,
        offered=counts["offered"],
        # The bank approves everything: another answer is a refusal of the switch.
        answered=counts["answered"] - declined,
        declined=0,
        errors=counts["timeouts"] + counts["closed"] + counts["wrong"] + declined,
        timeouts=counts["timeouts"],
        not_sent=counts["not_sent"],
        late=counts["late"],
    )


def fault_of(lag_p999_ns: float, p99_ns: float, cpu: float, stolen: float) -> str:
    """Why the generator did not offer what the step is named after."""
    allowed = max(LAG_MIN_NS, LAG_SHARE * p99_ns)
    if lag_p999_ns > allowed:
        return (
            f"the generator sent late: p99.9 {lag_p999_ns / 1e6:.2f} ms, "
            f"at most {allowed / 1e6:.2f} ms"
        )
    if cpu > CPU_MAX:
        return f"the generator used {100 * cpu:.0f} % of its core, at most {100 * CPU_MAX:.0f} %"
    if stolen > STOLEN_MAX:
        return f"{stolen:.0f} % of the machine's time was stolen, at most {STOLEN_MAX:.0f} %"
    return ""


def told(compared: Report | str | None) -> str:
    """A step's conservation in words."""
    if compared is None:
        return ""
    if isinstance(compared, str):
        return compared
    if compared.ok:
        return "agree"
    first = compared.findings[0]
    return f"{compared.findings_total} findings, the first: {first.rule}: {first.text}"


def step_line(step: Step) -> str:
    """One step on one line."""

    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value / 1e3:.2f}"

    mark = "✓" if step.passed else ("✗" if step.valid else "?")
    failed = [one.text.removeprefix("✗ ") for one in step.verdicts if not one.ok]
    why = f"  INVALID: {step.fault}" if step.fault else f"  {'; '.join(failed)}" if failed else ""
    return (
        f"{mark} {step.rate:>8g}/s  achieved {step.achieved:>9.1f}/s  p50 {ms(step.p50_us):>7} "
        f"p99 {ms(step.p99_us):>8} p99.9 {ms(step.p999_us):>8} ms  errors {step.errors}{why}"
    )


def loopback(address: str) -> None:
    """Raises OperatorError for an address that is not of this machine."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise OperatorError(
            f"{address!r} is not on loopback",
            help="load goes to 127.0.0.1:PORT only: whoever else listens did not ask for it",
        )
