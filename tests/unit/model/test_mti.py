"""MTIs and their answers."""

import pytest

from switch.model.mti import is_repeat, is_reply, of_reply


@pytest.mark.parametrize(
    ("mti", "reply"),
    [("0100", "0110"), ("0201", "0210"), ("0400", "0410"), ("0421", "0430"), ("0800", "0810")],
)
def test_a_repeat_is_answered_like_the_first(mti: str, reply: str) -> None:
    assert of_reply(mti) == reply
    assert is_reply(reply)
    assert not is_reply(mti)
    assert is_repeat(mti) is mti.endswith("1")
