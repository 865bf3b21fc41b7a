"""Whatever happens in whatever order: at rest, an approval that an acquirer holds is one hold at
the bank, what an acquirer told the bank has heard, and nothing else is held.

Plays drawn at random, with a bank that keeps a ledger and loses messages in both directions, an
acquirer that repeats and takes back, lost links, stalls of the journal and restarts. Every step is
also held against the engine's table by the play itself.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.engine.effects import (
    AcceptAdvice,
    AcceptReversal,
    Answer,
    Conclude,
    Decline,
    Deliver,
    Forward,
    Refuse,
    Repeat,
)
from switch.model.state import Duty, ReversalEffect
from tests.support.playbook import DEADLINE_MS, PAUSES, Play

_NAMES = ("a", "b")
_CODES = ("00", "00", "51", "10", "X9")
"""What the bank answers; it holds money in all cases but 51."""
_ACTS = (
    *["request"] * 8,
    *["reply"] * 8,
    *["take back"] * 3,
    *["tell"] * 2,
    "pass a second",
    "pass the deadline",
    *["acknowledge"] * 3,
    "acquirer gone",
    "bank down",
    "bank up",
    "stall",
    "sync",
    "restart",
)


class World:
    """A play, the bank's ledger, and what the acquirer has been told."""

    def __init__(self, *, reverse_undelivered: bool) -> None:
        self.play = Play(reverse_undelivered=reverse_undelivered)
        self.slot = 1
        self.told: dict[str, str] = {}
        self.taken_back: set[str] = set()
        self.held: dict[str, bool] = {}
        self.undone: set[str] = set()
        """Reversals that reached the bank."""
        self.accepted: set[str] = set()
        """Advices that their acquirer was told are accepted."""
        self.heard: dict[str, int] = {}
        """Numbers under which an advice reached the bank; always the same."""
        self.codes: dict[str, str] = {}
        self.seen = 0
        self.reaches = True
        """Whether what leaves now reaches the bank."""

    def act(self, what: str, name: str, *, code: str, reaches: bool) -> None:
        play, self.reaches = self.play, reaches
        self.codes.setdefault(name, code)
        match what:
            case "request":
                play.request(name, slot=self.slot)
            case "take back":
                play.reversal(f"back {name}", of=name)
            case "tell":
                play.advice(f"{name} off line", slot=self.slot)
            case "reply" if name in self.held and play._txns[name] in play._objects:
                play.reply(name, self.codes[name])
            case "pass a second":
                play.passes(ms=1_000)
            case "pass the deadline":
                play.passes(ms=DEADLINE_MS)
            case "acknowledge" if name in self.undone and (play._txns[name], 0) in play.gate.owed:
                play.acknowledges(name, "00" if reaches else "96")
            case "acknowledge" if f"{name} off line" in self.heard:
                if (play._txns[f"{name} off line"], Duty.ADVICE) in play.gate.owed:
                    play.knows(f"{name} off line", "00" if reaches else "91")
            case "acquirer gone":
                play.acquirer_gone(self.slot)
                self.slot += 1
            case "bank down":
                play.bank_down()
            case "bank up":
                play.bank_up()
            case "stall":
                play.journal_stalls()
            case "sync":
                self.sync()
            case "restart":
                self.slot += 1
                play.restarts()
            case _:
                pass
        self.look()

    def sync(self) -> None:
        """Held legs leave, and reach the bank or not."""
        for txn in self.play.gate.unsent.values():
            self.bank_gets(self.play._label(txn.request))
        self.play.journal_syncs()

    def bank_gets(self, name: str) -> None:
        if self.reaches:
            assert name not in self.held, "a request was sent twice"
            self.held[name] = self.codes[name] != "51"

    def tell(self, name: str, code: str) -> None:
        """The acquirer gets an answer; never an approval of what it has taken back."""
        assert code != "00" or name not in self.taken_back
        self.told[name] = code

    def look(self) -> None:
        """What the new effects mean for bank and acquirer."""
        play = self.play
        new = play.gate.effects[self.seen :]
        self.seen = len(play.gate.effects)
        for effect in new:
            match effect:
                case Forward(txn) if txn.id not in play.gate.unsent:
                    if txn.id in play.gate.accepted:
                        self.bank_gets(play._label(txn.request))
                case Answer(txn, reply) if txn.slot == self.slot:
                    self.tell(play._label(txn.request), reply.get("response_code") or "")
                case Conclude(txn, code, _, _, _) if txn.slot == self.slot:
                    self.tell(play._label(txn.request), code)
                case Decline(message, _, _, _, code, _) | Refuse(message, _, code, _):
                    self.tell(play._label(message), code)
                case Repeat(message, slot, acquirer) if slot == self.slot:
                    entry = play.duplicates.look(message, acquirer, 0)
                    assert entry is not None
                    if message.mti[1] != "4":
                        self.tell(play._label(message), entry.response_code)
                case AcceptReversal(message, _, _, _, _, what):
                    assert what in ReversalEffect
                    self.taken_back.add(play._label(message).removeprefix("back "))
                case AcceptAdvice(message):
                    self.accepted.add(play._label(message))
                case Deliver(owed, _) if self.reaches and owed.duty == Duty.ADVICE:
                    numbers = self.heard.setdefault(play._names[owed.txn], owed.stan)
                    assert numbers == owed.stan, "a repeat under other numbers"
                case Deliver(owed, _) if self.reaches:
                    self.held[play._names[owed.txn]] = False
                    self.undone.add(play._names[owed.txn])
                case _:
                    pass

    def heal(self) -> None:
        """Faults end, the acquirer takes back what it got no answer to, reversals are drained."""
        self.reaches = True
        self.play.bank_up()
        self.sync()
        self.look()
        self.play.passes(ms=DEADLINE_MS)
        self.look()
        for name in _NAMES:
            if name in self.play._txns and name not in self.told:
                self.play.reversal(f"back {name}", of=name)
                self.look()
        for _ in range(6):
            self.play.passes(ms=PAUSES[-1])
            self.look()
            self.play.bank_up()
            self.look()
            for txn, duty in list(self.play.gate.owed):
                answer = self.play.knows if duty == Duty.ADVICE else self.play.acknowledges
                answer(self.play._names[txn])
            self.look()


@settings(max_examples=500)
@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from(_ACTS), st.sampled_from(_NAMES), st.sampled_from(_CODES), st.booleans()
        ),
        min_size=10,
        max_size=60,
    ),
)
def test_at_rest_every_approval_is_one_hold(
    reverse_undelivered: bool, acts: list[tuple[str, str, str, bool]]
) -> None:
    world = World(reverse_undelivered=reverse_undelivered)
    for what, name, code, reaches in acts:
        world.act(what, name, code=code, reaches=reaches)
    world.heal()
    play = world.play
    assert play.engine.in_flight == 0
    assert play.engine.owed_count == 0
    assert not play.gate.owed
    assert not play.gate.accepted
    assert set(world.heard) == world.accepted
    for name in _NAMES:
        approved = world.told.get(name) == "00" and name not in world.taken_back
        assert world.held.get(name, False) is approved, name
