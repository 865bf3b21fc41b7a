"""The life of one transaction, told from its records: both legs, stages, route, reversal, end.

Only what records say, or what follows from them by rule, is told; what they cannot say stands in
`Life.gaps`. Times are microseconds from the first byte of the request. What left is what a record
that is durable let go: the moment of the last hand-over to an acquirer's socket is not recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from switch.journal.query import begins, refused_tap, shown_id
from switch.model.kind import Kind
from switch.model.state import UNSETTLED, Cause, Duty, KeyState, ReversalEffect
from switch.observe.codes import title_of

__all__ = ["DIGITS_SHOWN", "Event", "Life", "Reversal", "tell"]

Record = Mapping[str, Any]

DIGITS_SHOWN: Final = 6
"""Of the prefix that chose the bank: with the last four of the masked number, more would uncover
the card."""


EFFECTS: Final = {
    ReversalEffect.TOMBSTONE: "its original was never seen, and is refused when it comes",
    ReversalEffect.CANCEL_UNSENT: "the request had not been sent, and never was",
    ReversalEffect.SUPPRESS: "the request is in flight: an approval goes nowhere",
    ReversalEffect.REVERSE: "the bank is owed a reversal",
    ReversalEffect.NOTHING: "nothing is held at the bank",
}
"""What an acquirer's reversal did."""


DUTIES: Final = {
    Duty.REVERSAL: "reversal",
    Duty.ADVICE: "advice",
    Duty.WITHDRAWAL: "reversal of the advice",
}
SAID: Final = {
    "parked": "parked without a final answer",
    "dead": "made a dead letter",
    "held": "held back",
    "released": "released",
    "retried": "taken up again",
    "written_off": "written off",
}
"""What a record says that is not the bank's final word."""
STANDS: Final = {
    "parked": "parked",
    "dead": "dead",
    "held": "held",
    "released": "owed",
    "retried": "owed",
    "written_off": "written off",
}
"""Where a delivery stands by it."""


class Event(msgspec.Struct, kw_only=True):
    """One line of the life."""

    at_us: int | None
    """From the first byte of the request; None when it is not recorded."""
    what: str
    """received, whole, verified, accepted, sent, replied, answered, told, declined, owed, taken
    back, settled, parked, dead, held, written off, started, configured, stopped."""
    member: str = ""
    incoming: bool | None = None
    """From the member to us, or the other way; None for what happened inside."""
    text: str = ""
    lsn: int = 0
    """The record that says so, 0 when it follows from another one."""
    at_ms: int = 0
    """Wall clock of that record, Unix milliseconds."""


class Reversal(msgspec.Struct, kw_only=True):
    """What a bank is or was owed."""

    cause: str
    stan: int
    time: str
    owed_lsn: int
    state: str
    """owed, parked, held, dead, written off, or acknowledged."""
    result: str = ""
    """The bank's final code."""
    attempts: int = 0
    end: str = ""
    settled_lsn: int = 0
    settled_ms: int = 0


class Life(msgspec.Struct, kw_only=True):
    """One transaction, told whole."""

    txn: int
    id: str
    kind: str = ""
    at_ms: int = 0
    """When its first record was written, Unix milliseconds."""
    acquirer: str = ""
    issuer: str = ""
    card: str = ""
    """Masked."""
    amount_minor: int = 0
    currency: str = ""
    terminal_id: str = ""
    merchant_id: str = ""
    mcc: str = ""
    entry_mode: str = ""
    stan: str = ""
    transmission_time: str = ""
    rrn: str = ""
    out_stan: int = 0
    """Under which the bank knows it, with `out_time`."""
    out_time: str = ""
    business_date: str = ""
    route: str = ""
    """The rule that chose the bank: ``6299xx (6 digits)`` shows at most `DIGITS_SHOWN`."""
    tap: bool = False
    atc: int = -1
    token_sequence: int = -1
    mapping_version: int = -1
    rule: str = ""
    """Rule of stand-in by which it was approved in its bank's name."""
    verdict: str = ""
    """What was proved of a tap, or why it was refused."""
    code: str = ""
    bank_code: str = ""
    auth_code: str = ""
    outcome: str = "in flight"
    end: str = ""
    end_title: str = ""
    ours_us: int | None = None
    """Up to the record of the outcome."""
    bank_us: int | None = None
    config: str = ""
    config_answered: str = ""
    """Only when another configuration was in force at the answer."""
    lsns: Sequence[int] = ()
    reversal: Reversal | None = None
    advice: Reversal | None = None
    """The same of the advice that its bank is or was owed."""
    events: list[Event] = []
    gaps: list[str] = []
    """What the records cannot say."""
    notes: list[str] = []


