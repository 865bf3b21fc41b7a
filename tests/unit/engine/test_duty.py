"""The life of a delivery: the table is total, and every cell of it is lived through."""

import itertools

import msgspec
import pytest

from switch.engine.deliver import Deliveries, IssuerRules
from switch.engine.duty import IMPOSSIBLE, LIFE, RESTING, SENDABLE, Happening, Moved, Stage
from switch.engine.effects import Deliver, Effect, Settle
from switch.engine.states import Ignored
from switch.model import end
from switch.model.state import Duty
from tests.support.gate import FakeOwed
from tests.support.message import message

_MS = 1_000_000
_HOUR = 3_600_000 * _MS
_OPERATORS = (Happening.RETRIED, Happening.HELD, Happening.RELEASED, Happening.WRITTEN_OFF)


def _fault(code: str) -> bool:
    raise ZeroDivisionError(code)


class Life:
    """One advice, and what happens to it."""

    def __init__(self, stage: Stage) -> None:
        rules = IssuerRules(
            deadline_ms=10,
            reversal_retry_ms=10,
            reversal_retry_max_ms=10,
            reversal_attempts_max=1,
            final=lambda code: code == "00",
            saf_horizon_h=1,
        )
        self.rules = rules
        self.deliveries = Deliveries({1: rules})
        self.owed = FakeOwed(7, 1, 7, "1123170000", duty=Duty.ADVICE)
        self.now_ns = 0
        resting = stage if stage in RESTING else None
        self.deliveries.add(self.owed, 0, repeat=stage is not Stage.OWED, stage=resting)
        assert self.stage is stage
        self.seen: list[Effect] = []

    @property
    def stage(self) -> Stage | None:
        delivery = self.deliveries.get(7, Duty.ADVICE)
        return delivery.stage if delivery is not None else None

    def live(self, happening: Happening) -> str:
        """Brings it about; why nothing came of it, where a word is given."""
        deliveries, owed = self.deliveries, self.owed
        match happening:
            case Happening.TAKEN | Happening.LEFT | Happening.UNFIT:
                self.due()
                if happening is Happening.TAKEN:
                    deliveries.sent(owed)
                elif happening is Happening.LEFT:
                    deliveries.unsent(owed, self.now_ns)
                else:
                    self.seen += deliveries.unfit(owed)
            case Happening.ACKNOWLEDGED | Happening.REJECTED | Happening.REFUSED:
                code = {Happening.ACKNOWLEDGED: "00", Happening.REJECTED: "91"}.get(happening, "51")
                fields = {"stan": "000007", "transmission_time": "1123170000"}
                answer = message("0230", {**fields, "response_code": code})
                self.seen += deliveries.reply(owed, answer)
            case Happening.UNREAD:
                deliveries.adopt({1: msgspec.structs.replace(self.rules, advice_final=_fault)})
                fields = {"stan": "000007", "transmission_time": "1123170000"}
                answer = message("0230", {**fields, "response_code": "00"})
                self.seen += deliveries.reply(owed, answer)
            case Happening.EXHAUSTED:
                deliveries.adopt({})
                self.due()
            case Happening.EXPIRED:
                self.now_ns += 2 * _HOUR
                self.due()
            case Happening.BANK_RETURNED:
                deliveries.bank_up(1, self.now_ns)
            case Happening.RESTARTED:
                pass
            case _:
                done = deliveries.ordered(owed, happening, self.now_ns, "anna", "why")
                if isinstance(done, str):
                    return done
                self.seen += done
        return ""

    def due(self) -> None:
        self.seen += self.deliveries.due(self.now_ns, 0.0)


def test_the_table_is_total_and_every_ignored_cell_says_why() -> None:
    assert set(LIFE) == set(Stage)
    for row in LIFE.values():
        assert set(row) == set(Happening)
        for step in row.values():
            assert step is IMPOSSIBLE or isinstance(step, Moved | Ignored)
            assert not isinstance(step, Ignored) or len(step.reason) > 8


