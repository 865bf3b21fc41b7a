"""Records are folded into books, and what cannot follow is a problem."""

from switch.model.state import ReversalEffect
from switch.simulation.fold import fold
from tests.unit.simulation.ledgers import (
    KEY,
    OUT,
    OWED,
    accepted,
    answered,
    declined,
    reversal,
    settled,
)


def test_an_approval_stands_under_its_key() -> None:
    books = fold([accepted(), answered()])
    (kept,) = books.keys[KEY]
    assert (kept.accepted, kept.answered, kept.code, kept.out) == (1, 2, "00", OUT)
    assert kept.approved
    assert not kept.undone
    assert books.problems == []


def test_a_time_out_owes_a_reversal_until_it_is_settled() -> None:
    owed = fold([accepted(), declined()]).kept[1]
    assert (owed.owed, owed.settled, owed.undone) == (OWED, "", True)
    assert fold([accepted(), declined(), settled()]).kept[1].settled == "00"


def test_a_reversal_of_an_acquirer_undoes_by_its_effect() -> None:
    for effect, undone in ((ReversalEffect.REVERSE, True), (ReversalEffect.NOTHING, False)):
        books = fold([accepted(), answered(), reversal(effect=effect)])
        assert books.kept[1].undone is undone
        assert (KEY[1], "500001", "1123160002") in books.reversals


def test_what_was_carried_by_a_checkpoint_is_passed_over() -> None:
    books = fold([accepted(), answered(), accepted(lsn=3, carried=True)])
    assert books.problems == []
    assert books.records == 3


def test_problems_say_where() -> None:
    cases = {
        "LSN 4 follows 2": [accepted(), answered(), settled(lsn=4)],
        "LSN 1 answers 1, which was never accepted": [answered(lsn=1)],
        "LSN 2: transaction 1 twice": [accepted(), accepted(lsn=2)],
        "LSN 3: a second outcome of 1": [accepted(), answered(), answered(lsn=3)],
        "LSN 3 settles 1, which owes nothing": [accepted(), answered(), settled()],
        "LSN 1 settles 1, which is unknown": [settled(lsn=1)],
        "LSN 4: a second record of one acquirer's reversal": [
            accepted(), answered(), reversal(), reversal(lsn=4),
        ],
    }  # fmt: skip
    for problem, records in cases.items():
        assert problem in fold(records).problems


def test_numbers_of_ours_are_counted_by_institution() -> None:
    books = fold([accepted(), declined(), settled()])
    assert books.numbers["BANK00", *OUT] == ["request"]
    assert books.numbers["BANK00", *OWED] == ["reversal"]
