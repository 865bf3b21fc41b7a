"""What must hold at rest, by number (docs/guides/simulation.md has the table).

Three ledgers are compared: what acquirers sent and were told, what banks got and hold, what the
switch recorded. The rules know nothing of how the switch works; each says what a merchant, a
cardholder or a bank would complain about.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from switch.model.kind import Kind
from switch.model.state import KeyState, ReversalEffect
from switch.simulation.broken import Broken
from switch.simulation.crowd import crowd_rules
from switch.simulation.fold import OPEN, Kept, Recorded
from switch.simulation.garble import garble_rules
from switch.simulation.issuer import MOVES, Bank
from switch.simulation.ledgers import Asked, Body, Held, Slot, Told
from switch.simulation.plan import STAND_IN_AMOUNT_MAX, Plan
from switch.simulation.token_rules import Tokens, card_rules, token_rules

__all__ = ["RULES", "VAGUE", "Broken", "Evidence", "chief", "judge"]

ZONE: Final = ZoneInfo("Asia/Shanghai")
CUTOVER_H: Final = 23
WAITERS_MAX: Final = 4
"""Repeats that may wait for one answer; further ones are dropped, as docs/reference says."""
STATELESS: Final = frozenset({"94", "96"})
"""Answers that leave the stored one standing: another body or a key used up, and no room."""
SHED: Final = STATELESS | {"91"}
"""Likewise, where requests were shed before they were looked at."""


FORGOTTEN_NS: Final = 11_000_000_000
"""After so long it is forgotten that a key was turned away."""
TURNED_AWAY_NS: Final = 4_000_000_000
"""So long at least a key that was turned away is told the same, as long as its node lives."""


VAGUE: Final = frozenset({"raised", "halt", "assert", "rest", "hang", "J1", "J4"})
"""Rules that many defects break."""


def chief(broken: Sequence[Broken]) -> Broken:
    """What a failure is called by: the first rule that says something of its own."""
    return next((one for one in broken if one.rule not in VAGUE), broken[0])


class Evidence(msgspec.Struct):
    """All that is judged."""

    plan: Plan
    asked: Asked
    banks: dict[str, Bank]
    recorded: Recorded
    findings: Sequence[dict[str, Any]]
    """Of `journal verify`."""
    standing: frozenset[int] = frozenset()
    """Connections of acquirers that stand at rest, and stood all the time."""
    stepped: bool = False
    """The wall clock was stepped."""
    no_room: bool = False
    """The journal may have refused what it had no room for."""
    shed: bool = False
    """Some requests were refused unread because there were too many."""
    tokens: Tokens | None = None
    """What is known of tokens; None: there are none."""
    starts_ns: Sequence[int] = ()
    """When each life of the node began, virtual."""
    room_ns: int = 0
    """Since when the journal has had room and a sound disk, virtual; 0: it is not known."""

    @property
    def stateless(self) -> frozenset[str]:
        """Codes that may have been told without a record."""
        return SHED if self.shed else STATELESS

    def bodies(self) -> Iterator[tuple[Slot, Body]]:
        """Every request that was sent."""
        for slot in self.asked.slots.values():
            for body in slot.bodies.values():
                if body.sent:
                    yield slot, body

    def kept_of(self, slot: Slot, body: Body) -> Kept | None:
        """What the journal has of this very request."""
        for kept in self.recorded.keys.get(slot.key, ()):
            if kept.rrn == body.rrn:
                return kept
        return None

    def held(self, kept: Kept) -> Held | None:
        """What its bank has of it."""
        bank = self.banks.get(kept.issuer)
        return bank.books.get(kept.out) if bank is not None else None

    def advice(self, kept: Kept) -> Held | None:
        """What its bank has of the advice of an approval in its name."""
        bank = self.banks.get(kept.issuer)
        return bank.books.get(kept.advice) if bank is not None and kept.advice else None

    def holds(self, kept: Kept) -> int:
        """The money that its bank holds for it."""
        legs = self.held(kept), self.advice(kept)
        return sum(held.held for held in legs if held is not None)


def _money(evidence: Evidence) -> Iterator[Broken]:
    """M1, M2: told, recorded and held are one amount."""
    for slot, body in evidence.bodies():
        kept = evidence.kept_of(slot, body)
        if body.approved and (kept is None or not kept.taken):
            yield Broken("M5", "told of an approval that no record has", slot.key)
            continue
        if kept is None or not kept.taken:
            continue
        amount = evidence.holds(kept)
        taken_back = any(undoing.sent for undoing in slot.undoings)
        if (
            body.approved
            and not taken_back
            and kept.message_kind in MOVES
            and amount != body.amount
        ):
            yield Broken("M1", f"told of {body.amount}, the bank holds {amount}", slot.key)
        acknowledged = any(
            told.code == "00" for one in slot.undoings if not one.lie for told in one.told
        )
        own = any(one.body is body and not one.lie for one in slot.undoings)
        if amount and acknowledged and own:
            yield Broken("M2", f"its reversal was acknowledged, {amount} is held", slot.key)
        declined = [one for one in body.told if one.code not in {"00", "11"} | evidence.stateless]
        if amount and declined and not body.approved:
            yield Broken("M2", f"told {declined[0].code}, {amount} is held", slot.key)
    for kept in evidence.recorded.kept.values():
        amount = evidence.holds(kept)
        wanted = kept.amount if not kept.undone and kept.message_kind in MOVES else 0
        if kept.taken and amount != wanted:
            rule = "M1" if wanted else "M2"
            yield Broken(rule, f"{wanted} is recorded, the bank holds {amount}", kept.key)


def _banks(evidence: Evidence) -> Iterator[Broken]:
    """M3, M6, M7, D9, D10: what banks got stands in the journal, as it was asked."""
    by_out = {
        (kept.issuer, kept.out): kept for kept in evidence.recorded.kept.values() if kept.out[0]
    }
    by_advice = {
        (kept.issuer, kept.advice): kept for kept in evidence.recorded.kept.values() if kept.advice
    }
    for name, bank in evidence.banks.items():
        for reference, held in bank.books.items():
            kept = by_out.get((name, reference))
            told = by_advice.get((name, reference))
            if kept is None and told is not None:
                yield from _advice(evidence, told, held)
                continue
            if kept is None:
                yield Broken("M6", f"{name} got {reference}, which no record has")
                continue
            if held.requests > 1 and not kept.advised:
                yield Broken("M3", f"{name} got the request {held.requests} times", kept.key)
            if held.effects > 1:
                yield Broken("M3", "undone twice", kept.key)
            if held.requests:
                yield from _same(evidence, kept, held)
            if (
                kept.approved
                and kept.accepted
                and not kept.stood
                and ("00", kept.auth_code) not in held.sound
            ):
                yield Broken("D10", "approved, and its bank never said so properly", kept.key)
            yield from _reversals(kept, held, kept.owed)
        yield from _numbers(name, bank)


def _same(evidence: Evidence, kept: Kept, held: Held) -> Iterator[Broken]:
    slot = evidence.asked.slots.get(kept.key)
    body = None
    if slot is not None:
        body = next((one for one in slot.bodies.values() if one.rrn == held.rrn), None)
    if body is None:
        yield Broken("M6", f"a bank got {held.rrn}, which nobody asked", kept.key)
        return
    if held.amount != body.amount or held.amount != kept.amount:
        yield Broken("M7", f"asked {body.amount}, the bank got {held.amount}", kept.key)
    assert slot is not None
    yield from card_rules(evidence, slot, body, kept, held)
    if held.terminal != kept.key[1] or held.acquirer.lstrip("0") != kept.key[0]:
        yield Broken("M7", "the bank got another terminal or acquirer", kept.key)


def _advice(evidence: Evidence, kept: Kept, held: Held) -> Iterator[Broken]:
    """M8: what a bank got of an approval in its name."""
    if held.effects > 1:
        yield Broken("M3", "an advice undone twice", kept.key)
    yield from _same(evidence, kept, held)
    yield from _reversals(kept, held, kept.withdrawn)


def _reversals(kept: Kept, held: Held, owed: tuple[str, str] | None) -> Iterator[Broken]:
    firsts = 0
    for place, seen in enumerate(held.reversals):
        if owed is None:
            yield Broken("D9", f"{seen.mti} left, and no record owes it", kept.key)
            return
        if (seen.stan, seen.time) != owed:
            yield Broken("M3", f"{seen.mti} under other numbers", kept.key)
        if held.requests and seen.card != held.card:
            yield Broken("E5", f"{seen.mti} under another card number", kept.key)
        if seen.amount != kept.amount:
            yield Broken("M7", f"{seen.mti} of {seen.amount} for {kept.amount}", kept.key)
        firsts += seen.mti in {"0420", "0400"}
        if place and seen.mti in {"0420", "0400"} and firsts > 1:
            yield Broken("M3", "a repeated reversal does not say so", kept.key)


def _numbers(name: str, bank: Bank) -> Iterator[Broken]:
    """D7: at the bank no two messages share a (STAN, time)."""
    used: dict[tuple[str, str], str] = {}
    for seen in bank.seen:
        what = "reversal" if seen.original is not None else f"request {seen.rrn}"
        if used.setdefault((seen.stan, seen.time), what + str(seen.original)) != what + str(
            seen.original
        ):
            yield Broken("D7", f"{name} got {seen.stan} {seen.time} for two messages")
    for number in bank.network_seen:
        if number in used:
            yield Broken("D7", f"{name} got {number} for an 0800 and something else")
        used[number] = "network"


def _records(evidence: Evidence) -> Iterator[Broken]:
    """J1, L1, L2, M4, D1, D7, M10: the journal for itself."""
    recorded = evidence.recorded
    for problem in recorded.problems:
        yield Broken("J1", problem)
    for finding in evidence.findings:
        where = f"{finding.get('rule')} {finding.get('problem')} (LSN {finding.get('lsn')})"
        yield Broken("J1", f"journal verify: {where}")
    for (institution, stan, time), uses in recorded.numbers.items():
        if len(uses) > 1:
            yield Broken("D7", f"{institution} {stan} {time}: {', '.join(uses)}")
    for key, all_of_it in recorded.keys.items():
        accepted = [kept for kept in all_of_it if kept.accepted]
        if len(accepted) > 1:
            yield Broken("D1", f"accepted {len(accepted)} times", key)
        if len(all_of_it) > 1 and not any(kept.code == "96" for kept in all_of_it):
            yield Broken("D1", f"decided {len(all_of_it)} times", key)
    for kept in recorded.kept.values():
        yield from _life(evidence, kept)


def _life(evidence: Evidence, kept: Kept) -> Iterator[Broken]:
    if kept.accepted and not kept.answered:
        yield Broken("L1", "accepted, and never an outcome", kept.key)
    if kept.approved and kept.cause and not kept.stood:
        yield Broken("M4", f"approved, and reversed by us (cause {kept.cause})", kept.key)
    suppressed = {ReversalEffect.SUPPRESS, ReversalEffect.CANCEL_UNSENT}
    if kept.approved and suppressed & set(kept.effects):
        yield Broken("M4", "approved after its acquirer had taken it back", kept.key)
    if kept.advised and kept.advice_settled in {"", "parked", "dead"}:
        yield Broken("M8", f"an advice came to no end: {kept.advice_settled!r}", kept.key)
    if kept.stood:
        yield from _stood_in(evidence, kept)
    if kept.owed is not None and kept.settled in {"", "parked"}:
        yield Broken("L2", "a reversal is still owed", kept.key)
    if kept.taken and kept.business_date != _business_date(kept.at_ms):
        yield Broken("M10", f"business date {kept.business_date}", kept.key)
    if kept.approved and not evidence.stepped:
        took_ms = kept.answered_ms - kept.at_ms
        if took_ms > evidence.plan.deadline_ms + 60:
            yield Broken("D5", f"approved {took_ms} ms after it was accepted", kept.key)
    unsettled = kept.outcome not in {KeyState.APPROVED, KeyState.DECLINED, KeyState.IN_FLIGHT}
    if unsettled:
        yield Broken("J1", f"an outcome {kept.outcome}", kept.key)


def _stood_in(evidence: Evidence, kept: Kept) -> Iterator[Broken]:
    """M8: an approval in a bank's name has one advice, behind the reversal of what the bank may
    have got, and only where the bank did not answer."""
    advice, request = evidence.advice(kept), evidence.held(kept)
    if advice is None or not advice.requests:
        yield Broken("M8", "approved in its bank's name, and the bank was never told", kept.key)
    elif advice.amount != kept.amount:
        yield Broken("M8", f"approved {kept.amount}, the bank was told {advice.amount}", kept.key)
    if kept.advice_settled in OPEN:
        yield Broken("M8", f"its advice came to no end: {kept.advice_settled!r}", kept.key)
    if request is not None and request.requests and kept.owed is None:
        yield Broken("M8", "its bank had the request, which is not reversed", kept.key)
    if kept.withdrawn is not None and kept.withdrawal_settled in OPEN:
        yield Broken("L2", "the withdrawal of an advice is still owed", kept.key)
    if kept.why == "timeout" and kept.accepted and not evidence.stepped:
        waited_ms = kept.answered_ms - kept.at_ms
        # The deadline began when the request was read, before it was recorded.
        if waited_ms < evidence.plan.deadline_ms // 2:
            yield Broken("M8", f"approved for a time-out after {waited_ms} ms", kept.key)
    if not kept.auth_code.startswith("S"):
        yield Broken("M8", f"approved in its bank's name as {kept.auth_code!r}", kept.key)


def _allowances(evidence: Evidence) -> Iterator[Broken]:
    """M8: what a card, with all its tokens, was approved in its bank's name in a day."""
    plan = evidence.plan
    cards = {(slot.key, body.rrn): body.card for slot, body in evidence.bodies()}
    spent: dict[tuple[str, str], list[int]] = {}
    for kept in evidence.recorded.kept.values():
        if not kept.stood:
            continue
        advice = evidence.advice(kept)
        # Which card was behind a token then, its bank was told.
        named = advice.card if advice is not None and advice.requests else ""
        card = named or cards.get((kept.key, kept.rrn), "")
        if kept.amount > STAND_IN_AMOUNT_MAX or not plan.stand_in:
            yield Broken("M8", f"{kept.amount} approved in its bank's name", kept.key)
        for whose in (card, kept.issuer):
            spent.setdefault((whose, kept.business_date), []).append(kept.amount)
    for (whose, date), amounts in spent.items():
        bank = whose in evidence.banks
        most = plan.stand_in_bank_max if bank else plan.stand_in_sum_max
        if sum(amounts) > most or (not bank and len(amounts) > plan.stand_in):
            what = f"{len(amounts)} of {sum(amounts)} on {date}"
            yield Broken("M8", f"above the allowance of a {'bank' if bank else 'card'}: {what}")


