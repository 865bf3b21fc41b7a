"""What all three ledgers have of one transaction, in the order of time; card numbers masked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from switch.journal.query import shown_id
from switch.simulation.fold import Kept
from switch.simulation.ledgers import Slot, Told
from switch.simulation.oracles import Broken
from switch.simulation.ports import START_NS

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["history", "suspects"]

KEYS_MAX: Final = 3
TOLD: Final = (
    "code", "outcome", "cause", "effect", "duty", "result", "amount", "issuer", "out_stan",
    "reversal_stan", "advice_stan", "original",
)  # fmt: skip
"""Fields of a record that are shown; none holds a card."""

Key = tuple[str, str, str, str, str]


def suspects(world: "World", broken: Sequence[Broken]) -> tuple[int, ...]:
    """Numbers of the transactions under the keys that rules name, in the order of the rules."""
    found: list[int] = []
    for one in broken:
        slot = world.asked.slots.get(one.key) if one.key is not None else None
        bodies = slot.bodies.values() if slot is not None else ()
        found += [int(body.rrn[1:7]) for body in bodies]
    return tuple(dict.fromkeys(found))


def history(world: "World", broken: Sequence[Broken]) -> list[str]:
    """Lines of the first few transactions that rules name."""
    keys = list(dict.fromkeys(one.key for one in broken if one.key is not None))
    lines: list[str] = []
    for key in keys[:KEYS_MAX]:
        acquirer, terminal, stan, time, _ = key
        lines.append(
            f"transaction of acquirer {acquirer}, terminal {terminal}, STAN {stan}, {time}"
        )
        events = sorted(_of(world, key), key=lambda event: event[0])
        lines += [f"  {(at - START_NS) / 1e6:12.3f} ms  {text}" for at, text in events]
        lines += _ending(world, key)
    if len(keys) > KEYS_MAX:
        lines.append(f"and {len(keys) - KEYS_MAX} more transactions")
    return lines


def _of(world: "World", key: Key) -> Iterator[tuple[int, str]]:
    slot = world.asked.slots.get(key)
    if slot is not None:
        yield from _acquirer(slot)
    for kept in _kept(world, key):
        yield from _journal(world, kept)
        yield from _bank(world, kept)


def _kept(world: "World", key: Key) -> Sequence[Kept]:
    return world.recorded.keys.get(key, ()) if world.recorded is not None else ()


def _acquirer(slot: Slot) -> Iterator[tuple[int, str]]:
    for body in slot.bodies.values():
        what = f"{body.mti} {body.kind} of {_money(body.amount)}, RRN {body.rrn}"
        for place, (at, link) in enumerate(body.sent):
            again = "again " if place else ""
            yield at, f"acquirer  sends {again}{what} on {link}"
        yield from _answers(body.told, f"RRN {body.rrn}")
    for undoing in slot.undoings:
        lie = " (a lie)" if undoing.lie else ""
        what = f"{undoing.mti} of {_money(undoing.amount)}, STAN {undoing.stan}{lie}"
        for place, (at, link) in enumerate(undoing.sent):
            again = "again " if place else ""
            yield at, f"acquirer  sends {again}{what} on {link}"
        yield from _answers(undoing.told, f"STAN {undoing.stan}")


def _answers(answers: Sequence[Told], of: str) -> Iterator[tuple[int, str]]:
    for told in answers:
        yield told.at_ns, f"acquirer  is told {told.mti} code {told.code} of {of} on {told.link}"


def _journal(world: "World", kept: Kept) -> Iterator[tuple[int, str]]:
    """Its records, at the moment at which they were known to be durable."""
    for record in world.records:
        if record.get("carried") or kept.txn not in (record.get("txn"), record.get("original")):
            continue
        lsn = record["lsn"]
        at = next((at for at, synced in world.node.marks if synced >= lsn), world.loop.now_ns)
        yield at, f"journal   has durable LSN {lsn} {record['kind']} {_told(record)}"


def _told(record: Mapping[str, Any]) -> str:
    found = {name: record[name] for name in TOLD if record.get(name) not in (None, "", 0)}
    if "original" in found:
        found["original"] = shown_id(found["original"])
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _bank(world: "World", kept: Kept) -> Iterator[tuple[int, str]]:
    bank = world.banks.get(kept.issuer)
    if bank is None:
        return
    for seen in bank.seen:
        if (seen.stan, seen.time) == kept.out or seen.original == kept.out:
            act = f" (it is {seen.act})" if seen.act else ""
            what = f"{seen.mti} of {_money(seen.amount)}, STAN {seen.stan}"
            does = f"says {seen.code}" if seen.code else "says nothing"
            yield seen.at_ns, f"{bank.name}    gets {what} on {seen.link}, {does}{act}"
    held = bank.books.get(kept.out)
    for at, code in held.answers if held is not None else ():
        yield at, f"{bank.name}    answers {code}"


def _ending(world: "World", key: Key) -> Iterator[str]:
    """What stands in the end: acquirer, switch, bank."""
    slot = world.asked.slots.get(key)
    for body in slot.bodies.values() if slot else ():
        codes = " ".join(told.code for told in body.told) or "nothing"
        yield f"  in the end  acquirer  was told {codes} of RRN {body.rrn}"
    for kept in _kept(world, key):
        yield (
            f"  in the end  journal   transaction {shown_id(kept.txn)}, RRN {kept.rrn}: code"
            f" {kept.code or 'none'}, end {kept.end or 'none'},"
            f" {'undone' if kept.undone else 'stands'}, reversal"
            f" {kept.settled or ('owed' if kept.owed else 'none')}"
        )
        bank = world.banks.get(kept.issuer)
        held = bank.books.get(kept.out) if bank is not None else None
        if bank is not None:
            has = "never got it" if held is None else f"holds {_money(held.held)}"
            undone = ", undone" if held is not None and held.undone else ""
            yield f"  in the end  {bank.name}    {has}{undone}"
    if not _kept(world, key):
        yield "  in the end  journal   has nothing of it"


def _money(minor: int) -> str:
    return f"{minor / 100:.2f}"
