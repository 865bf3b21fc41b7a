"""All orders that a running worker takes, and who carries each out."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from switch.control import (
    link_errors,
    member_drain,
    member_echo,
    member_enable,
    member_list,
    member_show,
    member_sign_off,
    member_sign_on,
    reload,
    restart,
    saf_hold,
    saf_list,
    saf_release,
    saf_retry,
    saf_show,
    saf_write_off,
    stand_in,
    stand_in_show,
    terminal_sign_off,
)
from switch.control.link_errors import FramesShown, LinkErrors
from switch.control.member_drain import MemberDrain
from switch.control.member_echo import Echoes, MemberEcho
from switch.control.member_enable import MemberEnable
from switch.control.member_list import MemberList, MembersShown
from switch.control.member_show import MemberShow
from switch.control.member_sign_off import MemberSignOff
from switch.control.member_sign_on import MemberSignOn
from switch.control.members import MemberDone
from switch.control.order import Answer, Node, Order
from switch.control.refusal import Refused
from switch.control.reload import Reload, ReloadBySignal, Reloaded
from switch.control.restart import Restart, Restarting
from switch.control.saf import SafDone
from switch.control.saf_hold import SafHold
from switch.control.saf_list import SafList, SafShown
from switch.control.saf_release import SafRelease
from switch.control.saf_retry import SafRetry
from switch.control.saf_show import SafShow
from switch.control.saf_write_off import SafWriteOff
from switch.control.stand_in import StandInResume, StandInSuspend
from switch.control.stand_in_show import StandInShow, StandInShown
from switch.control.terminal_sign_off import TerminalDone, TerminalSignOff

__all__ = ["PERFORM", "AnyAnswer", "AnyOrder", "decode_answer", "decode_order"]

AnyOrder = (
    MemberList
    | MemberShow
    | MemberEcho
    | MemberSignOn
    | MemberSignOff
    | MemberDrain
    | MemberEnable
    | LinkErrors
    | Reload
    | Restart
    | SafList
    | SafShow
    | SafRetry
    | SafHold
    | SafRelease
    | SafWriteOff
    | StandInSuspend
    | StandInResume
    | StandInShow
    | TerminalSignOff
)
AnyAnswer = (
    MembersShown
    | MemberDone
    | Echoes
    | FramesShown
    | Reloaded
    | Restarting
    | SafShown
    | SafDone
    | StandInShown
    | TerminalDone
    | Refused
)

Perform = Callable[[Any, Node], Awaitable[Answer]]

PERFORM: Final[dict[type[Order], Perform]] = {
    MemberList: member_list.perform,
    MemberShow: member_show.perform,
    MemberEcho: member_echo.perform,
    MemberSignOn: member_sign_on.perform,
    MemberSignOff: member_sign_off.perform,
    MemberDrain: member_drain.perform,
    MemberEnable: member_enable.perform,
    LinkErrors: link_errors.perform,
    Reload: reload.perform,
    ReloadBySignal: reload.perform,
    Restart: restart.perform,
    SafList: saf_list.perform,
    SafShow: saf_show.perform,
    SafRetry: saf_retry.perform,
    SafHold: saf_hold.perform,
    SafRelease: saf_release.perform,
    SafWriteOff: saf_write_off.perform,
    StandInSuspend: stand_in.suspend,
    StandInResume: stand_in.resume,
    StandInShow: stand_in_show.perform,
    TerminalSignOff: terminal_sign_off.perform,
}

_orders: Final = msgspec.json.Decoder(AnyOrder)
_answers: Final = msgspec.json.Decoder(AnyAnswer)


def decode_order(line: bytes) -> Order:
    """Raises msgspec.ValidationError, which names place and types and never a value, and
    msgspec.DecodeError."""
    order: Order = _orders.decode(line)
    return order


def decode_answer(line: bytes) -> Answer:
    """Raises msgspec.DecodeError."""
    answer: Answer = _answers.decode(line)
    return answer
