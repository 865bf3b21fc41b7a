"""One token among many: found, proved unknown, and built in with ten thousand others.

A million behave as the hundred thousand here: one page more on the way, and that is kept.
"""

import itertools
import random
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from switch.native import index, journal
from tests.support.journal import make_keys
from tests.support.tokens import TOKEN_PREFIX, Row, card

TOKENS = 100_000
BATCH = 10_000
VAULT = bytes(16)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> journal.Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def rows(keys: journal.Keys) -> list[Row]:
    tokens = sorted(set(index.random_tokens(TOKEN_PREFIX, 16, TOKENS)))
    vault = index.VaultKeys(keys)
    return [Row(token, vault.seal(card(n), n, 1), n) for n, token in enumerate(tokens)]


@pytest.fixture(scope="module")
def filled(
    keys: journal.Keys, rows: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> index.Index:
    opened = index.Index.open(str(tmp_path_factory.mktemp("index")), keys)
    rebuild = opened.rebuild()
    for at in range(0, len(rows), BATCH):
        rebuild.add(rows[at : at + BATCH], 1)
    rebuild.finish(1, VAULT)
    opened.look()
    return opened


def test_find(benchmark: BenchmarkFixture, filled: index.Index, rows: list[Row]) -> None:
    """From a fresh snapshot to what may be shown; the walk's own look-up makes no dictionary."""
    tokens = [one.token for one in rows]
    random.Random(4).shuffle(tokens)
    ring = itertools.cycle(tokens)
    assert benchmark(lambda: filled.find(next(ring))) is not None


def test_find_unknown(benchmark: BenchmarkFixture, filled: index.Index) -> None:
    """That there is none is proved by the entry before it."""
    ring = itertools.cycle(index.random_tokens(TOKEN_PREFIX, 16, 10_000))
    found = benchmark(lambda: filled.find(next(ring)))
    assert found is None or found["state"] == 2, "a drawn number is taken once in ten thousand"


def test_build(
    benchmark: BenchmarkFixture, keys: journal.Keys, rows: list[Row], tmp_path: Path
) -> None:
    """Ten thousand rows of the vault: card numbers opened, records sealed and durable."""
    opened = index.Index.open(str(tmp_path), keys)

    def fresh() -> tuple[tuple[index.Rebuild], dict[str, int]]:
        return (opened.rebuild(),), {}

    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda rebuild: rebuild.add(rows[:BATCH], 1), setup=fresh, rounds=5, iterations=1
    )
