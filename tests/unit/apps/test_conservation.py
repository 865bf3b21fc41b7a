"""Three ledgers that agree are found in order; each way of disagreeing is found and told apart."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from switch.apps.conservation import FINDINGS_MAX, Report, compare
from switch.model.state import Cause, Duty, KeyState, ReversalEffect
from switch.sim.ledger import Booking, Did, Effect, Sale, Saw

ACQUIRER = "00000000001"
TIME = "1123100000"
OUT_TIME = "1123100001"


class Story:
    """Writes the three ledgers of a few sales, as an honest system would."""

    def __init__(self) -> None:
        self.sales: list[Sale] = []
        self.journal: list[dict[str, Any]] = []
        self.bookings: list[Booking] = []

    def sale(self, number: int, did: Did, **more: Any) -> None:
        self.sales.append(
            Sale(did, number, ACQUIRER, f"T{number:07d}", f"{number:06d}", TIME, **more)
        )

    def record(self, kind: str, number: int, **more: Any) -> None:
        self.journal.append({"kind": kind, "txn": number} | more)

    def booking(self, number: int, saw: Saw, **more: Any) -> None:
        passed: dict[str, Any] = {
            "rrn": f"A{number:011d}",
            "acquirer": ACQUIRER,
            "terminal": f"T{number:07d}",
            "amount": 100 * number,
        }
        self.bookings.append(
            Booking(saw, number, f"{number + 500:06d}", OUT_TIME, **passed, **more)
        )

    def begin(self, number: int) -> None:
        rrn, amount = f"A{number:011d}", 100 * number
        self.sale(number, Did.INVOKE, mti="0200", rrn=rrn, amount=amount)
        self.record(
            "ACCEPTED",
            number,
            issuer="BANK01",
            acquirer="ACQ01",
            acquirer_code=ACQUIRER,
            terminal_id=f"T{number:07d}",
            stan=f"{number:06d}",
            transmission_time=TIME,
            rrn=rrn,
            amount=amount,
            out_stan=number + 500,
            out_time=OUT_TIME,
        )

    def approve(self, number: int) -> None:
        self.begin(number)
        self.booking(number, Saw.REQUEST, held=100 * number, code="00")
        self.booking(number, Saw.ANSWER, code="00")
        self.record("ANSWERED", number, outcome=KeyState.APPROVED, code="00")
        self.sale(number, Did.OK, code="00")

    def decline(self, number: int) -> None:
        self.begin(number)
        self.booking(number, Saw.REQUEST, code="51")
        self.record("ANSWERED", number, outcome=KeyState.DECLINED, code="51")
        self.sale(number, Did.FAIL, code="51")

    def time_out(self, number: int) -> None:
        self.begin(number)
        self.booking(number, Saw.REQUEST, held=100 * number)
        self.record("ANSWERED", number, outcome=KeyState.DECLINED, code="91", cause=Cause.TIMEOUT)
        self.sale(number, Did.FAIL, code="91")
        self.reverse_at_bank(number)

    def reverse_at_bank(self, number: int) -> None:
        self.booking(number, Saw.REVERSAL, effect=Effect.RELEASED, released=100 * number)
        self.record("SETTLED", number, result="00")

    def cancel(self, number: int) -> None:
        self.approve(number)
        self.sale(number, Did.REVERSE, mti="0420")
        self.record(
            "REVERSAL",
            number + 1000,
            original=number,
            effect=ReversalEffect.REVERSE,
            reversal_stan=900 + number,
        )
        self.sale(number, Did.REVERSED, code="00")
        self.reverse_at_bank(number)

    def advise(self, number: int) -> None:
        """A purchase off line that its acquirer tells of."""
        rrn, amount = f"A{number:011d}", 100 * number
        self.sale(number, Did.INVOKE, mti="0220", rrn=rrn, amount=amount)
        self.record(
            "ADVISED",
            number,
            issuer="BANK01",
            acquirer="ACQ01",
            acquirer_code=ACQUIRER,
            terminal_id=f"T{number:07d}",
            stan=f"{number:06d}",
            transmission_time=TIME,
            rrn=rrn,
            amount=amount,
            outcome=KeyState.APPROVED,
            advice_stan=number + 500,
            advice_time=OUT_TIME,
        )
        self.sale(number, Did.OK, code="00")
        self.booking(number, Saw.ADVICE, held=amount, code="00")
        self.record("SETTLED", number, result="00", duty=Duty.ADVICE, advice_stan=number + 500)

    def compare(self) -> Report:
        return compare(lambda: self.sales, lambda: self.journal, {"BANK01": lambda: self.bookings})


@pytest.fixture
def story() -> Story:
    """Seven sales: three approved, two declined, one timed out, one cancelled."""
    story = Story()
    for number in (1, 2, 3):
        story.approve(number)
    for number in (4, 5):
        story.decline(number)
    story.time_out(6)
    story.cancel(7)
    return story


def test_an_honest_story_balances(story: Story) -> None:
    report = story.compare()
    assert report.findings == []
    assert report.ok
    assert (report.approvals_acquirer, report.approvals_journal, report.holds_issuer) == (3, 3, 3)
    assert (report.offered, report.approved, report.declined) == (7, 3, 2)
    assert (report.timed_out, report.cancelled, report.reversed) == (1, 1, 2)
    assert report.offered == report.approved + report.declined + report.timed_out + report.cancelled
    assert report.requests_issuer == 7


def test_a_sale_that_could_not_be_sent_is_not_offered(story: Story) -> None:
    story.sale(8, Did.INVOKE, rrn="A00000000008", amount=800)
    story.sale(8, Did.UNSENT)
    assert story.compare().ok
    assert story.compare().offered == 7


def test_an_overtaken_sale_that_was_refused_balances(story: Story) -> None:
    story.sale(8, Did.REVERSE, mti="0420")
    story.sale(8, Did.REVERSED, code="00")
    story.sale(8, Did.INVOKE, rrn="A00000000008", amount=800)
    story.sale(8, Did.FAIL, code="94")
    assert story.compare().ok


def test_an_answer_to_a_repeat_may_be_written_first(story: Story) -> None:
    first = next(line for line in story.sales if _sale(1, Did.OK)(line))
    story.sales.remove(first)
    story.sale(1, Did.AGAIN, code="00")
    story.sales.append(first)
    assert story.compare().ok


def test_an_advice_is_one_hold_however_often_it_came(story: Story) -> None:
    story.advise(8)
    story.booking(8, Saw.ADVICE, code="00")
    report = story.compare()
    assert report.findings == []
    assert (report.approvals_acquirer, report.approvals_journal, report.holds_issuer) == (4, 4, 4)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda story: story.bookings.pop(), "unheld"),
        (lambda story: story.journal.pop(), "advice_owed"),
        (lambda story: story.booking(8, Saw.ADVICE, held=800), "unheld"),
        (lambda story: story.journal.append(story.journal[-1]), "settled_again"),
        (lambda story: story.journal[-1].update(result="dead"), "advice_owed"),
    ],
)
def test_an_advice_that_went_wrong_is_found(
    story: Story, change: Callable[[Story], None], rule: str
) -> None:
    story.advise(8)
    change(story)
    assert rule in {finding.rule for finding in story.compare().findings}


def test_a_parked_reversal_is_still_owed(story: Story) -> None:
    settled = next(record for record in story.journal if _record(6, "SETTLED")(record))
    settled["result"] = "parked"
    assert "reversal_owed" in {finding.rule for finding in story.compare().findings}


def test_a_reversal_without_effect_undoes_nothing(story: Story) -> None:
    """Its card did not agree with the original's: the approval stands on all sides."""
    story.record("REVERSAL", 1001, original=1, effect=ReversalEffect.NOTHING)
    assert story.compare().ok


