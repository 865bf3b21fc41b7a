"""An error on its way through a socket: told by whoever refused, raised again by whoever asked."""

from switch.control.order import Answer
from switch.errors import REGISTRY, OperatorError, TapswitchError, UnreachableError, UsageError

__all__ = ["Refused", "of_error", "to_error"]


class Refused(Answer, frozen=True, kw_only=True, tag="refused"):
    """The order was not carried out. `code` is that of a class of `switch.errors`."""

    code: str
    problem: str
    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""
    help: str = ""


def of_error(error: TapswitchError) -> Refused:
    """What is told of an error; its texts are written for operators and carry no secrets."""
    if isinstance(error, OperatorError):
        return Refused(
            code=error.code,
            problem=error.problem,
            file=error.file,
            line=error.line,
            column=error.column,
            key=error.key,
            help=error.help,
        )
    return Refused(code=error.code, problem=str(error))


def to_error(refused: Refused) -> TapswitchError:
    """The same error again; one that this version does not know becomes an UnreachableError."""
    kind = REGISTRY.get(refused.code)
    if kind is None:
        return UnreachableError(
            f"the worker refused with {refused.code}, which this version does not know:"
            f" {refused.problem}",
            help="use the tapswitch that the node runs with",
        )
    if issubclass(kind, OperatorError):
        return kind(
            refused.problem,
            file=refused.file,
            line=refused.line,
            column=refused.column,
            key=refused.key,
            help=refused.help,
        )
    try:
        return kind(refused.problem)
    except TypeError:
        return UsageError(f"{refused.code}: {refused.problem}")
