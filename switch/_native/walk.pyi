"""The hot pair: duplicates table and gate ("durable before sent" in one place). See native/src/walk.

All but `Routes` and `Entry` belong to the thread that made them: the loop's.
"""

from collections.abc import Sequence
from typing import final

from switch._native.codec import Dialect, Framer, Message
from switch._native.journal import Journal, Keys
from switch._native.mac import Guard
from switch._native.meter import Meter
from switch._native.terminal import Terminals

__all__ = ["Duplicates", "Entry", "Gate", "Original", "Recovered", "Routes", "recover"]

@final
class Routes:
    """Longest BIN prefix to an issuer's index."""

    def __new__(cls, rules: list[tuple[str, int]]) -> Routes:
        """Prefixes of at most 12 digits; the empty one is a default route. Raises switch.errors.UsageError for
        anything else, and when one prefix leads to two issuers."""
    def find(self, message: Message) -> int:
        """Index of the rule's issuer, or -1 (no rule, no card number, or one of fewer than 12 digits). The message
        keeps how many digits decided, for its record."""
    def has(self, message: Message) -> bool:
        """True when a rule matches the card, that behind a token included. Leaves no mark on the message."""

@final
class Entry:
    """A view of one remembered request, as it was when asked for."""

    @property
    def txn(self) -> int: ...
    @property
    def state(self) -> int:
        """switch.model.state.KeyState."""
    @property
    def same_body(self) -> bool:
        """The asking message is of the same kind and has the same body."""
    @property
    def card_agrees(self) -> bool:
        """The asking message names the same card."""
    @property
    def kind(self) -> int:
        """switch.model.kind.Kind of the remembered request."""
    @property
    def amount_minor(self) -> int: ...
    @property
    def response_code(self) -> str:
        """As answered; '' while in flight."""
    @property
    def issuer(self) -> int:
        """-1 when it never went to a bank."""
    @property
    def business_date(self) -> str: ...

