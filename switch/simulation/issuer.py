"""A rude bank: it keeps honest books and answers as badly as its world allows.

Its books are right: a request is decided once, a reversal undoes once, and one that comes before
its original (on another connection) makes the original void. What is rude is what it says: late,
twice, never, wrongly, on another connection, or not at all any more.
"""

import asyncio
from collections import Counter
from random import Random
from typing import Any, Final

from switch.model.kind import Kind
from switch.simulation.chance import Choices, picked, rounded
from switch.simulation.garble import garbled
from switch.simulation.ledgers import Held, Seen
from switch.simulation.network import Network
from switch.simulation.plan import Plan, noise, stream
from switch.wire import Dialect, Framer, Message

__all__ = ["Bank"]

MS: Final = 1e-3
ANSWERS: Final = {
    "0100": "0110", "0101": "0110", "0200": "0210", "0201": "0210", "0220": "0230", "0221": "0230",
    "0120": "0130", "0121": "0130",
}  # fmt: skip
UNDO: Final = frozenset({"0400", "0401", "0420", "0421"})
ADVICES: Final = frozenset({"0220", "0221", "0120", "0121"})
ECHOES: Final = (
    "pan", "processing_code", "amount", "transmission_time", "stan", "acquirer_code",
    "forwarder_code", "rrn", "terminal_id", "merchant_id", "currency",
)  # fmt: skip
DECLINES: Final = ("05", "51", "14", "96")
REFUSALS: Final = ("96", "91", "ZZ")
STEADY: Final = (300.0, 0.5, 0.5)
"""Of an answer with which nothing is wrong, in a world that was made plain."""
NETWORK_ECHOES: Final = ("transmission_time", "stan", "forwarder_code", "network_code")
MOVES: Final = frozenset(
    {
        Kind.AUTHORISATION,
        Kind.PURCHASE,
        Kind.PREAUTHORISATION,
        Kind.PREAUTHORISATION_CANCEL,
        Kind.COMPLETION,
        Kind.COMPLETION_ADVICE,
        Kind.COMPLETION_VOID,
        Kind.PURCHASE_ADVICE,
        Kind.AUTHORISATION_ADVICE,
    }
)


