"""The keys that a worker opens at its start; demo keys are made where there are none."""

from pathlib import Path

import structlog

from switch.crypto.keyfile import keys_absent, open_keys, sealing_key
from switch.crypto.masters import create_demo_masters
from switch.native import journal as journals
from switch.runtime.clock import wall_ms
from switch.settings.schema import Settings

__all__ = ["worker_keys"]

log = structlog.get_logger("worker")


def worker_keys(settings: Settings) -> journals.Keys:
    """Opens the keys; makes demo keys where there are none. `check_node` has judged the
    addresses."""
    file, sealing_file = settings.keys.file, settings.keys.sealing_key_file
    if keys_absent(file, sealing_file):
        for path in (file, sealing_file):
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        journals.create_sealing_key(sealing_file)
        with sealing_key(sealing_file) as descriptor:
            journals.create_key_file(file, descriptor, demo=True)
    keys = open_keys(file, sealing_file)
    if keys.demo:
        log.warning(
            "keys.demo",
            warning="THESE ARE DEMO KEYS: whoever has this directory reads every card number in "
            "the journal. They are refused on any address that is not loopback.",
            check_values=keys.check_values,
        )
        _demo_masters(settings, keys)
    return keys


def _demo_masters(settings: Settings, keys: journals.Keys) -> None:
    """Card master keys for the ranges of the tokens, where demo keys have none yet."""
    tokens = settings.tokens
    if tokens is not None and not Path(tokens.card_masters_file).exists():
        prefixes = dict.fromkeys(one.prefix for one in tokens.ranges)
        create_demo_masters(tokens.card_masters_file, keys, prefixes, wall_ms() // 1000)