def tell(records: Iterable[Record], txn: int) -> Life:
    """From what `Reader.search` gives: records of this transaction are picked out of the others."""
    mine: list[Record] = []
    context: list[Record] = []
    for record in records:
        if txn in (record.get("txn"), record.get("original")):
            mine.append(record)
        elif record["kind"] in {"STARTED", "STOPPED", "RECONFIGURED"}:
            context.append(record)
    own = [record for record in mine if not record["carried"]] or mine
    life = Life(txn=txn, id=shown_id(txn), lsns=[record["lsn"] for record in own])
    first = next((r for r in own if begins(r) and r.get("txn") == txn), None)
    base = first or (own[0] if own else {})
    _facts(life, base)
    if first is None:
        life.gaps.append(
            "its first record is not in the journal any more: the segment was covered by a"
            " checkpoint and deleted"
        )
    else:
        _begin(life, first)
    for record in own:
        if record is not first:
            _go_on(life, record)
    _processes(life, own, context)
    _unsaid(life, own, context)
    life.end_title = title_of("end", life.end)
    return life


def _facts(life: Life, record: Record) -> None:
    life.kind = _word(Kind, record.get("message_kind", 0))
    life.at_ms = record.get("at_ms", 0)
    life.amount_minor = record.get("amount", 0)
    for name in (
        "acquirer", "issuer", "currency", "terminal_id", "merchant_id", "mcc", "entry_mode",
        "stan", "transmission_time", "rrn", "business_date",
    ):  # fmt: skip
        setattr(life, name, str(record.get(name, "")).rstrip())
    life.card = record.get("pan", "")
    life.config = record.get("config_hash", "")


def _begin(life: Life, record: Record) -> None:
    """What the first record tells: the acquirer's message, the proof, the route, the bank's leg."""
    say, mti = life.events.append, record.get("mti", "")
    at_us, lsn, at_ms = record.get("recorded_us"), record["lsn"], life.at_ms
    text = f"{mti} STAN {life.stan} at {life.transmission_time}"
    text += f"  RRN {life.rrn}" if life.rrn else ""
    text += f"  terminal {life.terminal_id}" if life.terminal_id else ""
    say(Event(at_us=0, what="received", member=life.acquirer, incoming=True, text=text))
    if (read_us := record.get("read_us")) is not None:
        say(Event(at_us=read_us, what="whole", text="its last byte: it came in pieces"))
    if "atc" in record:
        life.tap, life.verdict = True, "token and cryptogram proved"
        life.atc, life.token_sequence = record["atc"], record.get("token_sequence", -1)
        life.mapping_version = record.get("mapping_version", -1)
        proof = f"token and cryptogram proved: ATC {life.atc}, sequence {life.token_sequence}"
        proof += f", mapping {life.mapping_version}"
        say(Event(at_us=record.get("verified_us"), what="verified", text=proof))
    if record["kind"] == "ACCEPTED":
        life.route = _route(record)
        life.out_stan, life.out_time = record.get("out_stan", 0), record.get("out_time", "")
        text = f"accepted: record {lsn}; route {life.issuer}"
        text += f" by rule {life.route}" if life.route else ""
        say(Event(at_us=at_us, what="accepted", text=text, lsn=lsn, at_ms=at_ms))
        return
    if record["kind"] == "STOOD_IN":
        _stood_in(life, record, mti)
        return
    _outcome(life, record)
    if record["kind"] == "ADVISED":
        text = f"accepted as it stands, and owed to {life.issuer}: record {lsn}"
        say(Event(at_us=at_us, what="accepted", text=text, lsn=lsn, at_ms=at_ms))
        _owe_advice(life, record)
        _told(life, mti, lsn)
        return
    if record["kind"] == "DECLINED":
        reason = record.get("reason", "")
        if refused_tap(record):
            life.tap, life.verdict = True, f"refused: {reason}"
        text = f"declined by the switch: record {lsn}" + (f"; {reason}" if reason else "")
        say(Event(at_us=at_us, what="declined", text=text, lsn=lsn, at_ms=at_ms))
    else:
        effect = EFFECTS.get(record.get("effect", -1), "")
        say(
            Event(
                at_us=at_us,
                what="taken back",
                text=f"reversal recorded: record {lsn}; {effect}",
                lsn=lsn,
                at_ms=at_ms,
            )
        )
        life.outcome = "accepted"
    _told(life, mti, lsn)


