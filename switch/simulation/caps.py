"""L3: nothing that a worker holds grows beyond its cap, at any time."""

from collections.abc import Iterator
from typing import Any

from switch.apps.worker import Worker
from switch.runtime.member import Bank

__all__ = ["overgrown"]


def overgrown(worker: Worker) -> Iterator[str]:
    """What is beyond its cap now."""
    members: list[Any] = [*worker.acquirers.values(), *worker.banks.values()]
    for member in members:
        if len(member.connections) > member.connections_max:
            yield f"{member.name} has {len(member.connections)} connections"
        for link in member.connections.values():
            if link.unread_bytes > worker.driver.write_buffer_bytes_max:
                yield f"{link.unread_bytes} bytes wait for {member.name}"
        if isinstance(member, Bank) and len(member.matcher.in_flight) > member.in_flight_max:
            yield f"{len(member.matcher.in_flight)} in flight at {member.name}"
