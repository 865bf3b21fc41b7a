"""Secrets planted by a test, and the search for them in every form in whatever a run left
behind."""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["find", "forms"]

CHUNK: Final = 1 << 22


def forms(secret: str | bytes) -> dict[str, bytes]:
    """Name of the form to its bytes: as sent, BCD, hexadecimal, base64 at every alignment, grouped.

    Text of digits (with the separator of a track) also packs two digits to a byte.
    """
    raw = secret.encode("ascii") if isinstance(secret, str) else secret
    found = {
        "as sent": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "utf-16": raw.decode("latin-1").encode("utf-16-le"),
        "ebcdic": raw.decode("latin-1").encode("cp500"),
    }
    packed = secret.replace("=", "d") if isinstance(secret, str) else ""
    if packed and set(packed) <= set("0123456789d"):
        for name, digits in (("bcd", packed), ("bcd, right", "0" + packed)):
            even = digits + "f" * (len(digits) % 2)
            found[name] = bytes.fromhex(even)
        if packed.isdigit():
            for separator in (" ", "-"):
                groups = [packed[n : n + 4] for n in range(0, len(packed), 4)]
                found[f"grouped by {separator!r}"] = separator.join(groups).encode()
    for alignment in range(3):
        # The first and last characters depend on the neighbours: only the middle is certain.
        text = base64.b64encode(b"\0" * alignment + raw)
        found[f"base64 at {alignment}"] = text[-(-alignment * 8 // 6) :].rstrip(b"=")[1:-1]
    return found


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from (file for file in sorted(place.rglob("*")) if file.is_file())
        elif place.exists():
            yield place


def find(secrets: dict[str, str | bytes], places: Iterable[Path]) -> list[str]:
    """Every finding as ``file: secret (form) at offset``; places are files or directories."""
    wanted = [
        (name, form, needle)
        for name, secret in secrets.items()
        for form, needle in forms(secret).items()
    ]
    longest = max(len(needle) for _, _, needle in wanted)
    findings = []
    for file in _files(places):
        with file.open("rb") as stream:
            tail, offset = b"", 0
            while block := stream.read(CHUNK):
                window = tail + block
                for name, form, needle in wanted:
                    at = window.find(needle)
                    if at >= 0:
                        findings.append(f"{file}: {name} ({form}) at {offset - len(tail) + at}")
                tail = window[-longest:]
                offset += len(block)
    return findings
