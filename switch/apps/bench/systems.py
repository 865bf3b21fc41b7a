"""The systems under test: each a process of its own between the generator and the bank."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

import switch
from switch.apps.bench.plan import DURABLE, RELAY, SECURED, SWITCH, Plan
from switch.apps.bench.wallet import CARDS, TOKENS, Wallet
from switch.crypto.issue import practice
from switch.errors import OperatorError, UnreachableError
from switch.native import load
from switch.runtime.harden import end_with_parent
from switch.settings.load import load as load_settings
from switch.settings.schema import Settings

__all__ = [
    "ACQUIRER_CODE",
    "CARDS",
    "TOKENS",
    "UNROUTED_PREFIX",
    "System",
    "durable_relay",
    "node",
    "ready_of",
    "relay",
    "run_command",
    "settings_of",
    "settings_text",
]

ROOT: Final = Path(switch.__file__).resolve().parent.parent
START_S: Final = 20.0
"""A system that is not ready by then will not be: a full journal is not replayed here."""
STOP_S: Final = 20.0
"""More than a draining switch may take."""
UNROUTED_PREFIX: Final = "629999"
ACQUIRER_CODE: Final = "10000001"

SETTINGS: Final = """\
[node]
institution_code = "90000001"
data_dir = {data!r}

[keys]
file = {keys!r}
sealing_key_file = {sealing!r}

[metrics]
listen = "127.0.0.1:0"

[[acquirers]]
id = "ACQ01"
institution_code = "{acquirer_code}"
listen = "127.0.0.1:0"
terminal_timeout_ms = 20000
timeout_ms = 10000
connections_max = 256
echo_idle_s = 0
{acquirer}
[[issuers]]
id = "BANK01"
institution_code = "20000001"
addresses = ["{bank}"]
connections = {connections}
deadline_ms = {deadline_ms}
in_flight_max = 4096
echo_idle_s = 0
{issuer}"""
SATURATED: Final = """\
# Saturated on purpose, with a constant number in flight: that is no overload.
wait_target_ms = 5000
wait_interval_ms = 5000
"""
TLS: Final = """\
[{side}.tls]
certificate = "{directory}/switch.bench.pem"
key = "{directory}/switch.bench.key"
ca = "{directory}/ca.pem"
names = ["peer.bench"]
"""
ROUTES: Final = '[[routes]]\nprefix = "{prefix}"\nissuer = "BANK01"\n'


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A running system: where it listens, and the process whose CPU counts."""

    name: str
    address: str
    pid: int
    sign_on: bool = False
    taps: "load.Taps | None" = None
    """Devices that ask it; None: plain cards."""
    tree: int = 0
    """The process that started it and all that belongs to it; 0: it is alone."""
    ready_s: float = 0.0
    """From its start until it took requests."""


def relay(bank: load.Bank, plan: Plan) -> AbstractContextManager[System]:
    """The plain floor."""
    return _relay(RELAY, bank, plan, [])


def durable_relay(bank: load.Bank, plan: Plan, directory: Path) -> AbstractContextManager[System]:
    """The durable floor; its journal is made in `directory`."""
    return _relay(DURABLE, bank, plan, ["--journal", str(directory)])


@contextmanager
def _relay(name: str, bank: load.Bank, plan: Plan, extra: list[str]) -> Iterator[System]:
    _, offset = load.request(1)
    words = ["--bank", bank.address, "--bank-connections", str(plan.bank_connections)]
    words += ["--stan-offset", str(offset), *extra]
    with _floor("relay", words) as told:
        yield System(name=name, address=told["address"], pid=told["pid"])