def _business_date(at_ms: int) -> str:
    local = datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone(ZONE)
    later = local.hour >= CUTOVER_H
    return f"{local.date() + timedelta(days=later):%Y%m%d}"


def _answers(evidence: Evidence) -> Iterator[Broken]:
    """D1, D2, D6, L1: what an acquirer was told, how often, and where."""
    for odd in evidence.asked.odd:
        yield Broken("D6", f"an answer that nobody asked for: {odd}")
    for slot in evidence.asked.slots.values():
        approved = [body for body in slot.bodies.values() if body.approved]
        if len(approved) > 1:
            yield Broken("D2", "two bodies under one key were approved", slot.key)
        for body in slot.bodies.values():
            yield from _told(evidence, slot, body)
        for undoing in slot.undoings:
            # Without room it is refused for the moment, and repeated.
            moment = {"96"} if evidence.no_room else set()
            codes = {told.code for told in undoing.told} - moment
            if len(codes) > 1:
                yield Broken("D4", f"one reversal was answered {sorted(codes)}", slot.key)
            if any(told.stray for told in undoing.told):
                yield Broken("D6", "a reversal was answered on another connection", slot.key)
            yield from _counted(evidence, slot, "reversal", undoing.sent, undoing.told)
            if "00" in codes:
                record = evidence.recorded.reversals.get(
                    (slot.terminal, undoing.stan, undoing.time)
                )
                if record is None:
                    yield Broken("M5", "a reversal was acknowledged that no record has", slot.key)
                elif record.original and record.amount != undoing.amount:
                    yield Broken("D4", "a reversal of another amount had an effect", slot.key)
            yield from _after(slot, undoing.body, undoing)