def test_an_acceptance_that_a_checkpoint_carried_counts_once(story: Story) -> None:
    story.journal.append(story.journal[0] | {"carried": True})
    story.journal.append(story.journal[-1] | {"kind": "ANSWERED", "outcome": KeyState.IN_FLIGHT})
    assert story.compare().ok


def _drop(predicate: Callable[[Any], bool]) -> Callable[[Story], None]:
    def mutate(story: Story) -> None:
        before = len(story.sales) + len(story.journal) + len(story.bookings)
        story.sales = [line for line in story.sales if not predicate(line)]
        story.journal = [record for record in story.journal if not predicate(record)]
        story.bookings = [line for line in story.bookings if not predicate(line)]
        assert len(story.sales) + len(story.journal) + len(story.bookings) < before

    return mutate


def _sale(number: int, did: Did) -> Callable[[Any], bool]:
    return lambda line: isinstance(line, Sale) and line.at_ms == number and line.did is did


def _record(number: int, kind: str) -> Callable[[Any], bool]:
    return lambda line: isinstance(line, dict) and line["txn"] == number and line["kind"] == kind


def _booking(number: int, saw: Saw) -> Callable[[Any], bool]:
    return lambda line: isinstance(line, Booking) and line.at_ms == number and line.saw is saw


def _add_unheld_approval(story: Story) -> None:
    story.sale(9, Did.INVOKE, rrn="A00000000009", amount=900)
    story.sale(9, Did.OK, code="00")


def _answer_repeat_otherwise(story: Story) -> None:
    story.sale(1, Did.AGAIN, code="51")


def _send_again(story: Story) -> None:
    story.booking(2, Saw.COPY)


def _reverse_twice(story: Story) -> None:
    story.booking(6, Saw.REVERSAL, effect=Effect.RELEASED, released=600)


def _reverse_an_approval(story: Story) -> None:
    story.booking(1, Saw.REVERSAL, effect=Effect.RELEASED, released=100)


def _disagree(story: Story) -> None:
    story.booking(6, Saw.REVERSAL, effect=Effect.AGAIN, problem="amount")


