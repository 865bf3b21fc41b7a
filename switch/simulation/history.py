"""What all three ledgers have of one transaction, in the order of time; card numbers masked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from switch.simulation.ground import START_NS
from switch.simulation.oracles import Broken

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["history"]

KEYS_MAX: Final = 3


def history(world: "World", broken: Sequence[Broken]) -> list[str]:
    """Lines of the first few transactions that rules name."""
    keys = list(dict.fromkeys(one.key for one in broken if one.key is not None))
    lines: list[str] = []
    for key in keys[:KEYS_MAX]:
        lines += [f"transaction {' '.join(key)}", *_of(world, key)]
    return lines


def _of(world: "World", key: tuple[str, str, str, str, str]) -> list[str]:
    events: list[tuple[int, str]] = []
    slot = world.asked.slots.get(key)
    for body in slot.bodies.values() if slot else ():
        what = f"{body.mti} {body.kind} {body.amount} {body.rrn}"
        events += [(at, f"acquirer  sends {what} on {link}") for at, link in body.sent]
        events += [
            (told.at_ns, f"acquirer  is told {told.mti} {told.code} of {body.rrn} on {told.link}")
            for told in body.told
        ]
    for undoing in slot.undoings if slot else ():
        what = f"{undoing.mti} {undoing.stan} {undoing.amount}{' (a lie)' if undoing.lie else ''}"
        events += [(at, f"acquirer  sends {what} on {link}") for at, link in undoing.sent]
        events += [
            (
                told.at_ns,
                f"acquirer  is told {told.mti} {told.code} of {undoing.stan} on {told.link}",
            )
            for told in undoing.told
        ]
    lines = []
    recorded = world.recorded
    for kept in recorded.keys.get(key, ()) if recorded is not None else ():
        lines.append(
            f"  journal   {kept.txn} {kept.rrn} accepted {kept.accepted} answered {kept.answered}"
            f" declined {kept.declined} code {kept.code} outcome {kept.outcome} end {kept.end}"
            f" cause {kept.cause} effects {kept.effects} owed {kept.owed} settled {kept.settled!r}"
        )
        bank = world.banks.get(kept.issuer)
        if bank is None:
            continue
        for seen in bank.seen:
            if (seen.stan, seen.time) == kept.out or seen.original == kept.out:
                what = f"{seen.mti} {seen.stan} {seen.amount} ({seen.act or 'plain'}: {seen.code})"
                events.append((seen.at_ns, f"{bank.name}    gets {what} on {seen.link}"))
        held = bank.books.get(kept.out)
        if held is not None:
            events += [(at, f"{bank.name}    answers {code}") for at, code in held.answers]
            lines.append(f"  {bank.name}    holds {held.held}, undone {held.undone}")
    events.sort()
    return [f"  {(at - START_NS) / 1e6:12.3f} ms  {text}" for at, text in events] + lines
