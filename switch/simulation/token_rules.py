"""E4, E5, E7 and J3 of tokens: what operators ordered, what taps were told, what banks got, and
what vault and index are left as, compared."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from switch.model.token import TokenState
from switch.simulation.broken import Broken
from switch.simulation.fold import Kept
from switch.simulation.ledgers import Body, Held, Slot
from switch.simulation.operator import masked
from switch.simulation.register import EVER, NOBODY, Ordered, Register, Thing
from switch.simulation.vault import Left

if TYPE_CHECKING:
    from switch.simulation.oracles import Evidence

__all__ = ["Tokens", "card_rules", "token_rules"]

STATES: Final = {
    "token_suspended": TokenState.SUSPENDED,
    "token_deleted": TokenState.DELETED,
    "token_requested": TokenState.REQUESTED,
    "token_unknown": NOBODY,
}
"""What a tap that was refused for a reason says of its token."""
DOMAINS: Final = {
    "above_ceiling": "ceiling", "channel_forbidden": "channel", "channel_missing": "channel",
    "mcc_forbidden": "merchant", "mcc_missing": "merchant", "requestor_missing": "requestor",
    "requestor_differs": "requestor", "currency_forbidden": "currency", "not_yet": "not yet",
    "no_longer": "no longer", "token_expired": "expired",
}  # fmt: skip
LOOK_NS: Final = 1_500_000_000
"""So long after a repair or a rebuild every worker has an answer again."""


class Tokens(msgspec.Struct):
    """All that is judged of tokens."""

    register: Register
    tending: Sequence[Sequence[int]] = ()
    """From when to when the gateway repaired or rebuilt the index; 0: its life ended in it."""
    left: Left | None = None
    """Vault and index, in worlds with orders."""

    def tended(self, since_ns: int, until_ns: int) -> bool:
        """Whether the index may have had no answer in between."""
        return any(
            begin <= until_ns and since_ns <= (end or EVER) + LOOK_NS for begin, end in self.tending
        )


def _window(body: Body, kept: Kept | None, held: Held | None = None) -> tuple[int, int]:
    """From the first sending to the answer that was recorded, if it was told, or to its arrival at
    its bank. Answers that no record has left it undecided."""
    answers = [told.at_ns for told in body.told if kept is not None and told.code == kept.code]
    arrived = [held.at_ns] if held is not None and held.at_ns else []
    return body.sent[0][0], min((*answers, *arrived), default=EVER)


def card_rules(
    evidence: "Evidence", slot: Slot, body: Body, kept: Kept, held: Held
) -> Iterator[Broken]:
    """E5, E6: a bank gets the card that is behind the token, or was while the tap was under way."""
    tokens = evidence.tokens
    if tokens is None or not body.token:
        if held.card != body.card:
            rule = "E6" if body.token else "M7"
            yield Broken(rule, "the bank got another card number", slot.key)
        return
    good = tokens.register.cards(body.token, *_window(body, kept, held))
    if held.card not in {pan for pan, _ in good}:
        rule = "E6" if held.card == body.token else "E5"
        yield Broken(rule, "the bank got a card that was not behind its token then", slot.key)
    elif held.expiry and (held.card, held.expiry) not in good:
        yield Broken("E5", "the bank got the expiry of another card", slot.key)


def token_rules(evidence: "Evidence") -> Iterator[Broken]:
    """Of every tap, every order, and of what is left."""
    if evidence.tokens is None:
        return
    for slot, body in evidence.bodies():
        if body.token:
            yield from _tap(evidence, evidence.tokens, slot, body)
    yield from _orders(evidence.tokens.register)
    if evidence.tokens.left is not None:
        yield from _left(evidence.tokens.register, evidence.tokens.left)


def _tap(evidence: "Evidence", tokens: Tokens, slot: Slot, body: Body) -> Iterator[Broken]:
    kept = evidence.kept_of(slot, body)
    held = evidence.held(kept) if kept is not None else None
    since, until = _window(body, kept, held)
    states = {thing.state for thing in tokens.register.possible(body.token, since, until)}
    said = ", ".join(_named(state) for state in sorted(states))
    if TokenState.ACTIVE not in states:
        if body.approved:
            yield Broken("E4", f"approved on a token that was {said}", slot.key)
        elif kept is not None and kept.accepted:
            yield Broken("E4", f"a bank was asked for a token that was {said}", slot.key)
    if body.barred and body.approved:
        yield Broken("E7", f"approved on a token that was barred: {body.barred}", slot.key)
    elif body.barred and kept is not None and kept.accepted:
        yield Broken("E7", f"a bank was asked for what its token bars: {body.barred}", slot.key)
    if kept is None or not kept.declined:
        return
    wanted = STATES.get(kept.why)
    if wanted is not None and wanted not in states:
        yield Broken("E4", f"told {kept.why} of a token that was {said}", slot.key)
    domain = DOMAINS.get(kept.why)
    if domain is not None and domain != body.barred:
        yield Broken("E7", f"told {kept.why}, which its token does not bar", slot.key)
    if kept.why.startswith("index_") and not tokens.tended(since, until):
        yield Broken("J3", f"told {kept.why}, and nobody repaired the index", slot.key)


def _named(state: int) -> str:
    return "nobody's" if state == NOBODY else TokenState(state).name.lower()


def _orders(register: Register) -> Iterator[Broken]:
    """E4, E5: an order does what it says, and nothing else."""
    for token, orders in register.of.items():
        thing = register.first[token]
        for order in orders:
            later = thing.after(order.what, order.pan, order.expiry)
            about = f"order {order.number} ({order.what}) on a token that was"
            about += f" {_named(thing.state)}"
            if order.outcome == "done" and later is None:
                yield Broken("E4", f"{about} was done")
            elif order.outcome == "refused" and later is not None:
                yield Broken("E4", f"{about} was refused")
            elif order.outcome in {"done", "read"}:
                good = [later] if order.outcome == "done" else [thing, later]
                if not any(one is not None and _shows(order, one) for one in good):
                    yield Broken("E5", f"{about} showed what it is not")
            if order.applied and later is not None:
                thing = later


def _shows(order: Ordered, thing: Thing) -> bool:
    if NOBODY in {order.state, thing.state}:
        return order.state == thing.state
    shown = order.state, order.masked, order.shown_expiry
    return shown == (thing.state, masked(thing.pan), thing.expiry)


def _left(register: Register, left: Left) -> Iterator[Broken]:
    """J3, E5, S4: vault, index, audit and what operators know are one."""
    if left.fault:
        yield Broken("J3", f"the index is left {left.fault}")
        return
    if left.intents:
        yield Broken("J3", f"{left.intents} restrictions were begun and never completed")
    if left.stamp != left.change:
        yield Broken("J3", f"the index shows change {left.stamp} of {left.change}")
    rows = {row[0]: row for row in left.rows}
    if len(rows) != len(left.rows):
        yield Broken("E5", "one token has two rows")
    for token, thing in register.last.items():
        row = rows.get(token)
        if thing.state == NOBODY or row is None:
            if (thing.state == NOBODY) != (row is None):
                yield Broken("E5", f"token {token[-4:]}: the vault and its operators disagree")
            continue
        replaced = [one for one in register.of.get(token, ()) if one.what == "replace_pan"]
        changes = _changes(register, token)
        wanted = (
            token, thing.state, masked(thing.pan), thing.expiry,
            1 + sum(one in changes for one in replaced),
        )  # fmt: skip
        if row != wanted:
            yield Broken("E5", f"token {token[-4:]}: {row[1:]} in the vault, ordered {wanted[1:]}")
        index = left.index.get(token, {})
        if (index.get("state"), index.get("pan"), index.get("mapping_version")) != (
            row[1], row[2], row[4],
        ):  # fmt: skip
            yield Broken("J3", f"token {token[-4:]}: the index is not as the vault")
    yield from _audited(register, left)


def _changes(register: Register, token: str) -> list[Ordered]:
    """The orders that changed it."""
    thing, changes = register.first[token], []
    for order in register.of.get(token, ()):
        later = thing.after(order.what, order.pan, order.expiry)
        if order.applied and later is not None:
            if later != thing:
                changes.append(order)
            thing = later
    return changes


def _audited(register: Register, left: Left) -> Iterator[Broken]:
    """S4: who changed what is audited once; who changed nothing never as done."""
    if left.chain:
        yield Broken("S4", f"the audit does not hold: {left.chain}")
    done: Counter[Any] = Counter(actor for actor, outcome, _ in left.audited if outcome == "done")
    changed = {one.number for token in register.of for one in _changes(register, token)}
    for order in register.orders:
        found = done[f"operator {order.number}"]
        if found != (order.number in changed):
            yield Broken("S4", f"order {order.number} ({order.what}) is audited {found} times")