def _hold_less(story: Story) -> None:
    index = next(i for i, line in enumerate(story.bookings) if _booking(2, Saw.REQUEST)(line))
    del story.bookings[index]
    story.booking(2, Saw.REQUEST, held=150, code="00")


def _ask_for_another_amount(story: Story) -> None:
    story.journal[0]["amount"] = 101


def _settle_twice(story: Story) -> None:
    story.record("SETTLED", 6, result="00")


def _reuse_a_number(story: Story) -> None:
    record = next(record for record in story.journal if _record(2, "ACCEPTED")(record))
    record["out_stan"] = 501


def _approve_the_overtaken(story: Story) -> None:
    story.sale(9, Did.REVERSE, mti="0420")
    story.sale(9, Did.REVERSED, code="00")
    story.approve(9)


def _tapped(number: int, trick: str, proof: str) -> Callable[[Story], None]:
    """The sale of this number was a tap."""

    def mutate(story: Story) -> None:
        for place, line in enumerate(story.sales):
            if line.at_ms == number and line.did is Did.INVOKE:
                story.sales[place] = msgspec.structs.replace(line, tap=trick)
            elif line.at_ms == number and line.did in (Did.OK, Did.FAIL):
                story.sales[place] = msgspec.structs.replace(line, proof=proof)

    return mutate


@pytest.mark.parametrize(
    ("number", "trick", "proof"),
    [(1, "nothing", "genuine"), (4, "nothing", "genuine"), (4, "suspended", "absent")],
)
def test_taps_with_their_proofs_balance(story: Story, number: int, trick: str, proof: str) -> None:
    _tapped(number, trick, proof)(story)
    assert story.compare().findings == []


def _refuse_the_reversal(story: Story) -> None:
    story.sale(7, Did.REVERSED, code="12")


MUTANTS: dict[str, tuple[Callable[[Story], None], str]] = {
    "the terminal never got its answer": (_drop(_sale(1, Did.OK)), "unknown"),
    "the journal lost an approval": (_drop(_record(1, "ACCEPTED")), "phantom"),
    "the journal lost an answer": (_drop(_record(1, "ANSWERED")), "in_flight"),
    "the bank lost a hold": (_drop(_booking(1, Saw.REQUEST)), "unheld"),
    "the bank holds less": (_hold_less, "unheld"),
    "approved out of thin air": (_add_unheld_approval, "phantom"),
    "the terminal's reversal hangs": (_drop(_sale(7, Did.REVERSED)), "reversal_owed"),
    "the terminal's reversal is refused": (_refuse_the_reversal, "reversal_refused"),
    "the switch forgot a reversal": (_drop(_record(6, "SETTLED")), "reversal_owed"),
    "the bank never saw a reversal": (_drop(_booking(6, Saw.REVERSAL)), "reversal_lost"),
    "a time-out left its hold": (_drop(_booking(6, Saw.REVERSAL)), "orphan_hold"),
    "reversed twice in effect": (_reverse_twice, "reversed_twice"),
    "an approval was reversed": (_reverse_an_approval, "acquirer_issuer"),
    "settled twice": (_settle_twice, "settled_again"),
    "sent to the bank twice": (_send_again, "sent_again"),
    "a repeat was answered otherwise": (_answer_repeat_otherwise, "repeat"),
    "a reversal differs": (_disagree, "reversal_differs"),
    "the amount changed on the way": (_ask_for_another_amount, "amount"),
    "a number was used twice": (_reuse_a_number, "number_reused"),
    "a tombstone was ignored": (_approve_the_overtaken, "tombstone"),
    "a wrong tap was approved": (_tapped(1, "wrong_cryptogram", "genuine"), "trick_approved"),
    "nobody proved an approval": (_tapped(1, "nothing", "absent"), "unproved"),
    "a decline has a wrong proof": (_tapped(4, "nothing", "wrong"), "unproved"),
    "nobody sold it": (
        _drop(lambda line: isinstance(line, Sale) and line.at_ms == 2),
        "undelivered",
    ),
    "the bank made it up": (_drop(_record(2, "ACCEPTED")), "unknown_hold"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_dishonest_story_is_found(story: Story, name: str) -> None:
    mutate, rule = MUTANTS[name]
    mutate(story)
    report = story.compare()
    assert not report.ok
    assert rule in {finding.rule for finding in report.findings}


def test_a_finding_shows_the_history_of_its_transaction_from_all_three(story: Story) -> None:
    _reverse_twice(story)
    finding = next(one for one in story.compare().findings if one.rule == "reversed_twice")
    assert {line["stan"] for line in finding.acquirer} == {"000006"}
    assert [record["kind"] for record in finding.journal] == ["ACCEPTED", "ANSWERED", "SETTLED"]
    assert {line["stan"] for line in finding.issuer} == {"000506"}
    assert {line["issuer"] for line in finding.issuer} == {"BANK01"}


def test_findings_are_counted_beyond_what_is_shown() -> None:
    story = Story()
    for number in range(1, 51):
        story.begin(number)
    report = story.compare()
    assert len(report.findings) == FINDINGS_MAX
    assert report.findings_total >= 100