def _after(slot: Slot, body: Body, undoing: Any) -> Iterator[Broken]:
    """D3: no approval behind the acknowledgement of its reversal, on one connection."""
    for told in undoing.told:
        if told.code != "00" or undoing.lie:
            continue
        for answer in body.told:
            if answer.link == told.link and answer.at_ns > told.at_ns and answer.code == "00":
                yield Broken("D3", "approved after its reversal was acknowledged", slot.key)


def _told(evidence: Evidence, slot: Slot, body: Body) -> Iterator[Broken]:
    if any(told.stray for told in body.told):
        yield Broken("D6", "answered on a connection that had not asked", slot.key)
    if any(told.rrn != body.rrn for told in body.told):
        yield Broken("D1", "answered with another reference", slot.key)
    yield from _counted(evidence, slot, "request", body.sent, body.told)
    yield from _turned_away(evidence, slot, body)
    kept = evidence.kept_of(slot, body)
    answers = {
        (told.code, told.auth_code)
        for told in body.told
        if told.code not in evidence.stateless or (kept is not None and kept.code == told.code)
    }
    if len(answers) > 1:
        yield Broken("D1", f"one request was answered {sorted(answers)}", slot.key)
    for code, _ in answers:
        if kept is None:
            others = evidence.recorded.keys.get(slot.key, ())
            equal = [one for one in others if one.amount == body.amount and one.code == code]
            if not equal:
                yield Broken("M5", f"told {code}, and no record has it", slot.key)
        elif kept.code != code:
            yield Broken("D1", f"told {code}, recorded {kept.code}", slot.key)
    stored = kept is not None and kept.code == "96"
    for told in body.told:
        if told.code == "96" and not stored and not _may_lack_room(evidence, body, told):
            yield Broken("L1", "told 96 without need", slot.key)
            return


