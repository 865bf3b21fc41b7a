"""Benches share names with modules, run once in the normal suite; `make bench` measures.

The saved JSON says which build of the extension was measured, beside machine and interpreter.
"""

from typing import Any

from switch import native


def pytest_benchmark_update_machine_info(config: object, machine_info: dict[str, Any]) -> None:
    machine_info["native"] = {"version": native.__version__, "profile": native.BUILD_PROFILE}
