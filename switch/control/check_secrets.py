"""Whatever is secret is closed to others: keys, vault, index, audit, journal.

A file that others can read is refused at the start and named with its mode and what mends it. Owner
is the node's user, or root; where root checks for the node it may be the owner of the data
directory too. Files that do not exist yet are made closed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from switch.control.chain import audit_file, files
from switch.settings.check import Finding
from switch.settings.schema import Settings

__all__ = ["check_secrets"]


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """A finding for every file or directory that is open to others, or somebody else's."""
    owners = _owners(settings)
    for key, name in _secrets(settings):
        try:
            status = os.lstat(name)
        except OSError:
            continue  # Absent; what cannot be reached is told by whoever opens it.
        directory = stat.S_ISDIR(status.st_mode)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            # Whose target it is, is judged where it is opened; a link itself has no mode.
            continue
        if mode & 0o077:
            wanted = 700 if directory else 600
            problem = f"{name} has mode {mode:04o}: others may read or change it"
            yield Finding("error", "secrets", key, problem, f"chmod {wanted} {name}")
        if status.st_uid not in owners:
            problem = f"{name} belongs to user {status.st_uid}, who is not the node's"
            yield Finding(
                "error", "secrets", key, problem, f"chown USER {name}; USER runs the node"
            )


def _owners(settings: Settings) -> set[int]:
    owners = {os.geteuid(), 0}
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            owners.add(os.stat(settings.node.data_dir).st_uid)
    return owners


def _secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """(settings key, file) of what is secret. Sealing key and private keys of TLS are judged by
    the rules that open them."""
    keys = settings.keys
    yield "keys.file", keys.file
    yield "keys.link_keys_file", keys.link_keys_file
    if settings.terminals is not None:
        yield "terminals.file", settings.terminals.file
    tokens = settings.tokens
    if tokens is not None:
        yield "tokens.card_masters_file", tokens.card_masters_file
        yield "tokens.vault_file", tokens.vault_file
        yield "tokens.vault_file", f"{tokens.vault_file}-wal"
        yield "tokens.index_dir", tokens.index_dir
    data_dir = Path(settings.node.data_dir)
    audit = audit_file(data_dir)
    for place in (*sorted(data_dir.glob("journal/*")), audit.parent, *files(audit)):
        yield "node.data_dir", str(place)