def _may_lack_room(evidence: Evidence, body: Body, told: Told) -> bool:
    """Whether this answer may be for want of room: not long after there was room again."""
    if not evidence.no_room:
        return False
    again = evidence.room_ns and told.at_ns > evidence.room_ns
    return not again or told.at_ns - body.told[0].at_ns < FORGOTTEN_NS


def _turned_away(evidence: Evidence, slot: Slot, body: Body) -> Iterator[Broken]:
    """D1: whoever was told that there is no room is not approved by a repeat that was under way:
    he has heard a decline, and his bank would hold the money."""
    refused = next(iter(body.told), None)
    if refused is None or refused.code not in {"91", "96"} or evidence.stepped:
        return
    for told in body.told:
        soon = told.at_ns - refused.at_ns < TURNED_AWAY_NS
        restarted = any(body.sent[0][0] < at < told.at_ns for at in evidence.starts_ns)
        if told.code in {"00", "11"} and soon and not restarted:
            yield Broken("D1", f"told {refused.code}, then approved", slot.key)
            return


def _counted(
    evidence: Evidence, slot: Slot, what: str, sent: list[tuple[int, int]], told: list[Told]
) -> Iterator[Broken]:
    """L1: on a connection that stands, as many answers as questions."""
    for link in {number for _, number in sent} & evidence.standing:
        asked = sum(number == link for _, number in sent)
        answered = sum(one.link == link for one in told)
        if answered < asked and len(sent) <= 1 + WAITERS_MAX:
            yield Broken("L1", f"a {what} was sent {asked} times, answered {answered}", slot.key)
        elif answered > asked:
            yield Broken("D1", f"a {what} was sent {asked} times, answered {answered}", slot.key)


