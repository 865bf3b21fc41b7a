"""One terminal: makes its requests ahead, asks, understands, reverses what it does not know.

Every step is in the ledger before its consequence leaves, in the words of the simulators' ledgers,
so that the run can be compared with journal and banks.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from loadtest.line import BrokenError, Line, SilenceError
from loadtest.mix import Terminals
from loadtest.work import Work
from switch.client.clock import next_stan
from switch.client.messages import answer_mti, reversal_values
from switch.crypto.profiles import Tapped
from switch.sim.cards import Purchase, mask
from switch.sim.ledger import Did, Sale
from switch.sim.magic import Trick
from switch.wire import Message

__all__ = ["Outcome", "Prepared", "Terminal"]

MTI: Final = "0200"
REVERSAL: Final = "0420"
ECHOED: Final = ("amount", "rrn", "merchant_id", "currency")
"""Fields that an answer must carry as the request did."""
RETRY_S: Final = (0.05, 1.0)
"""Between attempts to reconnect or to reverse: doubled from the first to the second."""
REVERSE_S: Final = 30.0
"""A terminal that cannot reverse in this time leaves it to its operator."""


class Prepared(msgspec.Struct, frozen=True):
    """A request made before it is due."""

    values: dict[str, str | bytes]
    frame: bytes
    tapped: Tapped | None
    purchase: Purchase


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one exchange. Monotonic nanoseconds."""

    kind: str
    sent_ns: int
    end_ns: int
    code: str = ""
    """Empty: no usable answer."""
    silent: bool = False
    problem: str = ""
    """For people; empty for an answer."""


