"""What every order to a running worker has, and every answer.

To add one: write `switch/control/NAME.py` with the order (a subclass of `Order` with its tag), its
answer (a subclass of `Answer`) and `async def perform(order, node)`; enter the three into
`switch/control/orders.py`. An order carries no secret: it is written to the audit as it came.

`perform` runs on the worker's loop, beside the walk: it must not block, and whatever takes longer
than some microseconds per member belongs behind an `await`. It raises an error of `switch.errors`
to refuse; then nothing may have been changed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from switch.control.approvals import Approvals
    from switch.control.holds import Holds
    from switch.control.reload import Reloaded
    from switch.runtime.desk import Desk
    from switch.runtime.dialer import Dialer
    from switch.runtime.driver import Driver
    from switch.runtime.member import Acquirer, Bank
    from switch.settings.schema import Settings

__all__ = [
    "ACTOR_CHARACTERS_MAX",
    "REASON_CHARACTERS_MAX",
    "Answer",
    "By",
    "Caller",
    "Node",
    "Order",
    "signed",
]

OrderT = TypeVar("OrderT", bound="Order")

REASON_CHARACTERS_MAX: Final = 200
ACTOR_CHARACTERS_MAX: Final = 64


class By(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On whose account, as the caller says. Who really called the kernel says: `Caller`."""

    actor: Annotated[str, Meta(max_length=ACTOR_CHARACTERS_MAX)] = ""
    """Whom a caller acts for, for example the person behind sudo; '' for itself."""
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class Caller(msgspec.Struct, frozen=True):
    """Who holds the other end of the socket, as the kernel knows it."""

    pid: int
    uid: int
    user: str
    """Name of the uid; '' when it has none."""


class Order(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="order", forbid_unknown_fields=True
):
    """Base of all orders."""

    by: By = By()
    changes: ClassVar[bool] = True
    """It changes something: nothing is done unless the audit has it on disk first."""
    audited: ClassVar[bool] = True
    """False for looks that programs take many times a minute."""
    within_s: ClassVar[float] = 10.0
    """The caller waits for the answer this long."""

    @property
    def will_change(self) -> bool:
        """This very order changes something; one with `dry_run` only says what it would do."""
        return self.changes and not getattr(self, "dry_run", False)

    @property
    def action(self) -> str:
        """Its tag: the name of the order in audit and metrics."""
        return str(self.__struct_config__.tag)


def signed(order: "OrderT", caller: Caller) -> "OrderT":
    """An order that names nobody is the caller's own."""
    if order.by.actor:
        return order
    name = (caller.user or f"uid {caller.uid}")[:ACTOR_CHARACTERS_MAX]
    return msgspec.structs.replace(order, by=By(actor=name, reason=order.by.reason))


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer"):
    """Base of all answers."""


class Node(Protocol):
    """The running worker, as far as orders reach: `switch.apps.worker.Worker`."""

    @property
    def settings(self) -> "Settings": ...
    @property
    def driver(self) -> "Driver": ...
    @property
    def acquirers(self) -> "Mapping[int, Acquirer]": ...
    @property
    def banks(self) -> "Mapping[int, Bank]": ...
    @property
    def holds(self) -> "Holds": ...
    @property
    def approvals(self) -> "Approvals": ...
    @property
    def desk(self) -> "Desk | None": ...
    @property
    def dialers(self) -> "Sequence[Dialer]": ...
    async def reload(self, *, dry_run: bool, wait: bool, cause: str = "order") -> "Reloaded":
        """See `switch.control.reload`."""

    async def restart(self) -> None:
        """See `switch.control.restart`."""