def _counters(evidence: Evidence) -> Iterator[Broken]:
    """E1, E2: transaction counters are accepted once, forged taps never."""
    seen: dict[tuple[str, int, int], Kept] = {}
    for kept in evidence.recorded.kept.values():
        if kept.counter is None:
            continue
        other = seen.setdefault(kept.counter, kept)
        if other is not kept:
            yield Broken("E1", "one transaction counter was accepted twice", kept.key)
    used: dict[tuple[str, int], str] = {}
    for slot, body in evidence.bodies():
        if not body.token or not body.approved:
            continue
        if body.forged:
            yield Broken("E2", "a forged tap was approved", slot.key)
        if used.setdefault((body.token, body.counter), body.rrn) != body.rrn:
            yield Broken("E1", "two taps with one counter were approved", slot.key)


def _taps(evidence: Evidence) -> Iterator[Broken]:
    """E3: a counter is used up by what took it and by nothing else."""
    taken: dict[tuple[str, int], list[str]] = {}
    seen: list[tuple[Slot, Body]] = []
    for slot, body in evidence.bodies():
        kept = evidence.kept_of(slot, body) if body.token else None
        if kept is None:
            continue
        if kept.counter is not None:
            taken.setdefault((body.token, body.counter), []).append(body.rrn)
        if kept.declined and kept.why == "atc_seen":
            seen.append((slot, body))
    for slot, body in seen:
        if not [rrn for rrn in taken.get((body.token, body.counter), ()) if rrn != body.rrn]:
            yield Broken("E3", f"counter {body.counter} was refused, and nothing took it", slot.key)