@contextmanager
def _floor(program: str, words: list[str]) -> Iterator[dict[str, Any]]:
    """A program of bench/floor, and the line that it says when it listens."""
    if not (ROOT / "bench" / "floor" / f"{program}.py").exists():
        raise OperatorError(
            "the floors are not installed", help="run from a clone of the repository"
        )
    process = subprocess.Popen(
        [sys.executable, "-m", f"bench.floor.{program}", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise UnreachableError(f"the {program} ended with code {process.wait()}")
        yield json.loads(line)
    finally:
        process.stdin.close()
        _ended(process)
        process.stdout.close()


@contextmanager
def secured(bank: load.Bank, plan: Plan, directory: Path) -> Iterator[System]:
    """A switch with TLS on both legs. A tunnel on either side speaks it for generator and bank."""
    tls, home = directory / "tls", directory / "switch_tls"
    practice(tls, ["switch.bench", "peer.bench"], int(time.time()))
    home.mkdir()
    files = [str(tls / name) for name in ("peer.bench.pem", "peer.bench.key", "ca.pem")]
    with ExitStack() as stack:
        words = ["--tls", "listen", "--to", bank.address, *files]
        beyond = stack.enter_context(_floor("tunnel", words))["address"]
        made = stack.enter_context(node(bank, plan, home, tls=(tls, beyond)))
        words = ["--tls", "connect", "--to", made.address, "--name", "switch.bench", *files]
        before = stack.enter_context(_floor("tunnel", words))["address"]
        yield msgspec.structs.replace(made, name=SECURED, address=before)


@contextmanager
def node(
    bank: load.Bank,
    plan: Plan,
    directory: Path,
    wallet: Wallet | None = None,
    deadline_ms: int = 1_500,
    tls: tuple[Path, str] | None = None,
    more: tuple[str, str] = (SATURATED, ""),
) -> Iterator[System]:
    """The switch, started by `tapswitch run`, with one acquirer and one bank; `tls`: certificates
    of `secured`, and where the tunnel to the bank listens; `more`: further lines of the acquirer's
    table, and further tables.

    Its journal is in `directory`, keys and tokens come from the wallet (without one: keys of its
    own). Ready when the bank has seen every connection sign on."""
    _config(bank, plan, directory, wallet, deadline_ms, tls, more)
    signed = bank.seen()["network"]
    parent = os.getpid()
    began = time.monotonic()
    with (directory / "switch.log").open("wb") as log:
        process = subprocess.Popen(
            run_command(directory),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(parent),  # noqa: PLW1509 - a clone of one thread
        )
        try:
            told = _ready(process, directory)
            ready_s = time.monotonic() - began
            _until(
                lambda: bank.seen()["network"] >= signed + plan.bank_connections,
                process,
                directory,
                "to sign on at the bank",
            )
            # The answers to the sign-on are on their way.
            time.sleep(0.3)
            yield System(
                name=SWITCH,
                address=told["acquirers"]["ACQ01"],
                pid=told["pid"],
                sign_on=True,
                tree=process.pid,
                ready_s=ready_s,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            _ended(process)


def _config(
    bank: load.Bank,
    plan: Plan,
    directory: Path,
    wallet: Wallet | None,
    deadline_ms: int,
    tls: tuple[Path, str] | None,
    more: tuple[str, str],
) -> None:
    config = directory / "config"
    (config / "routes").mkdir(parents=True)
    (config / "dialects").symlink_to(ROOT / "config" / "dialects")
    settings = SETTINGS.format(
        data=str(directory / "data"),
        keys=wallet.key_file if wallet else str(directory / "keys" / "switch.keys"),
        sealing=wallet.sealing_key if wallet else str(directory / "keys" / "sealing.key"),
        acquirer_code=ACQUIRER_CODE,
        bank=bank.address if tls is None else tls[1],
        acquirer=more[0] + (TLS.format(side="acquirers", directory=tls[0]) if tls else ""),
        issuer=TLS.format(side="issuers", directory=tls[0]) if tls else "",
        connections=plan.bank_connections,
        deadline_ms=deadline_ms,
    )
    settings += more[1]
    if wallet is not None:
        settings += _tokens(wallet)
    (config / "switch.toml").write_text(settings, encoding="utf-8")
    routes = ROUTES.format(prefix=CARDS)
    (config / "routes" / "bench.toml").write_text(routes, encoding="utf-8")


def run_command(directory: Path) -> list[str]:
    """What starts the node of `node`, again too."""
    return [sys.executable, "-m", "switch", "run", "--config", str(directory / "config")]


def settings_of(directory: Path) -> Settings:
    """Of a node that `node` has started in `directory`."""
    return load_settings(directory / "config")


def settings_text(directory: Path, bank: load.Bank) -> str:
    """The same as text in which nothing differs from run to run."""
    text = (directory / "config" / "switch.toml").read_text(encoding="utf-8")
    return text.replace(str(directory), "DIRECTORY").replace(bank.address, "BANK")


def ready_of(directory: Path) -> dict[str, Any]:
    """What its worker says of itself."""
    file = directory / "data" / "run" / "worker.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(told, dict)
    return told


def _tokens(wallet: Wallet) -> str:
    tokens = wallet.tokens
    (one,) = tokens.ranges
    return (
        "[tokens]\n"
        f'ranges = [{{ prefix = "{one.prefix}", length = {one.length} }}]\n'
        f"vault_file = {tokens.vault_file!r}\n"
        f"index_dir = {tokens.index_dir!r}\n"
        f"card_masters_file = {tokens.card_masters_file!r}\n"
        f"atc_entries_max = {tokens.atc_entries_max}\n"
    )


def _ready(process: subprocess.Popen[bytes], directory: Path) -> dict[str, Any]:
    file = directory / "data" / "run" / "worker.json"
    _until(file.exists, process, directory, "to become ready")
    return ready_of(directory)


def _until(
    happened: Callable[[], bool], process: subprocess.Popen[bytes], directory: Path, what: str
) -> None:
    deadline = time.monotonic() + START_S
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (directory / "switch.log").read_text(encoding="utf-8", errors="replace")
            ended = "" if process.poll() is None else f" (it ended with code {process.poll()})"
            raise UnreachableError(
                f"the switch did not come {what}{ended}: {log[-1500:].strip()}",
            )
        time.sleep(0.02)


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