def _go_on(life: Life, record: Record) -> None:
    match record["kind"]:
        case "ACCEPTED" if record.get("original_mti") is None and record["carried"]:
            _outcome(life, record)
        case "ANSWERED":
            _answered(life, record)
        case "STOOD_IN":
            _stood_in(life, record, _mti(life))
        case "REVERSAL" if record.get("original") == life.txn:
            _taken_back(life, record)
        case "SETTLED":
            _settled(life, record)


def _answered(life: Life, record: Record) -> None:
    """An outcome: the bank's, or ours in its place."""
    say, lsn, at_ms = life.events.append, record["lsn"], record.get("at_ms", 0)
    ours_us, bank_us = record.get("ours_us"), record.get("bank_us")
    recorded_us = record.get("recorded_us")
    leg = next((e for e in life.events if e.what == "accepted"), None)
    mti = record.get("original_mti") or _mti(life)
    if leg is not None and not any(e.what == "sent" for e in life.events) and ours_us:
        text = (
            f"{mti} STAN {life.out_stan:06d} at {life.out_time} once record {leg.lsn} was durable"
        )
        say(Event(at_us=ours_us, what="sent", member=life.issuer, incoming=False, text=text))
    if bank_us is not None and ours_us is not None:
        text = f"{_response(mti)} code {record.get('bank_code', '')}".rstrip()
        text += f"  authorisation {record['auth_code']}" if "auth_code" in record else ""
        text += f"  the bank took {_ms(bank_us)}"
        at_us = ours_us + bank_us
        say(Event(at_us=at_us, what="replied", member=life.issuer, incoming=True, text=text))
        life.bank_us = bank_us
    again = life.outcome not in {"in flight", ""}
    _outcome(life, record)
    if recorded_us is not None:
        life.ours_us = recorded_us - (bank_us or 0) if bank_us is not None else ours_us
    text = f"{'outcome changed' if again else 'answered'}: record {lsn}, {life.outcome}"
    if bank_us is None and not again:
        text = f"ended by the switch: record {lsn}, {life.end} {title_of('end', life.end)}"
        if code := record.get("bank_code"):
            text += f"; the bank had said {code}"
    say(Event(at_us=recorded_us, what="answered", text=text, lsn=lsn, at_ms=at_ms))
    _told(life, mti, lsn)
    if cause := record.get("cause", 0):
        _owe(life, record, _word(Cause, cause))
    changed = record.get("config_hash", "")
    if changed and changed != life.config:
        life.config_answered = changed


def _stood_in(life: Life, record: Record, mti: str) -> None:
    """Approved in its bank's name, with all that is owed for it in the same record."""
    lsn, at_ms = record["lsn"], record.get("at_ms", 0)
    _outcome(life, record)
    life.rule, life.issuer = record.get("rule", ""), life.issuer or record.get("issuer", "")
    text = f"approved in the name of {life.issuer} by rule {life.rule}"
    text += f" ({record.get('reason', '')}): record {lsn}; its card may have"
    text += f" {record.get('count_max', 0)} a day, {record.get('sum_max', 0)} minor units in all"
    at_us = record.get("recorded_us")
    life.events.append(Event(at_us=at_us, what="stood in", text=text, lsn=lsn, at_ms=at_ms))
    if cause := record.get("cause", 0):
        _owe(life, record, _word(Cause, cause))
    _owe_advice(life, record)
    _told(life, mti, lsn)


