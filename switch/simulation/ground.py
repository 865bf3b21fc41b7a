"""What all worlds of one process share, made once: keys, dialect, tokens, a directory."""

import contextlib
import functools
import gc
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import switch
from switch.crypto.keyfile import open_keys
from switch.native import journal as journals
from switch.native import simulation
from switch.settings.load import parse
from switch.settings.schema import Settings
from switch.settings.sources import Sources
from switch.simulation.plan import STAND_IN_AMOUNT_MAX, Plan
from switch.simulation.ports import ACQUIRER_PORT, BANK_PORT, START_NS
from switch.simulation.wallet import Tokens, Wallet
from switch.wire import Dialect

__all__ = ["ACQUIRER_PORT", "BANK_PORT", "DIALECT", "Shared", "acquirer_code", "shared"]

DIALECT: Final = "iso87-ascii"
KEY_SEED: Final = 6_299
"""The keys of every world are the same, so that a journal's bytes are."""

_NODE: Final = """\
[node]
institution_code = "62990"
data_dir = "data"
business_zone = "Asia/Shanghai"
cutover = "23:00"

[journal]
segment_mib = 1
pending_mib = 1
retention_h = 9600

[limits]
duplicates_max = 4096
write_buffer_bytes_max = 65536
"""
_ACQUIRER: Final = """
[[acquirers]]
id = "ACQ{index:02d}"
institution_code = "{code}"
listen = "127.0.0.1:{port}"
timeout_ms = {timeout_ms}
terminal_timeout_ms = {terminal_ms}
in_flight_max = {in_flight_max}
connections_max = 16
echo_idle_s = 2
undeliverable = "{undeliverable}"
"""
_BANK: Final = """
[[issuers]]
id = "BANK{index:02d}"
institution_code = "2000{index}"
{where}
connections = {connections}
deadline_ms = {deadline_ms}
in_flight_max = {in_flight_max}
echo_idle_s = 1
suspect_ms = 500
probe_ms = 300
health_pause_max_ms = 1000
reversal_retry_ms = {retry_ms}
reversal_retry_max_ms = {retry_max_ms}
reversal_attempts_max = 20
reconnect_min_ms = 20
reconnect_max_ms = 400
"""

_SAF: Final = """
[issuers.saf]
horizon_h = 96
"""
"""Longer than any world's machine is off: nothing that is owed is given up."""

_STAND_IN: Final = """
[[issuers.stand_in]]
name = "all"
when = ["unreachable", "circuit", "timeout"]
cards = ["token", "plain"]
kinds = ["purchase", "authorisation", "preauthorisation"]
currency = "156"
amount_minor_max = {amount_max}
count_max = {count_max}
sum_minor_max = {sum_max}
bank_sum_minor_max = {bank_sum_max}
"""


def acquirer_code(index: int) -> str:
    """Field 32 of an acquirer."""
    return f"1000{index}"


class Shared:
    """One process's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        file = Path(switch.__file__).resolve().parents[1] / "config/dialects/iso87-ascii.toml"
        self.text = file.read_text(encoding="utf-8")
        self.dialect = Dialect.compile(self.text, str(file))
        simulation.begin(KEY_SEED, START_NS, START_NS)
        try:
            self.keys = self._keys()
            self.tokens = Tokens(directory, self.keys)
        finally:
            simulation.end()

    def _keys(self) -> journals.Keys:
        key_file, sealing = self.directory / "switch.keys", self.directory / "sealing.key"
        sealing.write_bytes(bytes(range(32)))
        sealing.chmod(0o600)
        descriptor = os.open(sealing, os.O_RDONLY)
        try:
            journals.create_key_file(str(key_file), descriptor, demo=True)
        finally:
            os.close(descriptor)
        return open_keys(str(key_file), str(sealing))

    def wallet(self, plan: Plan) -> Any:
        """Devices with tokens, where the plan has any."""
        return Wallet(self.tokens) if plan.taps else None

    def settings(self, plan: Plan) -> Settings:
        """The configuration of a plan's node."""
        text = _NODE
        for index in range(plan.acquirers):
            text += _ACQUIRER.format(
                index=index,
                code=acquirer_code(index),
                port=ACQUIRER_PORT + index,
                timeout_ms=max(plan.timeout_ms, 10),
                terminal_ms=plan.timeout_ms + 1_000,
                in_flight_max=plan.in_flight_max,
                undeliverable=plan.undeliverable,
            )
        routes = ""
        for index in range(plan.banks):
            accepts = plan.accepts and index == plan.banks - 1
            at = f"127.0.0.1:{BANK_PORT + index}"
            where = f'mode = "accept"\nlisten = "{at}"' if accepts else f'addresses = ["{at}"]'
            text += _BANK.format(
                index=index,
                where=where,
                connections=plan.bank_links,
                deadline_ms=plan.deadline_ms,
                in_flight_max=plan.in_flight_max // 2,
                retry_ms=plan.retry_ms,
                retry_max_ms=plan.retry_ms * 6,
            )
            if plan.hours_off:
                text += _SAF
            if plan.stand_in:
                text += _STAND_IN.format(
                    amount_max=STAND_IN_AMOUNT_MAX,
                    count_max=plan.stand_in,
                    sum_max=plan.stand_in_sum_max,
                    bank_sum_max=plan.stand_in_bank_max,
                )
            routes += f'[[routes]]\nprefix = "6299{index:02d}"\nissuer = "BANK{index:02d}"\n'
        if plan.taps:
            text += self.tokens.settings(plan)
        sources = Sources(
            base=str(self.directory),
            main="switch.toml",
            texts={
                "switch.toml": text,
                "routes/cards.toml": routes,
                f"dialects/{DIALECT}.toml": self.text,
            },
            root=str(self.directory),
        )
        return parse(sources)[0]


_stack = contextlib.ExitStack()


@functools.cache
def shared() -> Shared:
    """This process's."""
    directory = _stack.enter_context(tempfile.TemporaryDirectory(prefix="tapswitch-simulate-"))
    made = Shared(Path(directory))
    # What stands now lives as long as the process: no collection walks it again.
    gc.collect()
    gc.freeze()
    return made
