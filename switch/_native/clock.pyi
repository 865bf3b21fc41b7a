"""The clocks: the kernel's, or a simulation's while one is on. See native/src/clock.rs."""

__all__ = ["monotonic_ns", "wall_ns"]

def monotonic_ns() -> int:
    """For deadlines; as `time.monotonic_ns`."""

def wall_ns() -> int:
    """Unix time in nanoseconds, for dates and stamps; as `time.time_ns`."""
