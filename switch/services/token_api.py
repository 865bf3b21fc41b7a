"""The vault's orders over HTTP, thin: a body is decoded, `tokens.service` carries it out.

Errors are problem+json (RFC 9457) with our stable code. No body is quoted in an answer or a log.
"""

import asyncio
from typing import Any, Final, Protocol

import msgspec
import structlog
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State

from switch.errors import OperatorError, TapswitchError, TokenError
from switch.runtime import fault
from switch.tokens.orders import Answer, Order

__all__ = ["BODY_BYTES_MAX", "ORDERS_PATH", "Performs", "Problem", "app"]

ORDERS_PATH: Final = "/v1/orders"
BODY_BYTES_MAX: Final = 64 << 20
"""An import order of 50,000 rows with all their fields has a third of it."""
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_STATUS_OF_EXIT: Final = {2: 400, 4: 503, 5: 409}
"""Exit code of an error's class to HTTP status; others are 500."""

log = structlog.get_logger("token_api")
_decoder: Final = msgspec.json.Decoder(Order)


class Performs(Protocol):
    """`switch.tokens.service.TokenService`, as far as this room needs it."""

    async def perform(self, order: Order) -> Answer: ...


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457, and what makes the same error again on the other side."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    help: str = ""
    key: str = ""
    file: str = ""


@post(ORDERS_PATH, status_code=200, request_max_body_size=BODY_BYTES_MAX)
async def orders(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """One order, one answer; see switch/tokens/orders.py."""
    try:
        order = _decoder.decode(await request.body())
    except msgspec.ValidationError as error:
        # msgspec names the place and the types, never the value.
        return _problem(TokenError(f"this is no order: {error}"))
    except msgspec.DecodeError:
        return _problem(TokenError("this is no JSON"))
    except TapswitchError as error:
        return _problem(error)
    service: Performs = state.service
    try:
        # Whoever asked may go away; what was begun is brought to its end.
        answer = await asyncio.shield(asyncio.ensure_future(service.perform(order)))
    except TapswitchError as error:
        return _problem(error)
    return Response(msgspec.json.encode(answer), media_type=_JSON)


@get("/v1/health")
async def health() -> Response[bytes]:
    """200 while orders are taken."""
    return Response(b'{"ready":true}', media_type=_JSON)


def _problem(error: TapswitchError) -> Response[bytes]:
    ours = error if isinstance(error, OperatorError) else None
    problem = Problem(
        title=type(error).__name__,
        status=_STATUS_OF_EXIT.get(error.exit_code, 500),
        code=error.code,
        detail=ours.problem if ours else str(error),
        help=ours.help if ours else "",
        key=ours.key if ours else "",
        file=ours.file if ours else "",
    )
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=_PROBLEM)


def _unexpected(_: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """A bug of ours: told by type and place, never by its text."""
    status = getattr(error, "status_code", 500)
    if status >= 500:
        log.error("order.failed", reason=fault.reason(error))
    problem = Problem(title=type(error).__name__, status=status, code="TSW-U0000", detail="")
    return Response(msgspec.json.encode(problem), status_code=status, media_type=_PROBLEM)


def app(service: Performs) -> Litestar:
    """The application over one service."""
    return Litestar(
        route_handlers=[orders, health],
        state=State({"service": service}),
        exception_handlers={Exception: _unexpected},
        openapi_config=None,
        logging_config=None,
    )
