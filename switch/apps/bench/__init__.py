"""`tapswitch bench`: the switch beside two floors, on one machine, in one run.

A native generator and a native bank (native/src/load) stand on either side of three systems: a
plain relay, the same relay with two durable records a request, and the switch with its journal.
Windows of the three are interleaved, because machines drift; medians are reported, and a window
whose generator was late, or in which one answer was wrong or missing, gives no figure at all.

`plan` says what is measured, `systems` starts it, `measure` takes and judges windows, `costs` adds
what other ends than an approval cost, `report` says it. `restart` measures a start over a full day.
"""

from switch.apps.bench.report import Report
from switch.apps.bench.run import run_floor, run_restart, run_switch, run_tokens

__all__ = ["Report", "run_floor", "run_restart", "run_switch", "run_tokens"]