def _owe_advice(life: Life, record: Record) -> None:
    """Its bank is owed word of what was decided without it."""
    stan, time = record.get("advice_stan", 0), record.get("advice_time", "")
    lsn = record["lsn"]
    life.advice = Reversal(cause="advice", stan=stan, time=time, owed_lsn=lsn, state="owed")
    text = f"advice STAN {stan:06d} at {time}; repeated with the same numbers until acknowledged;"
    life.events.append(
        Event(
            at_us=None,
            what="owed",
            member=life.issuer,
            incoming=False,
            text=f"{text} owed by record {lsn}",
            lsn=lsn,
            at_ms=record.get("at_ms", 0),
        )
    )


def _taken_back(life: Life, record: Record) -> None:
    """An acquirer's reversal of it."""
    effect, lsn = record.get("effect", 0), record["lsn"]
    text = f"{record.get('mti', '')} STAN {record.get('stan', '')}: reversal"
    say = life.events.append
    at_ms = record.get("at_ms", 0)
    say(
        Event(
            at_us=None,
            what="taken back",
            member=record.get("acquirer", ""),
            incoming=True,
            text=f"{text} {shown_id(record['txn'])}, record {lsn}: "
            f"{EFFECTS.get(effect, effect)}; answered 00 once it was durable",
            lsn=lsn,
            at_ms=at_ms,
        )
    )
    if effect == ReversalEffect.REVERSE:
        life.outcome = _word(KeyState, KeyState.REVERSED)
        _owe(life, record, "acquirer")


def _owe(life: Life, record: Record, cause: str) -> None:
    stan, time = record.get("reversal_stan", 0), record.get("reversal_time", "")
    life.reversal = Reversal(
        cause=cause, stan=stan, time=time, owed_lsn=record["lsn"], state="owed"
    )
    text = f"0420 STAN {stan:06d} at {time}, cause {cause}; 0421 with the same numbers until"
    text += f" acknowledged; owed by record {record['lsn']}"
    life.events.append(
        Event(
            at_us=None,
            what="owed",
            member=life.issuer,
            incoming=False,
            text=text,
            lsn=record["lsn"],
            at_ms=record.get("at_ms", 0),
        )
    )


def _settled(life: Life, record: Record) -> None:
    """A final word, or a change of where it stands."""
    result, lsn = record.get("result", ""), record["lsn"]
    stays, what = result in UNSETTLED, DUTIES.get(record.get("duty", 0), "reversal")
    attempts, end = record.get("attempts", 0), record.get("end", "")
    owed = life.advice if what == "advice" else life.reversal
    if owed is not None:
        owed.state = STANDS.get(result, "acknowledged")
        owed.result = "" if stays or result == "written_off" else result
        owed.attempts, owed.end = attempts, end
        owed.settled_lsn, owed.settled_ms = lsn, record.get("at_ms", 0)
    times = f"{attempts} time{'s' if attempts != 1 else ''}"
    if result in SAID:
        text = f"{what} {SAID[result]} after it was sent {times}, record {lsn}"
        text += f": {end} {title_of('end', end)}" if result == "dead" else ""
        text += f" with {record['bank_code']}" if "bank_code" in record else ""
    else:
        mti = "its answer" if what == "advice" else "0430"
        text = f"{mti} code {result}: {what} acknowledged after it was sent {times}, record {lsn}"
        text += "; its answer to the request had come too late" if end == "TL" else ""
    if operator := record.get("operator", ""):
        text += f"; by {operator}: {record.get('remark', '')}"
    life.events.append(
        Event(
            at_us=None,
            what=STANDS.get(result, "settled"),
            member=life.issuer or record.get("issuer", ""),
            incoming=None if result in SAID else True,
            text=text,
            lsn=lsn,
            at_ms=record.get("at_ms", 0),
        )
    )


