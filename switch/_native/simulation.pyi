"""The ground of a simulation: time, chance and disk of one process. See native/src/simulation.

Only `switch.simulation` and tests use it. A process with a real journal cannot become one.
"""

__all__ = ["active", "begin", "end", "set_now"]

def begin(seed: int, monotonic_ns: int, wall_ns: int) -> None:
    """From here to `end` the clocks stand where they are set, and every native random byte comes from `seed`.

    Raises switch.errors.UsageError while a real journal is open in this process, or a simulation is on. No real journal
    opens until `end`.
    """

def end() -> None:
    """The kernel's clocks and chance again."""

def active() -> bool: ...
def set_now(monotonic_ns: int, wall_ns: int) -> None:
    """Both clocks. The wall clock may be stepped to anywhere; raises switch.errors.UsageError when the monotonic one
    would go back, or no simulation is on."""