class Terminal:
    """A terminal id, its trace numbers, and its line."""

    def __init__(self, work: Work, kind: Terminals) -> None:
        self._work = work
        self._kind = kind
        number = work.next_terminal()
        self.number = number
        self._id = f"L{work.number:02d}{number:05d}"
        self._merchant = f"LOADTEST{number % 97:07d}"
        self._stan = 0
        self.line = Line(work.dialect, work.address, work.stage.institution)

    def prepare(self) -> Prepared:
        """The next request, encoded and, for a tap, signed."""
        work, kind = self._work, self._kind
        moment = work.calendar.now()
        wallet = work.tapping if work.rng.random() < kind.tap else work.plain
        purchase = wallet.draw()
        if purchase.amount < 9_000 and (purchase.device is None or purchase.device.magic is None):
            amount = work.rng.randint(*kind.amount_minor)
            purchase = msgspec.structs.replace(purchase, amount=amount)
        self._stan = next_stan(self._stan)
        values: dict[str, str | bytes] = {
            "pan": purchase.pan,
            "processing_code": "000000",
            "amount": f"{purchase.amount:012d}",
            "transmission_time": moment.transmission,
            "stan": f"{self._stan:06d}",
            "local_time": moment.local_time,
            "local_date": moment.local_date,
            "mcc": kind.mcc,
            "entry_mode": "071",
            "condition_code": "00",
            "acquirer_code": work.stage.institution,
            "rrn": work.next_reference(),
            "terminal_id": self._id,
            "merchant_id": self._merchant,
            "currency": "156",
        }
        tapped = None
        if purchase.device is not None:
            date = int(time.strftime("%y", time.localtime(moment.second)) + moment.local_date)
            tapped = purchase.device.tap(purchase.amount, 156, date, work.rng)
            values |= {
                "expiry": purchase.device.expiry,
                "card_sequence": f"{purchase.device.sequence:03d}",
                "icc": tapped.field,
            }
        return Prepared(values, work.dialect.encode(MTI, values), tapped, purchase)

    def ask(self, request: Prepared) -> Outcome:
        """Sends it and waits, once. What stays unknown must be reversed."""
        values, device = request.values, request.purchase.device
        trick = device.trick if device is not None else None
        self._write(
            Did.INVOKE, values, mti=MTI, rrn=str(values["rrn"]),
            merchant=str(values["merchant_id"]), amount=request.purchase.amount,
            card=mask(request.purchase.pan), tap=trick or "",
        )  # fmt: skip
        try:
            answer, sent_ns, end_ns = self.line.ask(
                request.frame, self._expected(MTI, values), self._work.mix.timeout_s
            )
        except (SilenceError, BrokenError) as error:
            return self._unknown(MTI, values, error)
        code = answer.get("response_code") or ""
        wrong = [
            name
            for name in ECHOED
            if (value := answer.get(name)) is not None and value != values[name]
        ]
        if wrong or not code:
            problem = f"an answer with another's {', '.join(wrong) or 'code'}"
            self._write(Did.INFO, values, why="mismatch")
            return Outcome(kind=MTI, sent_ns=sent_ns, end_ns=end_ns, problem=problem)
        proof = ""
        if request.tapped is not None and device is not None:
            icc = bytes.fromhex(answer.reveal("icc") or "") if answer.has("icc") else b""
            proof = request.tapped.check(icc, code)
            if proof == "genuine" and trick is Trick.NOTHING:
                device.proved(request.tapped)
        did = Did.OK if code == "00" else Did.FAIL
        self._write(did, values, mti=answer.mti, code=code, proof=proof)
        return Outcome(kind=MTI, sent_ns=sent_ns, end_ns=end_ns, code=code)

    def not_sent(self, request: Prepared) -> None:
        """Its line was down: the sale never began."""
        self._write(
            Did.INVOKE, request.values, mti=MTI, rrn=str(request.values["rrn"]),
            amount=request.purchase.amount,
        )  # fmt: skip
        self._write(Did.UNSENT, request.values)

    def reverse(
        self, request: Prepared, why: str, sleep: Callable[[float], Any]
    ) -> tuple[Outcome, int]:
        """0420, then 0421 with the same numbers, until it is acknowledged. The last attempt's
        outcome, and how many there were."""
        values = request.values
        self._stan = next_stan(self._stan)
        own = reversal_values(
            MTI, values, f"{self._stan:06d}", self._work.calendar.now().transmission
        )
        until, pause, attempts, mti = time.monotonic() + REVERSE_S, RETRY_S[0], 0, REVERSAL
        while True:
            attempts += 1
            self._write(Did.REVERSE, values, mti=mti, why=why)
            outcome = self._reverse_once(mti, own)
            mti = "0421"
            if outcome.code:
                self._write(Did.REVERSED, values, code=outcome.code)
                return outcome, attempts
            if time.monotonic() > until:
                return outcome, attempts
            sleep(pause)
            pause = min(2 * pause, RETRY_S[1])

    def _reverse_once(self, mti: str, values: Mapping[str, str | bytes]) -> Outcome:
        try:
            self.line.open()
            answer, sent_ns, end_ns = self.line.ask(
                self._work.dialect.encode(mti, values),
                self._expected(mti, values),
                self._work.mix.timeout_s,
            )
        except (SilenceError, BrokenError) as error:
            return outcome_of(REVERSAL, error, self._work.mix.timeout_s)
        code = answer.get("response_code") or ""
        return Outcome(kind=REVERSAL, sent_ns=sent_ns, end_ns=end_ns, code=code)

    def _unknown(
        self, kind: str, values: Mapping[str, str | bytes], error: SilenceError | BrokenError
    ) -> Outcome:
        silent = isinstance(error, SilenceError)
        self._write(Did.INFO, values, why="time-out" if silent else "connection")
        return outcome_of(kind, error, self._work.mix.timeout_s)

    @staticmethod
    def _expected(mti: str, values: Mapping[str, str | bytes]) -> Callable[[Message], bool]:
        wanted = answer_mti(mti)
        names = ("stan", "transmission_time", "terminal_id")
        return lambda message: (
            message.mti == wanted and all(message.get(name) == values[name] for name in names)
        )

    def _write(self, did: Did, values: Mapping[str, str | bytes], **more: Any) -> None:
        if self._work.ledger is not None:
            line = Sale(
                did, time.time_ns() // 1_000_000, self._work.stage.institution, self._id,
                str(values["stan"]), str(values["transmission_time"]), **more,
            )  # fmt: skip
            self._work.ledger.write(line)


def outcome_of(kind: str, error: SilenceError | BrokenError, timeout_s: float) -> Outcome:
    """Of an exchange without an answer; silence counts as its deadline."""
    now_ns = time.monotonic_ns()
    sent_ns = int(error.args[1]) if len(error.args) > 1 else now_ns
    silent = isinstance(error, SilenceError)
    end_ns = sent_ns + int(timeout_s * 1e9) if silent else now_ns
    return Outcome(
        kind=kind, sent_ns=sent_ns, end_ns=end_ns, silent=silent, problem=str(error.args[0])
    )
