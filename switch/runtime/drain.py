"""SIGTERM: finish what was begun, say goodbye, close the journal cleanly.

In order: no new connections and no dialling; acquirers are not read any more; what is in flight
gets its answer or its deadline; answers leave; banks are signed off; every connection ends with its
last bytes delivered. Reversals still owed do not hold the drain up: they are in the journal, and
the next start delivers them.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from switch.runtime.dialer import Dialer
from switch.runtime.listener import AcquirerConnection, BankConnection
from switch.runtime.listening import Listening
from switch.runtime.member import Acquirer, Bank, Hold
from switch.runtime.transport import Paused

if TYPE_CHECKING:
    from switch.runtime.driver import Driver

__all__ = ["LAST_BYTES_S", "SIGN_OFF_S", "drain", "drain_member", "let_go", "until"]

log = structlog.get_logger("drain")

POLL_S: Final = 0.01
SIGN_OFF_S: Final = 1.0
"""How long a bank may take to answer a sign-off."""
LAST_BYTES_S: Final = 1.0
"""How long a peer may take to read its last answer and close."""


async def drain(
    driver: "Driver",
    servers: Sequence[Listening],
    dialers: Sequence[Dialer],
    in_flight_s: float,
) -> bool:
    """Drains within `in_flight_s` (more than the longest deadline) plus two seconds.

    Returns:
        True when everything in flight came to its outcome and left.
    """
    driver.draining = True
    for server in servers:
        server.close()
    for dialer in dialers:
        await dialer.stop()
    acquirers = [c for c in driver.connections() if isinstance(c, AcquirerConnection)]
    for connection in acquirers:
        connection.pause_reading(Paused.DRAINING)

    finished = await until(
        lambda: (
            not driver.intake.waiting and not driver.engine.in_flight and not driver.native.held
        ),
        in_flight_s,
    )
    log.info("drain.in_flight", finished=finished, left=driver.engine.in_flight)

    for link in list(driver.connections()):
        if isinstance(link, BankConnection):
            link.sign_off()
    await until(lambda: not any(bank.connections for bank in driver.banks.values()), SIGN_OFF_S)

    await let_go(acquirers, "drained", LAST_BYTES_S)
    for rest in list(driver.connections()):
        rest.close("drained")
    await until(lambda: not any(driver.connections()), 0.2)
    for rest in list(driver.connections()):
        rest.abort("drained")
    await asyncio.sleep(0)
    return finished


async def drain_member(driver: "Driver", member: Acquirer | Bank) -> bool:
    """One member, whose `hold` says DRAINED and whose dialler is held: what is in flight comes to
    its end within its deadlines, answers leave, a bank is signed off, connections end.

    Returns:
        False when somebody took the hold away in between; nothing more was done then.
    """
    links = list(member.connections.values())
    acquirers = [link for link in links if isinstance(link, AcquirerConnection)]
    for link in acquirers:
        link.pause_reading(Paused.DRAINING)
    bank = member if isinstance(member, Bank) else None
    if bank is not None:
        driver.refresh(bank)

    def quiet() -> bool:
        if isinstance(member, Bank):
            left = len(member.matcher.in_flight)
        else:
            left = member.in_flight + member.lane.waiting
        return not left and not any(driver.native.held_bytes(slot) for slot in member.connections)

    def over() -> bool:
        return member.hold is not Hold.DRAINED or driver.draining

    # Every deadline ends what waits for it, so that this does not need a limit of its own.
    await until(lambda: quiet() or over(), float("inf"))
    if over():
        for link in acquirers:
            link.resume_reading(Paused.DRAINING)
        return False
    for one in list(member.connections.values()):
        if isinstance(one, BankConnection):
            one.sign_off()
    if bank is not None:
        await until(lambda: not member.connections, SIGN_OFF_S)
    await let_go(acquirers, "drained", LAST_BYTES_S)
    for rest in list(member.connections.values()):
        rest.close("drained")
    await until(lambda: not member.connections, 0.2)
    for rest in list(member.connections.values()):
        rest.abort("drained")
    await asyncio.sleep(0)
    return True


async def let_go(links: Sequence[AcquirerConnection], why: str, within_s: float) -> None:
    """Ends connections so that the last bytes arrive, within `within_s` and a little.

    Closing a socket with unread input resets it, and a reset may destroy an answer that the peer
    has not read yet. So: our end of stream first, input read and thrown away, and close when the
    peer has closed.
    """
    for link in links:
        link.discard_input()
        link.resume_reading(link.paused)
        link.reason = link.reason or why
        link.end_output()
    await until(lambda: all(link.transport is None for link in links), within_s)
    for link in links:
        link.close(why)
    await until(lambda: all(link.transport is None for link in links), 0.2)
    for link in links:
        link.abort(why)
    await asyncio.sleep(0)


async def until(done: Callable[[], bool], within_s: float = math.inf) -> bool:
    """Looks every `POLL_S`, for what happens once in the life of a connection or process."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within_s
    while not done():
        if loop.time() >= give_up:
            return False
        await asyncio.sleep(POLL_S)
    return True
