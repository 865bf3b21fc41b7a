"""Ids carry node and lane, and never begin below what the journal knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.errors import UsageError
from switch.model.ids import TxnId, first_txn, is_institution_id


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**48 - 1))
def test_packing_is_an_identity_and_fits_64_bits(node: int, lane: int, counter: int) -> None:
    packed = TxnId(node, lane, counter).pack()
    assert 0 <= packed < 2**64
    assert TxnId.unpack(packed) == TxnId(node, lane, counter)


def test_the_first_id_is_above_the_journals_last() -> None:
    assert TxnId.unpack(first_txn(3, 1, 0)) == TxnId(3, 1, 1)
    assert first_txn(3, 1, TxnId(3, 1, 41).pack()) == TxnId(3, 1, 42).pack()


def test_another_nodes_journal_is_refused() -> None:
    with pytest.raises(UsageError, match="node 4 lane 1"):
        first_txn(3, 1, TxnId(4, 1, 41).pack())
    with pytest.raises(UsageError):
        first_txn(256, 0, 0)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ACQ01", True),
        ("a-b.c_9", True),
        ("", False),
        ("x" * 17, False),
        ("A B", False),
        ('A"', False),
    ],
)
def test_institution_ids(text: str, good: bool) -> None:
    assert is_institution_id(text) is good
