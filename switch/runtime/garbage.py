"""Cyclic garbage of a process whose native objects belong to the loop's thread.

The interpreter collects on whichever thread happens to allocate. A worker has others beside its
loop (a reload reads and compiles on one, the audit is written on one), and gate, table of keys and
what is owed may be dropped on the loop's thread alone: dropped elsewhere they are reported and
never freed. So nothing is collected by itself; the loop's timer looks, and collects there.
"""

import gc
from typing import Final

__all__ = ["FIRST_MAX", "look", "take_over"]

FIRST_MAX: Final = 50_000
"""Objects that came and have not gone since the last collection. Hot Structs are none (gc=False),
so that most ticks find less."""
SECOND_MAX: Final = 20
THIRD_MAX: Final = 100
"""Collections of one generation until the next older one is collected too."""


def take_over() -> None:
    """From now on only `look` collects. What stands now lives as long as the process (dialects,
    settings, modules, tables): frozen, it is never walked again."""
    gc.disable()
    gc.collect()
    gc.freeze()


def look() -> None:
    """Collects what is due, as the interpreter would have. Call it from the loop's timer; a quiet
    look costs a tenth of a microsecond. Does nothing where nobody has taken over."""
    first, second, third = gc.get_count()
    if first > FIRST_MAX and not gc.isenabled():
        gc.collect(2 if third > THIRD_MAX else 1 if second > SECOND_MAX else 0)
