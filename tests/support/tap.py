"""Taps: devices whose cryptograms pyemv makes, an index of their tokens, and the switch's verdict.

The oracle shares no code with what it tests.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pyemv import ac, kd, tools

from switch.crypto.profiles import Option, Ring
from switch.native import codec, index, tap
from tests.support.emv import SIGNED, field, master
from tests.support.tokens import TOKEN_PREFIX, card, row, token
from tests.support.walk import NOW_S, World, open_world

__all__ = ["CARD", "GAP_MAX", "MASTER", "TOKEN", "Device", "Taps", "open_taps", "word"]

MASTER: Final = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
"""The published test key of half the world."""
GAP_MAX: Final = 100
VAULT: Final = bytes(16)
TOKEN: Final = token(135_792_468)
CARD: Final = card(987_654_321)
"""The card behind it: no four digits in common."""

_PROFILES: Final = {
    "unionpay-01": ("A000000333010101", "07010103A0000201", "pboc", ac.PaddingType.EMV),
    "visa-10": ("A0000000031010", "06010A03A00002", "none", ac.PaddingType.VISA),
    "visa-18": ("A0000000031010", "06011203A00002", "common", ac.PaddingType.EMV),
}
_TERMINAL: Final = {
    "9F03": "000000000000", "9F1A": "0156", "95": "0000000000", "9A": "261124", "9C": "00",
    "9F37": "01020304", "82": "2000",
}  # fmt: skip


class Device:
    """A device with one token: its counter goes up by one with each tap."""

    def __init__(self, number: str, profile: str = "unionpay-01", sequence: int = 1) -> None:
        self.number = number
        self.sequence = sequence
        self.atc = 0
        self._aid, self._iad, self._session, self._padding = _PROFILES[profile]
        self._whole = profile == "visa-18"
        self._key = kd.derive_icc_mk_a(MASTER, number, f"{sequence:02d}")

    def tap_wrongly(self) -> None:
        """From now on its cryptograms are made with another device's key."""
        self._key = bytes(byte ^ 0x10 for byte in self._key)

    def session(self, atc: int) -> bytes:
        """The session key of one tap."""
        counter = atc.to_bytes(2, "big")
        if self._session == "none":
            return self._key
        if self._session == "common":
            return kd.derive_common_sk(self._key, counter + bytes(6))
        inverse = bytes(byte ^ 0xFF for byte in counter)
        derived = tools.encrypt_tdes_ecb(self._key, bytes(6) + counter + bytes(6) + inverse)
        return tools.adjust_key_parity(derived)

    def tags(self, amount: int = 1234, currency: int = 156, atc: int = 0) -> dict[str, bytes]:
        """A genuine tap: every tag of its field 55. Without `atc` the device's next one."""
        self.atc = atc or self.atc + 1
        tags = {tag: bytes.fromhex(text) for tag, text in _TERMINAL.items()}
        tags["9F02"] = bytes.fromhex(f"{amount:012d}")
        tags["5F2A"] = bytes.fromhex(f"{currency:04d}")
        tags["9F36"] = self.atc.to_bytes(2, "big")
        tags["84"] = bytes.fromhex(self._aid)
        tags["9F10"] = iad = bytes.fromhex(self._iad)
        tags["9F27"] = b"\x80"
        signed = b"".join(tags[tag] for tag in SIGNED) + (iad if self._whole else iad[3:7])
        tags["9F26"] = ac.generate_ac(self.session(self.atc), signed, self._padding)
        return tags

    def answer(self, tags: Mapping[str, bytes], code: str, *, approved: bool) -> bytes:
        """The tag 91 that the device believes."""
        session = self.session(int.from_bytes(tags["9F36"], "big"))
        if self._whole:
            status = bytes([0, 0x80 if approved else 0, 0, 0])
            return bytes(ac.generate_arpc_2(session, tags["9F26"], status)) + status
        return bytes(ac.generate_arpc_1(session, tags["9F26"], code.encode())) + code.encode()


class Taps:
    """A world, an index of one token, its device, and whoever judges both."""

    def __init__(self, world: World, directory: Path, profile: str, changes: object) -> None:
        self.world = world
        self.directory = directory / "index"
        self.directory.mkdir()
        assert isinstance(changes, dict)
        one = row(world.keys, 987_654_321, **{"token": TOKEN, **changes})
        opened = index.Index.open(str(self.directory), world.keys)
        rebuild = opened.rebuild()
        rebuild.add([one], 1)
        rebuild.finish(1, VAULT)
        del opened, rebuild  # a process opens an environment once
        self.device = Device(one.token, profile, one.token_sequence)
        self.verifier = self.open_verifier()

    def open_verifier(self, prefix: str = TOKEN_PREFIX) -> tap.Verifier:
        """A verdict over what the index directory holds now."""
        ring = Ring()
        for scheme in ("unionpay", "visa"):
            ring.add(scheme, TOKEN_PREFIX, 1, master(MASTER, Option.A))
        return tap.Verifier(
            str(self.directory), self.world.keys, ring, [(prefix, 16)], GAP_MAX,
            self.world.duplicates,
        )  # fmt: skip

    def message(
        self, stan: int, tags: Mapping[str, bytes] | None = None, /, **changes: str | bytes
    ) -> codec.Message:
        """A tap's purchase; `tags` instead of a genuine field 55."""
        chip = field(self.device.tags() if tags is None else tags)
        values: dict[str, str | bytes] = {
            "pan": self.device.number,
            "expiry": "3012",
            "card_sequence": f"{self.device.sequence:03d}",
            "icc": chip,
        }
        return self.world.purchase(stan, **{**values, **changes})

    def verdict(self, message: codec.Message, now_s: int = NOW_S) -> str:
        """Claims the message's key and gives the verdict in words."""
        assert self.world.claim(message, self.world.next_txn()) == 0
        return word(self.verifier.check(message, now_s))


def word(verdict: int) -> str:
    """A verdict in words."""
    if verdict >= tap.REFUSED:
        return tap.REASONS[verdict - tap.REFUSED]
    return ("plain", "genuine", "pending")[verdict]


@contextmanager
def open_taps(
    directory: Path, profile: str = "unionpay-01", capacity: int = 8_000, /, **changes: object
) -> Iterator[Taps]:
    """A token with `changes` to its row; the journal is closed at the end."""
    with open_world(directory, capacity=capacity) as world:
        yield Taps(world, directory, profile, changes)
