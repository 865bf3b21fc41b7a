"""Power cuts that are aimed: at what the switch has just read or written, or at a named point.

Blind kills hardly ever strike between two steps that belong together. An aim waits for the n-th
moment of a kind and strikes then, or a drawn while later.
"""

from collections.abc import Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from switch.errors import TapswitchError
from switch.native import hook
from switch.simulation.network import Endpoint
from switch.simulation.plan import Aim

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["Aims"]

LENGTH_BYTES: Final = 2
MTI: Final = slice(2, 6)
GATEWAY: Final = ("vault.", "index.")
"""Points that the gateway comes to."""
HALF_S: Final = 0.03
"""From the first half of a group to a cut that is aimed between its halves: time enough for whoever
believes that it is whole to say so."""
_WROTE: Final = {
    b"0100": "request_sent", b"0200": "request_sent", b"0220": "request_sent",
    b"0420": "reversal_sent", b"0421": "reversal_sent",
    b"0410": "reversal_answered", b"0430": "reversal_answered",
    b"0110": "answer", b"0210": "answer", b"0230": "answer",
}  # fmt: skip
_READ: Final = {
    b"0100": "request_read", b"0200": "request_read", b"0220": "request_read",
    b"0110": "reply_read", b"0210": "reply_read", b"0230": "reply_read",
    b"0430": "reversal_acknowledged", b"0410": "reversal_acknowledged",
}  # fmt: skip


class Aims:
    """Those of one world."""

    def __init__(self, world: "World", aims: Sequence[Aim]) -> None:
        self._world = world
        self._waiting: list[list[Any]] = [
            [aim, aim.nth] for aim in aims if ":" not in aim.at and "." not in aim.at
        ]
        self._points = [aim for aim in aims if ":" in aim.at or "." in aim.at]
        self._armed: Aim | None = None
        self._outside = copy_context()

    def arm(self) -> None:
        """From now on."""
        network = self._world.network
        if self._waiting:
            network.wrote = self._wrote
            network.read = self._read
            self._world.node.half = self._half
        self._next_point()

    def disarm(self) -> None:
        """No more."""
        network = self._world.network
        network.wrote = network.read = self._world.node.half = None
        self._waiting, self._points, self._armed = [], [], None

    def _next_point(self) -> None:
        if self._points:
            self._armed = aim = self._points.pop()
            hook.arm(f"{aim.at}:{aim.nth}" if aim.at.count(":") == 0 else aim.at)

    def crashed(self, point: str) -> None:
        """A named point was hit."""
        aim, self._armed = self._armed, None
        self._world.counts[f"crashed: {point}"] += 1
        power = aim is None or aim.power
        if point.startswith(GATEWAY) and not power:
            self._world.kill_gateway(f"at {point}")
        else:
            self._world.power_cut(power=power, why=f"at {point}")
        self._next_point()

    def _half(self) -> float:
        """For how long the device stalls before the second half: as long as a cut is due, so that
        the cut falls between."""
        before = len(self._waiting)
        self._moment("half_group")
        return 2 * HALF_S if len(self._waiting) < before else 0.0

    def _wrote(self, _end: Endpoint, data: bytes) -> None:
        self._frames(data, _WROTE)

    def _read(self, _end: Endpoint, data: bytes) -> None:
        self._frames(data, _READ)

    def _frames(self, data: bytes, moments: dict[bytes, str]) -> None:
        at = 0
        while at + 6 <= len(data):
            length = int.from_bytes(data[at : at + LENGTH_BYTES], "big")
            frame = bytes(data[at : at + LENGTH_BYTES + length])
            at += LENGTH_BYTES + length
            what = moments.get(frame[MTI])
            if what == "answer":
                what = self._answer(frame)
            if what is not None:
                self._moment(what)
            if what == "request_read":
                self._moment("hang_up")

    def _answer(self, frame: bytes) -> str | None:
        try:
            message: Any = self._world.ground.dialect.decode_frame(frame)
        except TapswitchError:
            return None
        return "approval_sent" if message.get("response_code") == "00" else "decline_sent"

    def _moment(self, what: str) -> None:
        for waiting in list(self._waiting):
            aim = waiting[0]
            if aim.at != what:
                continue
            waiting[1] -= 1
            if waiting[1] == 0:
                self._waiting.remove(waiting)
                self._world.counts[f"aimed: {what}"] += 1
                after = HALF_S if what == "half_group" else 0.0
                self._world.loop.call_later(
                    after + aim.delay_us * 1e-6, self._strike, aim, context=self._outside
                )

    def _strike(self, aim: Aim) -> None:
        if self._world.network.healed:
            return
        if aim.at == "hang_up":
            self._world.note("every bank hangs up")
            for bank in self._world.banks.values():
                bank.flap(0.1)
        else:
            self._world.power_cut(power=aim.power, why=f"{aim.delay_us} us after {aim.at}")
