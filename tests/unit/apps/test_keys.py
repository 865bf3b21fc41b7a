"""What a worker's first start on loopback makes for itself."""

from pathlib import Path

import pytest

from switch.apps.keys import worker_keys
from switch.crypto.keyfile import create_keys
from switch.crypto.masters import DEMO_INSTITUTION, open_masters, rows
from switch.crypto.profiles import Scheme
from switch.settings.load import load
from switch.settings.schema import Settings
from tests.support.config import SWITCH, write_config

TOKENS = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'


def settings(directory: Path, tokens: str = TOKENS) -> Settings:
    return load(write_config(directory, SWITCH + tokens))


def test_demo_masters_are_made_together_with_demo_keys(tmp_path: Path) -> None:
    node = settings(tmp_path)
    assert node.tokens is not None
    for _ in range(2):
        keys = worker_keys(node)
        found = rows(open_masters(node.tokens.card_masters_file, keys))
        assert {(row.scheme, row.prefix) for row in found} == {(s, "629977") for s in Scheme}
        assert {row.institution for row in found} == {DEMO_INSTITUTION}
        assert len(found) == 2


@pytest.mark.parametrize("demo", [False, True])
def test_masters_are_made_for_tokens_and_demo_keys_only(tmp_path: Path, demo: bool) -> None:
    node = settings(tmp_path, "" if demo else TOKENS)
    create_keys(node.keys.file, node.keys.sealing_key_file, demo=demo)
    worker_keys(node)
    assert not (tmp_path / "keys" / "card-masters.keys").exists()