def _outcome(life: Life, record: Record) -> None:
    life.code = record.get("code", life.code)
    life.bank_code = record.get("bank_code", life.bank_code)
    life.auth_code = record.get("auth_code", life.auth_code)
    life.end = record.get("end", life.end)
    life.outcome = _word(KeyState, record.get("outcome", 0)) if "outcome" in record else "in flight"


def _told(life: Life, mti: str, lsn: int) -> None:
    text = f"{_response(mti)} code {life.code} once record {lsn} was durable"
    life.events.append(
        Event(at_us=None, what="told", member=life.acquirer, incoming=False, text=text)
    )


def _processes(life: Life, own: Sequence[Record], context: Sequence[Record]) -> None:
    """Starts, stops and reloads between its first and its last record, or its opening to now."""
    if not own:
        return
    first, last = own[0]["lsn"], own[-1]["lsn"]
    for record in context:
        if not first < record["lsn"] < last:
            continue
        what = {"STARTED": "started", "STOPPED": "stopped"}.get(record["kind"], "configured")
        text = {
            "started": f"the worker started again, configuration {record.get('config', '')[:16]}",
            "stopped": f"the worker stopped: {record.get('reason', '')}",
        }.get(what, f"configuration {record.get('config', '')[:16]} came into force")
        life.events.append(
            Event(at_us=None, what=what, text=text, lsn=record["lsn"], at_ms=record.get("at_ms", 0))
        )
    told = list(life.events)
    life.events = sorted(told, key=lambda event: _place(event, told))


def _place(event: Event, events: Sequence[Event]) -> tuple[int, int]:
    """In the order of records; what follows from a record stays beside it."""
    at = next(i for i, other in enumerate(events) if other is event)
    if event.lsn:
        return event.lsn, at
    # Before the record that tells of it, or right behind the one that let it go.
    if event.what == "told":
        return max((e.lsn for e in events[:at] if e.lsn), default=0), at
    return next((e.lsn for e in events[at:] if e.lsn), 0), at


def _unsaid(life: Life, own: Sequence[Record], context: Sequence[Record]) -> None:
    kinds = {record["kind"] for record in own}
    kinds |= {"ANSWERED"} if "STOOD_IN" in kinds else set()
    if "ACCEPTED" in kinds and "ANSWERED" not in kinds:
        last = own[-1]["lsn"]
        later = any(r["kind"] in {"STARTED", "STOPPED"} and r["lsn"] > last for r in context)
        life.gaps.append(
            "no outcome is recorded, although a process ended behind it"
            if later
            else "no outcome is recorded: it is in flight, or the worker died and its next start"
            " reverses it"
        )
    sent = any(event.what == "sent" for event in life.events)
    if "ACCEPTED" in kinds and "ANSWERED" in kinds and not sent:
        life.gaps.append(
            "whether and when the bank's leg left is not recorded: it was never handed to a socket,"
            " or the process ended before"
        )
    if own and not any("recorded_us" in record for record in own):
        life.gaps.append("its records have no stage times: they are older than those fields")
    if life.outcome != "in flight" and "ACCEPTED" in kinds:
        life.notes.append("repeats got, and get, the stored answer; they leave no record")


def _route(record: Record) -> str:
    """The rule as far as it may be shown; empty when it is not recorded."""
    digits = record.get("route_digits")
    if digits is None:
        return ""
    if not digits:
        return "default"
    shown = str(record.get("pan", ""))[: min(digits, DIGITS_SHOWN)]
    return f"{shown.ljust(digits, 'x')} ({digits} digits)"


def _mti(life: Life) -> str:
    received = next((e for e in life.events if e.what == "received"), None)
    return received.text[:4] if received else ""


def _response(mti: str) -> str:
    """``0210`` for ``0200`` and ``0201``."""
    return f"{mti[:2]}{chr(ord(mti[2]) + 1)}0" if len(mti) == 4 else mti


def _word(enum: Any, number: int) -> str:
    try:
        return str(enum(number).name).lower().replace("_", " ")
    except ValueError:
        return str(number)


def _ms(us: int) -> str:
    return f"{us / 1000:.3f} ms"
