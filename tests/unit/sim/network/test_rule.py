"""Rules from words: what they say, and what is wrong with them."""

import pytest

from switch.errors import OperatorError
from switch.sim.network import Direction, Fault, Rule, parse_rule
from switch.sim.network.rule import KEYS, SAID, text


def test_a_rule_has_direction_fault_and_what_it_takes() -> None:
    rule = parse_rule("down lose mti=0210 nth=3 share=0.5 times=2 link=1")
    assert rule == Rule(
        fault=Fault.LOSE, direction=Direction.DOWN, mti="0210", nth=3, share=0.5, times=2, link=1
    )
    assert parse_rule("delay ms=5 jitter_ms=10").direction is Direction.BOTH
    assert parse_rule("up corrupt at=-1 mask=1").at == -1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "names no fault"),
        ("up", "names no fault"),
        ("down los", "did you mean 'lose'?"),
        ("lose shar=1", "did you mean 'share'?"),
        ("lose at=1", "does not take 'at=1'"),
        ("reset at=x", "int"),
        ("lose share=2", "from 0 to 1"),
        ("split at=1 times=-1", "negative"),
        ("rewrite field=stan", "field= and value="),
        ("corrupt mask=0", "from 1 to 255"),
        ("dribble", "needs ms="),
        ("delay", "needs ms="),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(words: str, said: str) -> None:
    with pytest.raises(OperatorError) as caught:
        parse_rule(words)
    assert said in f"{caught.value} {caught.value.help}"


def test_every_fault_is_described_and_can_be_said() -> None:
    assert set(KEYS) == set(SAID) == set(Fault)
    for fault in Fault:
        assert f"  {fault} " in text()
