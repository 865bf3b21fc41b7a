"""Message codes for tests: keys through pipes, guards, and an oracle for what they cover."""

from pathlib import Path

from psec import mac as oracle

from switch.crypto.keyfile import Keys, create_keys, open_keys
from switch.crypto.links import Components, Usage, add_link_key
from switch.native import mac
from switch.wire import Dialect, Guard
from tests.support.emv import pipe

__all__ = ["KEY", "RETAIL", "covered", "guard", "link_key", "node_keys", "retail"]

KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
RETAIL = mac.Strategy("x9.19", "3des", "retail", "binary", 8)


def guard(key: bytes = KEY, strategy: mac.Strategy = RETAIL, cipher: str = "3des") -> Guard:
    """The guard of one end of a link."""
    with pipe(key) as descriptor:
        return Guard.of_link(strategy, [mac.Key.read(descriptor, cipher)])


def node_keys(directory: Path) -> Keys:
    """Demo keys where the settings of a node expect them."""
    files = (str(directory / "keys" / "switch.keys"), str(directory / "keys" / "sealing.key"))
    create_keys(*files, demo=True)
    return open_keys(*files)


def link_key(directory: Path, keys: Keys, name: str, key: bytes = KEY, cipher: str = "3des") -> int:
    """Enters a key for message codes; its version."""
    components = Components(cipher)
    with pipe(key) as descriptor:
        components.enter(descriptor)
    return add_link_key(str(directory / "keys" / "link.keys"), keys, name, Usage.MAC, components, 1)


def covered(dialect: Dialect, frame: bytes, code_bytes: int) -> bytes:
    """What the code at the end of a frame covers."""
    start = dialect.length_bytes + dialect.preface_bytes
    return frame[start : len(frame) - code_bytes]


def retail(data: bytes, key: bytes = KEY) -> bytes:
    """The code by X9.19, from an oracle."""
    code: bytes = oracle.generate_retail_mac(key[:8], key[8:], data, 1, 8)
    return code