_CELLS = [
    (stage, happening)
    for stage, happening in itertools.product(Stage, Happening)
    if LIFE[stage][happening] is not IMPOSSIBLE
    and stage not in (Stage.SETTLED, Stage.WRITTEN_OFF)
    and happening is not Happening.RESTARTED
]


@pytest.mark.parametrize(("stage", "happening"), _CELLS, ids=lambda one: one.name)
def test_every_cell_that_is_not_impossible_is_lived_through(
    stage: Stage, happening: Happening
) -> None:
    life = Life(stage)
    said = life.live(happening)
    step = LIFE[stage][happening]
    if isinstance(step, Ignored):
        assert life.stage is stage
        if happening in _OPERATORS:
            assert said == step.reason
        return
    assert isinstance(step, Moved)
    over = step.stage in (Stage.SETTLED, Stage.WRITTEN_OFF)
    assert life.stage is (None if over else step.stage)
    settled = [effect.result for effect in life.seen if isinstance(effect, Settle)]
    expected = {
        Happening.ACKNOWLEDGED: ["00"],
        Happening.EXHAUSTED: ["parked"],
        Happening.EXPIRED: ["dead"],
        Happening.UNFIT: ["dead"],
        Happening.HELD: ["held"],
        Happening.RELEASED: ["released"],
        Happening.WRITTEN_OFF: ["written_off"],
        Happening.RETRIED: ["retried"] if stage in RESTING else [],
        Happening.REFUSED: [] if stage is Stage.DEAD else ["dead"],
        Happening.UNREAD: [] if stage in RESTING else ["dead"],
    }.get(happening, [])
    assert settled == expected, "what rests, moves again by order, or is over is recorded"


def test_nothing_is_over_but_by_the_banks_word_or_an_operators() -> None:
    for stage in SENDABLE | RESTING:
        for happening, step in LIFE[stage].items():
            if isinstance(step, Moved) and step.stage in (Stage.SETTLED, Stage.WRITTEN_OFF):
                assert happening in (Happening.ACKNOWLEDGED, Happening.WRITTEN_OFF)


def test_an_operators_word_carries_name_and_reason() -> None:
    life = Life(Stage.DEAD)
    life.live(Happening.WRITTEN_OFF)
    assert life.seen == [Settle(life.owed, "written_off", end.WRITTEN_OFF, "anna", "why")]
    assert life.live(Happening.RETRIED) == "it is not owed any more"


def test_what_is_retried_goes_first_and_is_young_again() -> None:
    life = Life(Stage.DEAD)
    life.now_ns = 10 * _HOUR
    life.deliveries.add(FakeOwed(8, 1, 8, "1123170000"), life.now_ns)
    life.live(Happening.RETRIED)
    life.due()
    sent = [effect.owed.txn for effect in life.seen if isinstance(effect, Deliver)]
    assert sent == [7, 8]


def test_what_waits_behind_a_held_one_is_not_sent_before_it() -> None:
    life = Life(Stage.OWED)
    life.deliveries.add(FakeOwed(7, 1, 9, "1123170000", duty=Duty.WITHDRAWAL), 0)
    life.live(Happening.HELD)
    life.due()
    assert not [effect for effect in life.seen if isinstance(effect, Deliver)]
    behind = life.deliveries.ordered(
        FakeOwed(7, 1, 9, "1123170000", duty=Duty.WITHDRAWAL), Happening.RETRIED, 0, "a", "b"
    )
    assert behind == []
    life.due()
    assert not [effect for effect in life.seen if isinstance(effect, Deliver)]
    life.live(Happening.WRITTEN_OFF)
    life.due()
    sent = [effect.owed.duty for effect in life.seen if isinstance(effect, Deliver)]
    assert sent == [Duty.WITHDRAWAL]