@final
class Duplicates:
    """Fixed-size table of request keys, oldest evicted one by one; native memory.

    About 230 bytes a slot, all allocated here. Entries in flight are passed over by eviction, so the caps on what is
    in flight must stay far below the capacity. A field 54 of more than 40 bytes is left out of a repeated answer.
    """

    def __new__(
        cls,
        keys: Keys,
        capacity: int,
        retention_s: int = 86400,
        counters: int = 0,
        stand_in_cards: int = 131072,
    ) -> Duplicates:
        """`capacity` 1..67108864. `retention_s`: see `keep`, for both. `counters` 0..268435456: tokens whose transaction counters have room from the start, 36
        bytes each (memory comes with use); more cost one pause each time the room doubles."""
    def register(self, terminals: Terminals) -> None:
        """Terminals that sign on: `recover` fills in their work keys, and checkpoints carry them."""
    def __len__(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def counters(self) -> int:
        """Tokens whose transaction counters are remembered; none is ever forgotten."""
    @property
    def counters_max(self) -> int:
        """How many have room without a pause."""
    def keep(self, retention_s: int, early_s: int) -> None:
        """From now on checkpoints carry what is younger than `retention_s`, and what was reversed whatever its age;
        what is evicted younger than `early_s` counts as early. Seconds, up to 4294967295. In memory nothing lapses."""
    def zone(self, offset_s: int) -> None:
        """Seconds that the business zone is east of UTC now: for local times that a dialect supplies."""
    def claim(self, message: Message, institution: int, txn: int, now_s: int) -> int:
        """0 (KeyState.NEW) and the key is now IN_FLIGHT under `txn`; else the KeyState of the key that stands
        there, +16 when kind or body differ. Key: institution, class (an advice of money is one of its own), dialect
        key fields, year inferred from `now_s` (Unix seconds). An advice meets the request under its numbers where that
        has the same body and is approved or in flight. The message keeps its place in the table: it is the one to give to the gate."""
    def look(self, message: Message, institution: int, now_s: int) -> Entry | None:
        """The entry under the message's own key."""
    def original(self, reversal: Message, institution: int, now_s: int) -> Entry | None:
        """The entry of the original that a reversal names (original data, terminal, merchant)."""
    def stand_in(self, issuer: int, currency: str, business_date: str) -> tuple[int, int]:
        """Approvals in a bank's name on a business date, over all its cards: count, and sum in minor units."""
    @property
    def stand_in_cards(self) -> int:
        """Totals of stand-in that are remembered: cards and banks of the two open days."""
    def evictions(self) -> dict[str, int]:
        """Since the start: ``all``; ``early`` (younger than `keep` says) and the age of the last such in
        ``early_age_s``; ``in_flight`` (must stay 0)."""

@final
class Original:
    """A request in the journal's named fields: what a reversal or an advice is built from. No SAD."""

    @property
    def txn(self) -> int:
        """Of the request, also when its acquirer's reversal is what owes."""
    @property
    def issuer(self) -> int: ...
    @property
    def acquirer(self) -> int: ...
    @property
    def out_stan(self) -> int: ...
    @property
    def out_time(self) -> str: ...
    @property
    def duty(self) -> int:
        """switch.model.state.Duty."""
    @property
    def stan(self) -> int:
        """Of what is owed, the same in every repeat; 0 while it is in doubt."""
    @property
    def time(self) -> str: ...
    @property
    def why(self) -> str:
        """Of a dead letter: the bank's code, or the end code; '' for any other."""
    @property
    def standing(self) -> str:
        """In what it rests (``parked``, ``dead``, ``held``), '' when it does not."""
    @property
    def owed_ms(self) -> int:
        """Wall clock of the record that owes it, Unix milliseconds; 0 while it is in doubt."""
    @property
    def cause(self) -> int:
        """switch.model.state.Cause."""
    @property
    def kind(self) -> int:
        """switch.model.kind.Kind of the request."""
    @property
    def attempts(self) -> int:
        """Legs built from it; at least 1 for what was owed before a restart."""
    @property
    def sent_ns(self) -> int:
        """Monotonic time at which the last leg was handed to a socket; 0 before."""
    @property
    def amount_minor(self) -> int: ...
    @property
    def business_date(self) -> str: ...
    def agrees(self, reply: Message) -> bool:
        """True when a bank's answer has the response MTI, STAN, transmission time and listed echoes of what is owed."""

@final
class Gate:
    """Append, encode and hold in one call; nothing held is released before its record is on disk.

    Every act is whole: when it raises (switch.errors.EncodeError, JournalError, UsageError) nothing was recorded and
    nothing is held. None raises because a peer has gone. Slots are opaque numbers that are never used again; where a
    slot says whom to answer, -1 is nobody. Times: `wall_ms` Unix milliseconds, `now_s` Unix seconds, `now_ns` monotonic.
    Codes are the engine's: what an acquirer's dialect says otherwise for the end code is sent and recorded instead.
    """

    def __new__(
        cls, journal: Journal, duplicates: Duplicates, meter: Meter | None, forwarder_code: str
    ) -> Gate:
        """`forwarder_code`: our field 33. Series that the meter does not have are not counted."""
    def configured(self, digest: str) -> None:
        """From now on every record of a decision carries this version of the configuration, 16 lower-case hex digits,
        as `config_hash`. Raises switch.errors.UsageError for anything else."""
    def remeter(self, meter: Meter) -> None:
        """Counts in `meter` from now on, which has succeeded the one before."""
    def institution(self, name: str, code: str) -> int:
        """Interns an institution id; the index used by all other calls. Same name, same index."""
    def speaks(self, institution: int, dialect: Dialect) -> None:
        """What an institution speaks: a request of its from before the start is answered in its codes."""
    def attach(self, institution: int, dialect: Dialect, guard: Guard | None = None) -> int:
        """A slot for one connection. With a guard, what goes out on it has message codes where the dialect has them."""
    def detach(self, slot: int) -> list[int]:
        """The connection has gone; what was held for it is dropped. Returns the transactions of bank legs that were
        never handed to a socket (call `retarget` first to save them), and those of approvals of which no byte left:
        they can be given to `undo` until the next `commit`."""
    def retarget(self, slot: int, other: int) -> int:
        """Moves held, unsent requests to another connection of the same institution; returns how many."""
    def cancel(self, slot: int, txn: int) -> bool:
        """True when the request's leg was still held and now never leaves; false when it has been handed to a socket
        (or was never held there)."""
    def undelivered(self) -> list[int]:
        """Transactions of approvals that were answered to a slot already gone, since the last call. `undo` takes them
        until the next `commit`."""
    def forward(
        self,
        request: Message,
        slot: int,
        txn: int,
        acquirer: int,
        issuer: int,
        out_stan: int,
        out_time: str,
        wall_ms: int,
        business_date: str,
    ) -> int:
        """ACCEPTED record, the bank's leg built and held. Returns the LSN; 0 when the slot is not open: nothing was
        done. Raises JournalError when the journal takes no new requests (no room, or too much pending)."""
    def answer(self, request: Message, reply: Message, slot: int, txn: int, wall_ms: int) -> int:
        """ANSWERED record from a bank's usable reply, answer settled in the duplicates table, the acquirer's
        leg built and held."""
    def conclude(
        self,
        request: Message,
        slot: int,
        txn: int,
        code: str,
        end: str,
        wall_ms: int,
        cause: int = 0,
        reversal_stan: int = 0,
        reversal_time: str = "",
        bank_code: str = "",
    ) -> Original | None:
        """ANSWERED record with a code of ours for a forwarded request. With a cause a reversal is owed in the same
        record; its source is returned."""
    def stand_in(
        self,
        request: Message,
        slot: int,
        txn: int,
        acquirer: int,
        issuer: int,
        rule: str,
        why: str,
        allowed: tuple[int, int, int],
        advice: tuple[int, str],
        wall_ms: int,
        business_date: str,
        cause: int = 0,
        reversal: tuple[int, str] | None = None,
    ) -> tuple[int, list[Original]]:
        """STOOD_IN record of an approval in the bank's name, when it fits into `allowed` (approvals and minor units of
        the card's day, minor units of the bank's day): switch.engine.ports.StandIn, and what the bank is owed in the
        order in which it goes: with a cause the reversal, then the advice. Anything but 0 has had no effect.
        `business_date`: of a request that was not accepted before."""
    def issuer_of(self, txn: int) -> int:
        """Issuer of a request that `undo` can take back, else -1."""
    def undo(
        self,
        txn: int,
        code: str,
        end: str,
        wall_ms: int,
        cause: int,
        reversal_stan: int,
        reversal_time: str,
    ) -> Original | None:
        """As `conclude` for a request without a live object: in doubt after `recover`, or an approval of this tick of
        which no byte left. None, and no record, when it is neither."""
    def decline(
        self,
        request: Message,
        slot: int,
        txn: int,
        acquirer: int,
        code: str,
        end: str,
        wall_ms: int,
        reason: str = "",
    ) -> int:
        """DECLINED record for a claimed request (or reversal) that is not forwarded; its answer held. `reason`
        (at most 32 characters) stands in the record only."""
    def refuse(self, request: Message, slot: int, code: str, end: str = "", now_s: int = 0) -> None:
        """An answer that touches no state and needs no record; goes out with the next release. `now_s`: for the times
        that the dialect supplies."""
    def shed(
        self,
        framers: Sequence[Framer],
        slots: Sequence[int],
        late_ns: int,
        before_ns: int,
        frames_max: int,
        code: str,
        end: str,
        now_s: int,
    ) -> tuple[list[tuple[int, int]], list[int]]:
        """Refuses, without a record, new requests that wait in the framers of several connections. Of each whose front
        came before `late_ns`: from the front on, up to one that came at `before_ns` or later, that is no new request,
        whose key is known, or that is not in order; `frames_max` in all.

        Returns (kind, number) of what was refused, and places in `framers` of those whose front is not to wait: no new
        request, or a late one that may not be refused."""
    def repeat(self, request: Message, slot: int, institution: int, now_s: int) -> bool:
        """The stored answer once more, held until the record it stands on is durable. False: nothing is stored."""
    def reversal(
        self,
        request: Message,
        slot: int,
        txn: int,
        acquirer: int,
        original: int,
        effect: int,
        wall_ms: int,
        now_s: int,
        reversal_stan: int = 0,
        reversal_time: str = "",
    ) -> Original | None:
        """REVERSAL record of an acquirer's claimed reversal (effect: switch.model.state.ReversalEffect), its 00 held.
        With effect REVERSE the key of `original` becomes REVERSED and the source of the bank's reversal is returned;
        TOMBSTONE marks the key that the message names."""
    def advise(
        self,
        request: Message,
        slot: int,
        txn: int,
        acquirer: int,
        issuer: int,
        stan: int,
        time: str,
        wall_ms: int,
        now_s: int,
        business_date: str,
    ) -> Original:
        """ADVISED record of an acquirer's claimed advice, its 00 held; the bank is owed the advice, under `stan` and
        `time`."""
    def deliver(self, original: Original, slot: int, repeat: bool) -> bool:
        """The bank's leg of what is owed (0420, 0120, 0220; repeats 0421, 0121, 0221) built and held until the record
        that owes it is durable. False when the slot is not open."""
    def settle(
        self,
        original: Original,
        result: str,
        wall_ms: int,
        end: str = "--",
        operator: str = "",
        remark: str = "",
        bank_code: str = "",
    ) -> int:
        """SETTLED record: it got a final code or was written off; with ``parked``, ``dead``, ``held``, ``released`` or
        ``retried`` it stays owed. `end`: how (switch.model.end). `operator` (at most 32 bytes) and `remark` (at most 200,
        no more than 8 digits in a row): who said the word, and why. `bank_code`: by which the bank refused an advice."""
    def mark(self, institution: int, stan: int, time: str, wall_ms: int) -> int:
        """STAN_MARK record for a message outside a transaction (network management)."""
    def network(self, slot: int, mti: str, values: dict[str, str], after: int) -> bool:
        """A network management message built natively and held until LSN `after` (0: at once). False when the slot is
        not open."""
    def network_answer(self, request: Message, slot: int, code: str, now_s: int = 0) -> bool: ...
    def standing(self, request: Message, slot: int) -> int:
        """switch.link.terminal.Standing of the terminal that a message is from."""
    def sign_on(self, request: Message, slot: int, variant: str, batch: str, wall_ms: int) -> bool:
        """New work keys for a terminal: WORK_KEYS, and the answer with field 62 held until that is durable. `variant` is
        field 60.3. False, and nothing done, for no such terminal or a variant without room for its keys."""
    def sign_off(self, request: Message, slot: int, wall_ms: int) -> bool:
        """The terminal has no work keys from now on: WORK_KEYS, and the answer held until that is durable."""
    def terminal_off(
        self, terminals: Terminals, acquirer: str, terminal_id: str, wall_ms: int
    ) -> bool:
        """By order: WORK_KEYS that says there are none. False when the terminal had none."""
    def commit(self) -> bool:
        """The end of a tick. True when what it appended is durable already (a small group on a quick disk is written
        by the caller): call `release` then. Else the journal's descriptor tells when."""
    def hand_over(self) -> bool:
        """As `commit`, in the midst of a tick: what was appended so far goes to the journal's writer, which works
        meanwhile. True when something that is held has become durable since `release` looked: call it then."""
    def release(self, now_ns: int) -> list[tuple[int, bytes]]:
        """What may go now: one joined write per slot. Sets `sent_ns`."""
    def owed_to(self, institution: int) -> int:
        """Reversals and advices without a final code that a bank is owed."""
    def oldest_owed_to(self, institution: int) -> str:
        """Transmission time (MMDDhhmmss, UTC) of the oldest of them, '' when there is none."""
    @property
    def held(self) -> int:
        """Frames held in all."""
    @property
    def recorded(self) -> int:
        """Frames that wait for a record of theirs to be durable."""
    def held_bytes(self, slot: int) -> int: ...
    def checkpoint_due(self) -> bool:
        """True when enough was written since the last checkpoint, or one is under way."""
    def checkpoint(self, wall_ms: int) -> bool:
        """One step of a checkpoint, of at most 256 entries; begins one when none is under way. True when this step has
        completed it. Undo what is in doubt first."""

@final
class Recovered:
    """What replaying a journal left open."""

    @property
    def in_doubt(self) -> list[Original]:
        """Accepted, never answered, oldest first: give each to `Gate.undo`."""
    @property
    def owed(self) -> list[Original]:
        """Reversals and advices not acknowledged yet, oldest transaction first, in the order in which they were owed
        within one; whether they were ever sent is not known."""
    @property
    def marks(self) -> dict[str, tuple[int, int]]:
        """Institution to its highest (Unix second of the transmission time, STAN)."""
    @property
    def last_txn(self) -> int: ...
    @property
    def records(self) -> int: ...

def recover(journal: Journal, keys: Keys, duplicates: Duplicates, gate: Gate) -> Recovered:
    """Folds the journal into the duplicates table and the list of open work. Before any traffic; idempotent.

    `journal` and `duplicates` must be those the gate was made with.
    """