class BankLink(asyncio.Protocol):
    """One connection of the switch."""

    def __init__(self, bank: "Bank") -> None:
        self.bank = bank
        self.framer = Framer(bank.dialect)
        self.transport: Any = None
        self.number = 0
        self.signed_on = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Taken note of."""
        self.transport = transport
        self.bank.links.append(self)
        self.bank.made += 1
        self.number = self.bank.made

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self.transport = None
        if self in self.bank.links:
            self.bank.links.remove(self)
        self.bank.lost(self)

    def data_received(self, data: bytes) -> None:
        """Whole messages go to the bank."""
        for item in self.framer.feed(data, 1):
            assert isinstance(item, Message), "the switch sends nothing that is no message"
            self.bank.got(self, item)

    def send(self, frame: bytes) -> None:
        """Dropped when the connection has gone."""
        if self.transport is not None:
            self.transport.write(frame)


class Bank:
    """One bank; `books` by (STAN, transmission time) is its ledger."""

    def __init__(
        self,
        plan: Plan,
        name: str,
        network: Network,
        dialect: Dialect,
        at: tuple[str, int],
        choices: Choices,
    ) -> None:
        self.plan = plan
        self.choices = choices
        self.name = name
        self.network = network
        self.loop = network.loop
        self.dialect = dialect
        self.at = at
        self.rng = noise(plan, f"bank/{name}")
        self.faults = plan.faults
        self.healed = False
        self.mute = False
        """It books what it gets, and answers nothing."""
        self.links: list[BankLink] = []
        self.made = 0
        self.seen: list[Seen] = []
        self.books: dict[tuple[str, str], Held] = {}
        self.network_seen: list[tuple[str, str]] = []
        """STAN and time of every 0800."""
        self.counts: Counter[str] = Counter()
        self._server: Any = None
        self._deaf: dict[tuple[str, str], int] = {}
        self._undone: Counter[str] = Counter()
        """Reversals that came, by transaction."""
        self._auth = 0
        self._dialing = False
        self._down = False

    # -- connections ------------------------------------------------------------------------------

    def open(self, *, dial: bool) -> None:
        """Listens, or begins to dial the switch."""
        self._dialing = dial
        if dial:
            for number in range(self.plan.bank_links):
                self.loop.call_later(0.01 * (number + 1), self._dial)
        else:
            self._server = self.network.listen(lambda: BankLink(self), self.at)

    def _dial(self) -> None:
        if not self._down and len(self.links) < self.plan.bank_links:
            task = self.loop.create_task(self._connect())
            task.add_done_callback(self._dialled)

    async def _connect(self) -> None:
        await self.loop.create_connection(lambda: BankLink(self), *self.at)

    def _dialled(self, task: "asyncio.Task[None]") -> None:
        if task.exception() is not None:
            self.loop.call_later(0.05 + 0.1 * self.rng.random(), self._dial)

    def lost(self, _link: BankLink) -> None:
        """A connection has gone."""
        if self._dialing:
            self.loop.call_later(0.02 + 0.1 * self.rng.random(), self._dial)

    def flap(self, how: float) -> None:
        """Down, all at once, and up again a while later; `how` from 0 to 1 says how long."""
        if self._down:
            return
        self._down = True
        self.network.strike("flap")
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            if (link.number + int(how * 8)) % 2 and link.transport is not None:
                link.transport.reset()
            elif link.transport is not None:
                link.transport.close()
        self.loop.call_later(0.02 + 0.8 * how, self._return)

    def leave(self) -> None:
        """It goes, without a word, until `come_back`."""
        self._down = True
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            if link.transport is not None:
                link.transport.close()

    def come_back(self) -> None:
        """It listens or dials again."""
        self._return()

    def _return(self) -> None:
        if not self._down:
            return
        self._down = False
        if self._dialing:
            for number in range(self.plan.bank_links):
                self.loop.call_later(0.01 * (number + 1), self._dial)
        elif self.at not in self.network.listeners:
            self._server = self.network.listen(lambda: BankLink(self), self.at)

    def heal(self) -> None:
        """From now on it answers plainly and soon."""
        self.healed = True
        self._deaf.clear()
        for link in list(self.links):
            # What a host's keep-alive does: it says nothing on a line on which nothing comes.
            if link.transport is not None and link.transport.out.dark:
                link.transport.reset()
        self._return()

    # -- messages ---------------------------------------------------------------------------------

    def got(self, link: BankLink, message: Message) -> None:
        """What a bank does with a message."""
        mti = message.mti
        if mti in ANSWERS:
            self._request(link, message, mti)
        elif mti in UNDO:
            self._reversal(link, message, mti)
        elif mti == "0800":
            self._network(link, message)

    def _chosen(self, rng: Random, name: str) -> bool:
        """Whether a fault strikes; drawn also when it cannot, so that nothing else moves."""
        drawn = rng.random()
        return not self.healed and drawn < self.faults.get(name, 0.0)

    def _network(self, link: BankLink, message: Message) -> None:
        self.network_seen.append(
            (message.get("stan") or "", message.get("transmission_time") or "")
        )
        code = message.get("network_code")
        if code == "001":
            link.signed_on = True
        elif code == "002":
            link.signed_on = False
        values = _echoes(message, NETWORK_ECHOES)
        link.send(self.dialect.encode("0810", {**values, "response_code": "00"}))

    def _request(self, link: BankLink, message: Message, mti: str) -> None:
        stan, time = message.get("stan") or "", message.get("transmission_time") or ""
        before = self.books.get((stan, time))
        times = before.requests if before is not None else 0
        where = f"bank/{_number(message)}/{mti[:3]}/{times}"
        rng = stream(self.plan.seed, f"{self.name}/{where}")
        acts = [name for name in _REQUEST_FAULTS if self._chosen(rng, name)]
        drawn = (float(rng.randint(20, 2_000)), rounded(rng.random()), rounded(rng.random()))
        act, how = self.choices.of(where, acts[0] if acts else "", drawn)
        if self.healed:
            act = ""
        if self.plan.still and not act:
            how = STEADY
        seen = self._note(link, message, mti)
        seen.act = act
        if act == "lost":
            self.counts[act] += 1
            return
        held = self.books.get((stan, time))
        if held is None:
            held = self.books[stan, time] = Held(stan, time)
        held.requests += 1
        if held.requests == 1:
            held.rrn, held.terminal, held.acquirer = seen.rrn, seen.terminal, seen.acquirer
            held.amount, held.card, held.kind = seen.amount, seen.card, message.kind
            held.expiry, held.at_ns = seen.expiry, seen.at_ns
        advice = mti in ADVICES
        code = "00"
        if held.undone:
            # Its reversal overtook it on another connection.
            code = "94"
        elif held.requests > 1:
            code = "00" if advice else "94"
        elif act in {"decline", "late_decline"} and not advice:
            code = picked(DECLINES, how[2])
        elif message.kind in MOVES:
            held.held = seen.amount
        seen.code = code
        self._say(link, message, mti, held, act, code, how)

    def _say(
        self,
        link: BankLink,
        message: Message,
        mti: str,
        held: Held,
        act: str,
        code: str,
        how: tuple[float, ...],
    ) -> None:
        """The answer, and what is wrong with it."""
        low_us, spread, more = how
        values = {**_echoes(message, ECHOES), "response_code": code}
        delay = low_us * 1e-6
        if code == "00":
            self._auth = self._auth % 999_999 + 1
            values["auth_code"] = f"{self._auth:06d}"
            values["settlement_date"] = values["transmission_time"][:4]
        if act:
            self.counts[act] += 1
        deadline = self.plan.deadline_ms * MS
        if act == "silent" or self.mute:
            return
        if act in {"late", "late_decline"}:
            # Around the deadline, mostly behind it.
            delay = deadline * (0.9 + 0.6 * spread)
        elif act == "wrong_stan":
            values["stan"] = f"{(int(values['stan']) + 1 + int(spread * 3)) % 1_000_000:06d}"
        elif act == "wrong_amount" and "amount" in values:
            values["amount"] = f"{int(values['amount']) + 1:012d}"
        elif act == "wrong_echo":
            values["terminal_id"] = "NOBODY99"
        elif act == "garbage_code":
            values["response_code"] = "ZZ"
        elif act == "partial" and code == "00" and "amount" in values and mti not in ADVICES:
            values["response_code"] = "10"
            values["amount"] = f"{int(values['amount']) // 2:012d}"
            held.held = held.held // 2
        held.answers.append((self.loop.now_ns, str(values["response_code"])))
        plain = {**_echoes(message, ECHOES), "response_code": code}
        sound = act != "garbled_answer"
        if sound and all(values[name] == value for name, value in plain.items()):
            held.sound.append((code, str(values.get("auth_code", ""))))
        frame = self.dialect.encode(ANSWERS[mti], values)
        if act == "garbled_answer":
            kind, frame = garbled(self.dialect, ANSWERS[mti], values, spread)
            self.counts[f"garbled answer: {kind}"] += 1
        crosswise = act == "crosswise"
        self.loop.call_later(delay, self._send, link, frame, crosswise)
        if act == "duplicate":
            self.loop.call_later(
                delay + spread * 2 * deadline, self._send, link, frame, spread > 0.5
            )
        if act == "sign_off":
            self.loop.call_later(delay * spread, self._sign_off, link, more)
        if act == "flap":
            self.loop.call_later(delay * 2 * spread, self.flap, more)

    def _send(self, link: BankLink, frame: bytes, crosswise: bool) -> None:
        others = [one for one in self.links if one is not link and one.transport is not None]
        if crosswise and others:
            others[0].send(frame)
        elif link.transport is not None:
            link.send(frame)
        elif others:
            others[0].send(frame)

    def _sign_off(self, link: BankLink, how: float) -> None:
        """The bank signs the switch off, and on again a while later."""
        self._say_network(link, "002")
        self.loop.call_later(0.05 + 0.3 * how, self._say_network, link, "001")

    def _say_network(self, link: BankLink, code: str) -> None:
        self._auth = self._auth % 999_999 + 1
        values = {
            "transmission_time": "0101000000",
            "stan": f"{self._auth:06d}",
            "network_code": code,
        }
        link.send(self.dialect.encode("0800", values))

    def _reversal(self, link: BankLink, message: Message, mti: str) -> None:
        seen = self._note(link, message, mti)
        stan = message.get("original_data.stan") or ""
        time = message.get("original_data.transmission_time") or ""
        seen.original = (stan, time)
        seen.original_mti = message.get("original_data.mti") or ""
        held = self.books.get((stan, time))
        if held is None:
            held = self.books[stan, time] = Held(stan, time)
        code = "00" if held.requests else "25"
        if not held.undone:
            held.undone = True
            held.effects += bool(held.held)
            held.held = 0
        held.reversals.append(seen)
        number = _number(message)
        # The withdrawal of an advice has the reference of the request that is reversed.
        self._undone[number] += 1
        where = f"bank/{number}/undo/{self._undone[number]}"
        rng = stream(self.plan.seed, f"{self.name}/{where}/{seen.stan}/{seen.time}")
        acts = [name for name in ("deaf", "refuse_reversal") if self._chosen(rng, name)]
        drawn = (float(rng.randint(20, 2_000)), float(rng.randint(1, 6)), rounded(rng.random()))
        act, how = self.choices.of(where, acts[0] if acts else "", drawn)
        if self.plan.still and not act:
            how = STEADY
        key = (seen.stan, seen.time)
        if self.mute:
            return
        if act == "deaf":
            self._deaf[key] = int(how[1])
        delay = how[0] * 1e-6
        if self._deaf.get(key, 0) > 0 and not self.healed:
            self._deaf[key] -= 1
            self.counts["deaf"] += 1
            return
        if act == "refuse_reversal" and not self.healed:
            self.counts["refuse_reversal"] += 1
            code = picked(REFUSALS, how[2])
        seen.code = code
        held.acknowledged += code in {"00", "25"}
        values = {**_echoes(message, ECHOES), "response_code": code}
        answer = "0430" if mti.startswith("042") else "0410"
        frame = self.dialect.encode(answer, values)
        self.loop.call_later(delay, self._send, link, frame, False)

    def _note(self, link: BankLink, message: Message, mti: str) -> Seen:
        seen = Seen(
            self.loop.now_ns,
            link.number,
            mti,
            message.get("stan") or "",
            message.get("transmission_time") or "",
            message.get("rrn") or "",
            message.get("terminal_id") or "",
            message.get("acquirer_code") or "",
            max(message.amount_minor, 0),
            message.reveal("pan") or "",
            expiry=message.reveal("expiry") or "",
        )
        self.seen.append(seen)
        return seen


_REQUEST_FAULTS: Final = (
    "lost",
    "silent",
    "flap",
    "sign_off",
    "late_decline",
    "decline",
    "late",
    "duplicate",
    "wrong_stan",
    "wrong_amount",
    "wrong_echo",
    "garbage_code",
    "partial",
    "crosswise",
    "garbled_answer",
)


def _number(message: Message) -> str:
    """Of the transaction, and its amount: what its acquirer made its reference of."""
    return (message.get("rrn") or "")[1:]


def _echoes(message: Message, names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name in names if (value := message.reveal(name)) is not None}
