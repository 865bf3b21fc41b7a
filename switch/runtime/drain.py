"""SIGTERM: finish what was begun, say goodbye, close the journal cleanly.

In order: no new connections and no dialling; acquirers are not read any more; what is in flight
gets its answer or its deadline; answers leave; banks are signed off; every connection ends with its
last bytes delivered. Reversals still owed do not hold the drain up: they are in the journal, and
the next start delivers them.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from switch.runtime.dialer import Dialer
from switch.runtime.listener import AcquirerConnection, BankConnection, Listening
from switch.runtime.transport import Paused

if TYPE_CHECKING:
    from switch.runtime.driver import Driver

__all__ = ["drain"]

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
    loop = asyncio.get_running_loop()
    driver.draining = True
    for server in servers:
        server.close()
    for dialer in dialers:
        await dialer.stop()
    acquirers = [c for c in driver.connections() if isinstance(c, AcquirerConnection)]
    for connection in acquirers:
        connection.pause_reading(Paused.DRAINING)

    finished = await _until(
        lambda: not driver.engine.in_flight and not driver.native.held, in_flight_s
    )
    log.info("drain.in_flight", finished=finished, left=driver.engine.in_flight)

    for link in list(driver.connections()):
        if isinstance(link, BankConnection):
            link.sign_off()
    await _until(lambda: not any(bank.connections for bank in driver.banks.values()), SIGN_OFF_S)

    # Closing a socket with unread input resets it, and a reset may destroy an answer that the peer
    # has not read yet. So: our end of stream first, input read and thrown away, and close when the
    # peer has closed.
    ended_by = loop.time() + LAST_BYTES_S
    for connection in acquirers:
        connection.discard_input()
        connection.resume_reading(connection.paused)
        connection.end_output()
    await _until(lambda: not any(driver.connections()), max(0.0, ended_by - loop.time()))
    for rest in list(driver.connections()):
        rest.close("drained")
    await _until(lambda: not any(driver.connections()), 0.2)
    for rest in list(driver.connections()):
        rest.abort("drained")
    await asyncio.sleep(0)
    return finished


async def _until(done: Callable[[], bool], within_s: float) -> bool:
    """Looks every `POLL_S`; a drain happens once in the life of a process."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within_s
    while not done():
        if loop.time() >= give_up:
            return False
        await asyncio.sleep(POLL_S)
    return True
