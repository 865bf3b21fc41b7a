"""A rude acquirer: it repeats, overtakes, takes back, gives up, hangs up, lies and forges.

What it does with one transaction is drawn before it begins, from a stream of that transaction's
own. It keeps a ledger of all that it sent and was told, and owes what an honest institution owes:
a reversal, once begun, is repeated under the same numbers until it is answered or given up.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from switch.model.kind import Kind
from switch.model.time import transmission_time
from switch.simulation.garble import garbled
from switch.simulation.ledgers import Asked, Body, Garbled, Slot, Told, Undoing
from switch.simulation.network import Network
from switch.simulation.plan import Plan, Script, noise
from switch.simulation.script import AMOUNTS, KINDS, MOMENTS
from switch.simulation.wallet import EXPIRY, barred, card
from switch.wire import Dialect, Framer, Message

__all__ = ["Acquirer"]

MS: Final = 1e-3
ANSWERS: Final = {"0100": "0110", "0200": "0210", "0220": "0230"}
REPEATS: Final = {"0100": "0101", "0200": "0201", "0220": "0221", "0400": "0401", "0420": "0421"}
UNDONE: Final = {"0400": "0410", "0420": "0430"}
GARBLED_STAN: Final = 900_000
"""Numbers of requests that cannot be read are above it."""
RESOLVED_TRIES: Final = 40
"""Sends of a reversal in a world that has healed: it must be answered long before."""


class AcquirerLink(asyncio.Protocol):
    """One connection to the switch."""

    def __init__(self, acquirer: "Acquirer", number: int) -> None:
        self.acquirer = acquirer
        self.number = number
        self.transport: Any = None
        self.framer = Framer(acquirer.dialect)
        self.ready = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Signs on at once."""
        self.transport = transport
        self.acquirer.sign_on(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Connects anew after a while."""
        self.transport, self.ready = None, False
        self.acquirer.lost(self)

    def data_received(self, data: bytes) -> None:
        """Whole messages go to the acquirer."""
        for item in self.framer.feed(data, 1):
            assert isinstance(item, Message), "the switch sends nothing that is no message"
            self.acquirer.got(self, item)


class Acquirer:
    """One institution; all write into the ledger of the world."""

    def __init__(
        self,
        plan: Plan,
        index: int,
        code: str,
        network: Network,
        dialect: Dialect,
        at: tuple[str, int],
        wall_s: Callable[[], int],
        asked: Asked,
        wallet: Any = None,
    ) -> None:
        self.plan = plan
        self.index = index
        self.code = code
        self.network = network
        self.loop = network.loop
        self.dialect = dialect
        self.at = at
        self.wall_s = wall_s
        self.asked = asked
        self.wallet = wallet
        self.healed = False
        self.stopped = False
        self.links: list[AcquirerLink | None] = [None] * plan.links
        self.made = 0
        self.open: dict[int, tuple[Body, Slot, Script]] = {}
        """Transactions that are neither answered nor given up, by number."""
        self.owed: list[Undoing] = []
        self.counts: Counter[str] = Counter()
        self.rng = noise(plan, f"acquirer/{index}")
        self._stan = 0
        self._own_stan = 500_000
        self._garbled = 0
        self._garbles: dict[str, Garbled] = {}
        self._undoings: dict[tuple[str, str, str], Undoing] = {}
        self._bodies: dict[tuple[str, str, str, str, str], tuple[Body, Slot]] = {}
        self._running: dict[int, Script] = {}

    # -- connections ------------------------------------------------------------------------------

    def start(self) -> None:
        """Connects."""
        for number in range(len(self.links)):
            self.loop.call_later(0.001 * number, self._dial, number)

    def _dial(self, number: int) -> None:
        if not self.stopped and self.links[number] is None:
            self.loop.create_task(self._connect(number)).add_done_callback(_swallow)

    async def _connect(self, number: int) -> None:
        self.made += 1
        link = AcquirerLink(self, (self.index + 1) * 1_000_000 + self.made)
        self.links[number] = link
        try:
            async with asyncio.timeout(3):
                await self.loop.create_connection(lambda: link, *self.at)
        except (OSError, TimeoutError):
            self.links[number] = None
            self.loop.call_later(0.02 + 0.1 * self.rng.random(), self._dial, number)

    def lost(self, link: AcquirerLink) -> None:
        """A connection has gone."""
        if link in self.links:
            number = self.links.index(link)
            self.links[number] = None
            self.loop.call_later(0.005 + 0.1 * self.rng.random(), self._dial, number)

    def sign_on(self, link: AcquirerLink) -> None:
        """0800 001."""
        self._own_stan += 1
        values = {
            "transmission_time": transmission_time(self.wall_s()),
            "stan": f"{self._own_stan:06d}",
            "network_code": "001",
        }
        link.transport.write(self.dialect.encode("0800", values))
        self.loop.call_later(1.0, self._must_be_on, link)

    def _must_be_on(self, link: AcquirerLink) -> None:
        """One that gets no answer to its sign-on hangs up."""
        if not link.ready and link.transport is not None:
            link.transport.abort()

    def pick(self, wanted: int) -> AcquirerLink | None:
        """A connection that is signed on, the wanted one if it is."""
        count = len(self.links)
        for step in range(count):
            link = self.links[(wanted + step) % count]
            if link is not None and link.ready:
                return link
        return None

    # -- one transaction --------------------------------------------------------------------------

    def begin(self, script: Script) -> None:
        """Begins a transaction."""
        self._running[script.number] = script
        self._send_first(script, 0)

    def _send_first(self, script: Script, tries: int) -> None:
        if self.healed and tries:
            # It never began, and need not any more.
            self._running.pop(script.number, None)
            return
        if self.pick(script.link) is None:
            self.loop.call_later(0.02, self._send_first, script, tries + 1)
            return
        body, slot = self._body(script)
        self.open[script.number] = (body, slot, script)
        faults, at = script.faults, script.at
        deadline = self.plan.deadline_ms * MS
        if "reverse_first" in faults and body.kind not in {"balance", "advice"}:
            self.counts["reverse_first"] += 1
            self._undo(body, slot, script)
            self.loop.call_later(at[0] * at[0] * 0.02, self._send, body, slot, script.link, False)
        else:
            self._send(body, slot, script.link, False)
        later = self.loop.call_later
        self._maybe(
            script, "repeat", at[1] ** 3 * deadline, self._send, body, slot, script.link, True
        )
        self._maybe(
            script,
            "repeat_moved",
            at[2] ** 3 * deadline,
            self._send,
            body,
            slot,
            script.link + 1,
            True,
        )
        self._maybe(script, "other_body", at[3] ** 2 * deadline, self._other_body, script, slot)
        self._maybe(script, "overtake", at[4] ** 4 * deadline, self._undo, body, slot, script)
        self._maybe(script, "lie", at[5] * deadline, self._lie, body, slot, script)
        self._maybe(script, "garble", at[3] * deadline, self._garble, body, slot, script)
        self._maybe(script, "disconnect", at[6] ** 2 * deadline, self._disconnect, script)
        later(self.plan.timeout_ms * MS, self._timed_out, body, slot, script)

    def _maybe(self, script: Script, name: str, after: float, call: Any, *args: Any) -> None:
        if name in script.faults:
            self.counts[name] += 1
            self.loop.call_later(after, call, *args)

    def _body(self, script: Script) -> tuple[Body, Slot]:
        """The request of a script under the key that is next, or under one that was used."""
        if "collide" not in script.faults or not self._stan:
            self._stan = self._stan % self.plan.stans + 1
        else:
            self.counts["collide"] += 1
        now_s = self.wall_s()
        time = transmission_time(now_s - now_s % self.plan.grain_s)
        # Completions have terminals of their own: their bodies are those of purchases.
        letter = {"completion": "C", "advice": "A"}.get(script.kind, "T")
        terminal = f"{letter}{self.index}{script.number % self.plan.terminals:06d}"
        key = (self.code, terminal, f"{self._stan:06d}", time, KINDS[script.kind].mti[1])
        slot = self.asked.slots.get(key)
        if slot is None:
            slot = self.asked.slots[key] = Slot(*key)
        return self._into(slot, script, script.amount), slot

    def _into(self, slot: Slot, script: Script, amount: int) -> Body:
        """The body of a slot that is the script's; the same one when there is an equal."""
        name, kind = script.kind, KINDS[script.kind]
        mti, processing = kind.mti, kind.processing_code
        pan = card(script.bank, script.card)
        tapped = None
        if script.tap and self.wallet is not None and name in {"purchase", "authorisation"}:
            tapped = self.wallet.tap(script, amount, self.wall_s(), self.plan)
            self.counts["forge"] += tapped.forged
            why = barred(tapped, amount)
            if why:
                self.counts[f"token: {why}"] += 1
            self.counts["replay_counter"] += "replay_counter" in script.faults
            pan = tapped.token
        place = (amount if name != "balance" else 0, pan, processing + mti)
        if tapped is None and place in slot.bodies:
            return slot.bodies[place]
        values: dict[str, Any] = {
            "pan": pan,
            "processing_code": processing,
            "amount": f"{amount:012d}",
            "transmission_time": slot.time,
            "stan": slot.stan,
            "local_time": slot.time[4:],
            "local_date": slot.time[:4],
            "mcc": "5411",
            "entry_mode": "071",
            "condition_code": kind.condition_code,
            "acquirer_code": self.code,
            "rrn": f"{self.index}{script.number:06d}{amount % 100_000:05d}",
            "terminal_id": slot.terminal,
            "merchant_id": "MERCHANT0000001",
            "currency": "156",
        }
        if name == "balance":
            del values["amount"]
        if self.plan.stand_in:
            # Without it nothing is approved in a bank's name.
            values["expiry"] = EXPIRY
        if tapped is not None:
            values |= {
                "expiry": tapped.expiry,
                "card_sequence": f"{tapped.sequence:03d}",
                "icc": tapped.field,
                "entry_mode": tapped.entry_mode,
                "mcc": tapped.mcc,
            }
            place = (*place[:2], place[2] + tapped.field.hex())
        body = Body(
            mti, name, 0 if name == "balance" else amount, pan, values,
            self.dialect.encode(mti, values), str(values["rrn"]),
        )  # fmt: skip
        if tapped is not None:
            body.token, body.counter, body.forged = tapped.token, tapped.counter, tapped.forged
            body.barred = barred(tapped, amount)
        slot.bodies[place] = body
        self._bodies[ANSWERS[mti], slot.terminal, slot.stan, slot.time, body.rrn] = body, slot
        return body

    def _send(self, body: Body, slot: Slot, wanted: int, again: bool) -> None:
        link = self.pick(wanted)
        if link is None:
            return
        frame = body.frame
        if again and len(body.sent) % 2:
            frame = self.dialect.encode(REPEATS[body.mti], body.values)
        body.sent.append((self.loop.now_ns, link.number))
        link.transport.write(frame)

    def send(self, body: Body, slot: Slot, wanted: int) -> None:
        """The same request once more."""
        self._send(body, slot, wanted, True)

    def replay(self, number: int, bank: int, of_bank: int) -> None:
        """A tap whose counter the device has used before, as a transaction of its own."""
        faults, draws = ("replay_counter",), (0.5,) * MOMENTS
        amount = AMOUNTS[0]
        self.begin(Script(number, 0, 0, "purchase", bank, of_bank, amount, 0, True, faults, draws))

    def _other_body(self, script: Script, slot: Slot) -> None:
        """The same key with another amount: must be refused, whichever comes second."""
        body = self._into(slot, script, script.amount + 1)
        self._send(body, slot, script.link + int(script.at[7] * 2), False)

    def _garble(self, body: Body, slot: Slot, script: Script) -> None:
        """A request of its own numbers that cannot be read."""
        link = self.pick(script.link + 1)
        if link is None or self.healed:
            return
        self._garbled += 1
        stan = f"{GARBLED_STAN + self._garbled:06d}"
        values = {**body.values, "stan": stan, "rrn": f"9{self.index}{self._garbled:010d}"}
        kind, frame = garbled(self.dialect, body.mti, values, script.at[9])
        one = Garbled(self.code, stan, str(values["rrn"]), kind, link.number)
        self.asked.garbled.append(one)
        self._garbles[stan] = one
        self.counts[f"garbled: {kind}"] += 1
        link.transport.write(frame)

    def _disconnect(self, script: Script) -> None:
        link = self.links[script.link % len(self.links)]
        if link is not None and link.transport is not None and not self.healed:
            self.network.struck("disconnect")
            if script.at[8] < 0.5:
                link.transport.reset()
            else:
                link.transport.close()

    def _timed_out(self, body: Body, slot: Slot, script: Script) -> None:
        """No answer in time: it is repeated, taken back, or given up."""
        if body.told or script.number not in self.open:
            self.open.pop(script.number, None)
            return
        if "give_up" in script.faults and not self.healed:
            self.counts["give_up"] += 1
            self.open.pop(script.number, None)
            return
        if not body.sent:
            self.open.pop(script.number, None)
            return
        if script.at[9] < 0.3:
            self._send(body, slot, script.link + 1, True)
        if body.kind in {"balance", "advice"}:
            # An advice is repeated until it is answered, and a balance moves nothing.
            if body.kind == "advice" and len(body.sent) < RESOLVED_TRIES:
                self._send(body, slot, script.link, True)
                self.loop.call_later(self.plan.timeout_ms * MS, self._timed_out, body, slot, script)
            else:
                self.open.pop(script.number, None)
            return
        self.open.pop(script.number, None)
        self._undo(body, slot, script)

    # -- taking back ------------------------------------------------------------------------------

    def _lie(self, body: Body, slot: Slot, script: Script) -> None:
        """A reversal that names another amount: it must change nothing."""
        if body.kind != "balance":
            self._undo(body, slot, script, lie=True)

    def _undo(self, body: Body, slot: Slot, script: Script, *, lie: bool = False) -> None:
        if body.kind in {"balance", "advice"}:
            return
        begun = any(one.body is body and not one.lie for one in slot.undoings) and not lie
        if begun and "cancel_twice" not in script.faults:
            return
        self._own_stan += 1
        mti = "0420" if script.at[10] < 0.7 else "0400"
        time = transmission_time(self.wall_s())
        kept = (
            "pan", "processing_code", "local_time", "local_date", "condition_code",
            "acquirer_code", "rrn", "terminal_id", "merchant_id", "currency",
        )  # fmt: skip
        amount = body.amount + (7 if lie else 0)
        values: dict[str, Any] = {name: body.values[name] for name in kept}
        values |= {
            "amount": f"{amount:012d}",
            "transmission_time": time,
            "stan": f"{self._own_stan:06d}",
            "original_data.mti": body.mti,
            "original_data.stan": slot.stan,
            "original_data.transmission_time": slot.time,
            "original_data.acquirer_code": self.code.rjust(11, "0"),
            "original_data.forwarder_code": "0" * 11,
        }
        undoing = Undoing(str(values["stan"]), time, amount, body.card, body, values, mti, lie)
        slot.undoings.append(undoing)
        self._undoings[slot.terminal, undoing.stan, time] = undoing
        self.owed.append(undoing)
        self._send_undoing(undoing, slot, script)

    def _send_undoing(self, undoing: Undoing, slot: Slot, script: Script) -> None:
        if undoing.told or undoing.over:
            self._finish(undoing)
            return
        tries = len(undoing.sent)
        gives_up = "give_up_reversal" in script.faults and tries >= 1 + int(script.at[11] * 2)
        if (gives_up and not self.healed) or tries >= RESOLVED_TRIES:
            self.counts["give_up_reversal"] += 1
            self._finish(undoing)
            return
        link = self.pick(script.link + tries)
        if link is not None:
            mti = REPEATS[undoing.mti] if undoing.sent else undoing.mti
            undoing.sent.append((self.loop.now_ns, link.number))
            link.transport.write(self.dialect.encode(mti, undoing.values))
        wait = self.plan.timeout_ms * MS * (0.3 if self.healed else 0.7)
        self.loop.call_later(wait, self._send_undoing, undoing, slot, script)

    def _finish(self, undoing: Undoing) -> None:
        undoing.over = True
        if undoing in self.owed:
            self.owed.remove(undoing)

    # -- answers ----------------------------------------------------------------------------------

    def got(self, link: AcquirerLink, message: Message) -> None:
        """An answer, or network management."""
        kind = message.kind
        if kind == Kind.NETWORK_REPLY:
            link.ready = message.get("response_code") == "00"
            return
        if kind == Kind.NETWORK:
            self._answer_network(link, message)
            return
        terminal = message.get("terminal_id") or ""
        stan, time = message.get("stan") or "", message.get("transmission_time") or ""
        told = Told(
            self.loop.now_ns,
            link.number,
            message.mti,
            message.get("response_code") or "",
            message.get("auth_code") or "",
            message.get("rrn") or "",
            message.reveal("icc") or "",
            stray=False,
        )
        if stan in self._garbles:
            self._garbles[stan].told.append(told.code)
            return
        if kind == Kind.REVERSAL_REPLY:
            undoing = self._undoings.get((terminal, stan, time))
            if undoing is None:
                self.asked.odd.append(f"{self.code}: {told.mti} {terminal} {stan} {time}")
                return
            told.stray = all(number != link.number for _, number in undoing.sent)
            undoing.told.append(told)
            if undoing.sent:
                self._finish(undoing)
            return
        found = self._bodies.get((told.mti, terminal, stan, time, told.rrn))
        if found is not None:
            body = found[0]
            same = max(message.amount_minor, 0) == body.amount
            found = found if same and message.reveal("pan") == body.card else None
        if found is None:
            self.asked.odd.append(f"{self.code}: {told.mti} {terminal} {stan} {time} {told.rrn}")
            return
        self._answered(link, *found, told)

    def _answered(self, link: AcquirerLink, body: Body, slot: Slot, told: Told) -> None:
        told.stray = all(number != link.number for _, number in body.sent)
        body.told.append(told)
        for number, (open_body, _, script) in list(self.open.items()):
            if open_body is not body:
                continue
            del self.open[number]
            again = self.plan.deadline_ms * MS * script.at[7]
            if "repeat_answered" in script.faults:
                self.counts["repeat_answered"] += 1
                self.loop.call_later(again, self._send, body, slot, script.link + 1, True)
            if told.code in {"00", "11"} and "cancel" in script.faults:
                self.counts["cancel"] += 1
                self.loop.call_later(again * script.at[8], self._undo, body, slot, script)
                if "cancel_twice" in script.faults:
                    self.counts["cancel_twice"] += 1
                    self.loop.call_later(again, self._undo, body, slot, script)

    def _answer_network(self, link: AcquirerLink, message: Message) -> None:
        names = ("transmission_time", "stan", "forwarder_code", "network_code")
        values = {name: message.reveal(name) for name in names}
        kept = {name: value for name, value in values.items() if value is not None}
        if link.transport is not None:
            link.transport.write(self.dialect.encode("0810", {**kept, "response_code": "00"}))

    # -- the end ----------------------------------------------------------------------------------

    def heal(self) -> None:
        """From now on nothing is given up."""
        self.healed = True

    @property
    def at_rest(self) -> bool:
        """Nothing is open and nothing owed."""
        return not self.open and not self.owed


def _swallow(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()