def _totals(evidence: Evidence) -> Iterator[Broken]:
    """M9: what each bank holds for each acquirer is what the journal says, in sum."""
    recorded: dict[tuple[str, str], int] = {}
    held: dict[tuple[str, str], int] = {}
    for kept in evidence.recorded.kept.values():
        taken = kept.taken
        if taken and not kept.undone and kept.message_kind in MOVES:
            place = kept.issuer, kept.key[0]
            recorded[place] = recorded.get(place, 0) + kept.amount
    for name, bank in evidence.banks.items():
        for one in bank.books.values():
            if one.held:
                place = name, one.acquirer.lstrip("0")
                held[place] = held.get(place, 0) + one.held
    for place in recorded.keys() | held.keys():
        if recorded.get(place, 0) != held.get(place, 0):
            yield Broken("M9", f"{place}: recorded {recorded.get(place)}, held {held.get(place)}")


RULES: Final[Sequence[Callable[[Evidence], Iterator[Broken]]]] = (
    _records,
    _money,
    _banks,
    _answers,
    _counters,
    _taps,
    token_rules,
    garble_rules,
    crowd_rules,
    _allowances,
    _totals,
)


def judge(evidence: Evidence) -> list[Broken]:
    """Everything that does not hold."""
    return [broken for rule in RULES for broken in rule(evidence)]


assert Kind.BALANCE not in MOVES
