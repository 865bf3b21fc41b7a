"""End codes: in two letters, how a request, a frame or a reversal ended. A bounded set, fit for a
metric's label.

The first letter says who ended it: ``-`` nobody, A acquirer (for a frame: the peer), I issuer, S
the switch's own rules, K keys and proofs, T timer, R resource, D duplicate, J journal, O operator.
The second says in which phase: F framing, P parse, V validate, C counter or cryptogram, N token, R
routing, Q queue, W waiting for the bank, B on the way back, L late, S store and forward. A code
never changes its meaning; what it means for the money and who acts stands in `switch/codes.toml`,
for `tapswitch explain` and the reference.

**Source:** design/experience.md 1.1; two letters for who and when follow HAProxy's termination
state.
"""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "ACQUIRER_CAP",
    "ACQUIRER_GONE",
    "ALL",
    "ANSWERED",
    "BANK_DOWN",
    "CAP",
    "CIRCUIT",
    "COUNTER",
    "CUT_SHORT",
    "EXPIRED",
    "FIELD_RULE",
    "HORIZON",
    "INDEX",
    "JOURNAL",
    "KEY_TAKEN",
    "LATE",
    "LINK_LOST",
    "NOT_SIGNED_ON",
    "NO_BUDGET",
    "NO_ROUTE",
    "PARKED",
    "PROOF",
    "RATE",
    "REFUSED",
    "REPEAT",
    "RESTART",
    "RETIRED",
    "SHED",
    "STOOD_IN",
    "TIMEOUT",
    "TOKEN",
    "UNDECODABLE",
    "UNFIT",
    "UNREAD",
    "UNUSABLE",
    "WAITERS",
    "WRITTEN_OFF",
]

ANSWERED: Final = "--"
"""The bank's answer went to the acquirer; a reversal was acknowledged."""

CUT_SHORT: Final = "AF"
"""The peer closed, or took too long, in the middle of a frame."""
UNDECODABLE: Final = "SP"
"""A frame that could not be decoded, or a stream without readable frames."""
NOT_SIGNED_ON: Final = "AV"
"""A request on a link that is not signed on; refused without a record."""
SHED: Final = "RF"
"""More came than the switch can serve, and it had waited too long for its turn; refused by its
header, without a record."""
ACQUIRER_CAP: Final = "AW"
"""It had waited too long because its acquirer has as much in flight as it may; as before."""
RATE: Final = "AQ"
"""Its acquirer sends more than was agreed; as before."""
FIELD_RULE: Final = "SV"
"""Refused by the rules of the message itself."""
UNFIT: Final = "IV"
"""The bank's dialect has no way to say what the request carries; nothing was sent."""
PROOF: Final = "KC"
"""Cryptogram or message authentication code is wrong, or the message contradicts what they
protect."""
COUNTER: Final = "DC"
"""The transaction counter of the device was used before, or is too old to tell."""
TOKEN: Final = "SN"
"""The token's state, expiry or domain forbids it."""
INDEX: Final = "RN"
"""The token index has no answer: ours."""

REPEAT: Final = "DV"
"""A repeat was given the stored answer."""
KEY_TAKEN: Final = "DR"
"""The key belongs to another request, or was used up by a reversal: refused."""
WAITERS: Final = "RQ"
"""One repeat more than may wait for the same answer; dropped, since its acquirer repeats again."""

NO_ROUTE: Final = "SR"
BANK_DOWN: Final = "IR"
"""No signed-on connection of the bank when it was to be forwarded, or the connection went before
it took the request; nothing was sent."""
CIRCUIT: Final = "IQ"
"""The bank's circuit is open: it fails too often, so that it is not asked; nothing was sent."""
CAP: Final = "RW"
"""The bank's in-flight cap."""
JOURNAL: Final = "JV"
"""The journal did not take it."""
EXPIRED: Final = "TQ"
"""Its deadline had passed before it was handed to a bank; nothing was sent."""
NO_BUDGET: Final = "TR"
"""What was left of its time is less than its bank takes at present; nothing was sent."""

STOOD_IN: Final = "SW"
"""The bank did not answer, and we approved in its name by a rule; it is owed an advice."""
TIMEOUT: Final = "TW"
"""The bank did not answer in time; reversed."""
LINK_LOST: Final = "IW"
"""The bank's link went while we waited; reversed, since the request may have arrived."""
RESTART: Final = "JW"
"""The process ended while we waited; the next start found it in doubt and reversed it."""
UNUSABLE: Final = "IB"
"""The bank's answer cannot be passed on; reversed."""
ACQUIRER_GONE: Final = "AB"
"""The acquirer took it back or could not be answered; reversed where the bank may hold it."""

LATE: Final = "TL"
"""A bank's answer after the deadline, or one that nobody waits for; it changes nothing."""
PARKED: Final = "RL"
"""What a bank is owed was sent as often as it may: still owed, sent again when the bank returns."""
HORIZON: Final = "TS"
"""What a bank is owed is older than the retry horizon: a dead letter, still owed."""
REFUSED: Final = "IS"
"""The bank declines what an advice tells it: a dead letter, still owed."""
UNREAD: Final = "SS"
"""A fault of ours keeps us from reading what a bank answers to what it is owed: a dead letter,
still owed."""
WRITTEN_OFF: Final = "OS"
"""An operator ended what a bank is owed."""

ALL: Final = (
    ANSWERED,
    CUT_SHORT,
    UNDECODABLE,
    NOT_SIGNED_ON,
    SHED,
    ACQUIRER_CAP,
    RATE,
    FIELD_RULE,
    UNFIT,
    PROOF,
    COUNTER,
    TOKEN,
    INDEX,
    REPEAT,
    KEY_TAKEN,
    WAITERS,
    NO_ROUTE,
    BANK_DOWN,
    CIRCUIT,
    CAP,
    JOURNAL,
    EXPIRED,
    NO_BUDGET,
    STOOD_IN,
    TIMEOUT,
    LINK_LOST,
    RESTART,
    UNUSABLE,
    ACQUIRER_GONE,
    LATE,
    PARKED,
    HORIZON,
    REFUSED,
    UNREAD,
    WRITTEN_OFF,
)
"""In the order of a request's way."""

RETIRED: Final[Mapping[str, str]] = {"ST": TOKEN, "SC": PROOF, "SI": INDEX}
"""Codes that older journals hold, and what they are called now. SC stood for counters too."""
