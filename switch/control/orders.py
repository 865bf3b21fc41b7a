"""All orders that a running worker takes, and who carries each out."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from switch.control import member_list
from switch.control.member_list import MemberList, MembersShown
from switch.control.order import Answer, Node, Order
from switch.control.refusal import Refused

__all__ = ["PERFORM", "AnyAnswer", "AnyOrder", "decode_answer", "decode_order"]

AnyOrder = MemberList
AnyAnswer = MembersShown | Refused

Perform = Callable[[Any, Node], Awaitable[Answer]]

PERFORM: Final[dict[type[Order], Perform]] = {
    MemberList: member_list.perform,
}

_orders: Final = msgspec.json.Decoder(AnyOrder)
_answers: Final = msgspec.json.Decoder(AnyAnswer)


def decode_order(line: bytes) -> Order:
    """Raises msgspec.ValidationError, which names place and types and never a value, and
    msgspec.DecodeError."""
    return _orders.decode(line)


def decode_answer(line: bytes) -> Answer:
    """Raises msgspec.DecodeError."""
    answer: Answer = _answers.decode(line)
    return answer
