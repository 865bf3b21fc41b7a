"""`make load`: a switch with simulated banks, locust in front of it, a report at the end.

Options that are not named here go to locust: --headless, -u, -r, -t, --processes, --fail-if, --csv.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from loadtest import merge
from loadtest.mix import MIXES, find
from loadtest.mix import VARIABLE as MIX_VARIABLE
from loadtest.recorder import ENTRIES
from loadtest.stage import theatre
from loadtest.work import VARIABLE, Stage
from switch.apps.bench.run import scratch
from switch.apps.bench.step import loopback
from switch.apps.load import environment as env
from switch.apps.load.report import make_directory, save, text
from switch.apps.load.threshold import parse_all
from switch.cli.report import print_error
from switch.errors import TapswitchError

HERE: Final = Path(__file__).resolve().parent
EXIT_FAILED: Final = 6
STOP_TIMEOUT_S: Final = 45
"""A user may end its sale and its reversal."""
WEB_HOST: Final = "127.0.0.1"


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Ours, and locust's."""
    names = ", ".join(sorted(path.stem for path in MIXES.glob("*.toml")))
    parser = argparse.ArgumentParser(
        prog="make load LOAD=…", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--mix", default="mixed", help=f"what users do: {names}, or a file")
    add("--tokens", type=int, default=10_000, help="tokens to tap with; 0: plain cards (10000)")
    add("--connect", default="", metavar="HOST:PORT", help="a switch on loopback that runs already")
    add("--institution", default="10000001", help="with --connect: field 32")
    add("--prefix", action="append", help="with --connect: six digits of cards; may be repeated")
    add("--data-dir", type=Path, help="where keys, journal and ledgers are made and left")
    add("--out", type=Path, help="a new directory for the report; default: out/locust-TIME")
    return parser.parse_known_args()


def values_of(option: str, rest: list[str]) -> list[str]:
    """What follows an option of locust's, each time it is there."""
    found = []
    for number, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name == option:
            found.append(value if equals else "".join(rest[number + 1 : number + 2]))
    return found


def processes_of(rest: list[str]) -> int:
    """How many of locust's processes will have users."""
    wanted = [value for value in values_of("--processes", rest) if value.lstrip("-").isdecimal()]
    if not wanted:
        return 1
    return int(wanted[-1]) if int(wanted[-1]) > 0 else os.cpu_count() or 1


async def run_locust(stage: Stage, mix: str, directory: Path, rest: list[str]) -> int:
    """Locust until it ends; Ctrl-C reaches it by itself, SIGTERM is handed on."""
    file = directory / "stage.json"
    file.write_bytes(msgspec.json.encode(stage))
    command = [
        *(sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py")),
        *("--host", stage.address, "--stop-timeout", str(STOP_TIMEOUT_S)),
        *("--exit-code-on-error", "0"),
    ]
    if not values_of("--html", rest):
        command += ["--html", str(directory / "locust.html")]
    if "--headless" not in rest and not values_of("--web-host", rest):
        command += ["--web-host", WEB_HOST]
    paths = filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH")))
    variables = {VARIABLE: str(file), MIX_VARIABLE: mix, "PYTHONPATH": os.pathsep.join(paths)}
    # Its worker processes outlive it by a sale; the pipe ends when the last of them has gone.
    ended, inherited = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *command, *rest, env=os.environ | variables, pass_fds=(inherited,)
    )
    os.close(inherited)
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(ended, gone.set)

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()

    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        code = await process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), 2 * STOP_TIMEOUT_S)
        return code
    finally:
        loop.remove_reader(ended)
        os.close(ended)
        end()


async def main() -> int:
    """Returns the exit code: locust's, or 6 when a threshold failed or the ledgers disagree."""
    ours, rest = arguments()
    mix = find(ours.mix)
    thresholds = parse_all(values_of("--fail-if", rest), ENTRIES)
    directory = make_directory(ours.out, "locust").resolve()
    started, before = time.time(), env.steal()
    conservation: dict[str, Any] | None = None
    settings = ""
    with scratch(ours.data_dir) as place:
        async with theatre(place) as stand:
            if ours.connect:
                loopback(ours.connect)
                stage = Stage(
                    address=ours.connect,
                    institution=ours.institution,
                    prefixes=tuple(ours.prefix or ["629900"]),
                    directory=str(directory),
                    processes=processes_of(rest),
                )
            else:
                say("starting a switch with two simulated banks, development keys")
                stage = await stand.open(ours.tokens, processes_of(rest), directory)
                settings = stand.settings
            say(f"switch at {stage.address}; mix: {mix.title}")
            code = await run_locust(stage, ours.mix, directory, rest)
            if not ours.connect:
                say("coming to rest; comparing the ledgers")
                conservation = await stand.close()
                if not conservation["ok"]:
                    stand.keep(directory)
        environment = env.of_load(place, env.stolen(before, env.steal()), settings)
    run, series = merge.merged(
        directory,
        title=f"Locust: {mix.title}",
        at=env.now(),
        start_s=started,
        plan={"mix": msgspec.to_builtins(mix), "locust": " ".join(rest), "tokens": ours.tokens},
        environment=environment,
        conservation=conservation,
        thresholds=thresholds,
    )
    save(directory, run, series)
    merge.tidy(directory)
    sys.stdout.write(text(run) + "\n")
    say(f"report: {directory / 'report.html'}")
    # Locust judges before the last sales of its worker processes have ended; here all have.
    if code == 0 and not run.passed:
        return EXIT_FAILED
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except TapswitchError as error:
        print_error(error)
        sys.exit(error.exit_code)
