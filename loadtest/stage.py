"""A switch with simulated banks on loopback, for as long as a load run lasts.

The banks and the node are processes of their own, as in the demonstration. At the end nothing new
is offered, the banks heal, everything comes to rest, and the ledgers of terminals, journal and
banks are compared.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

import switch
from loadtest.work import Stage
from switch.apps.children import Child
from switch.apps.conservation import Report, compare
from switch.apps.issuing import issue_tokens
from switch.apps.node import Node
from switch.apps.tail import Tail
from switch.errors import OperatorError
from switch.settings.load import load
from switch.settings.schema import Issuer, Settings
from switch.sim.ledger import read_bookings, read_sales

__all__ = ["Theatre", "theatre"]

HERE: Final = Path(__file__).resolve().parent
DIALECTS: Final = Path(switch.__file__).resolve().parent.parent / "config" / "dialects"
ACQUIRER: Final = "ACQ01"
REST_S: Final = 20.0
LATE: Final = 1.3
"""A late answer comes after this many deadlines of its bank."""


class Theatre:
    """What runs, and how its ledgers are compared."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._logs = directory / "logs"
        self._ledgers = directory / "ledgers"
        self._banks: dict[str, Child] = {}
        self._node: Node | None = None
        self.settings = ""
        """Of the node, as text in which nothing differs from run to run."""

    async def open(self, tokens: int, processes: int, out: Path) -> Stage:
        """Starts everything; locust's processes leave their parts in `out`. Raises: OperatorError,
        UnreachableError."""
        for directory in (self._logs, self._ledgers):
            directory.mkdir(parents=True)
        config = self._directory / "config"
        self._write(config, {})
        plan = load(config)
        addresses = {}
        for issuer in plan.issuers:
            ready = await self._bank(plan, issuer)
            addresses[issuer.addresses[0]] = "{}:{}".format(*ready["listen"])
        self._write(config, addresses)
        csv = self._directory / "tokens.csv"
        if tokens:
            await issue_tokens(config, csv, tokens, self._logs / "import.log")
        self._node = Node(config, self._logs)
        ready = await self._node.start()
        acquirer = next(one for one in plan.acquirers if one.id == ACQUIRER)
        return Stage(
            address=ready["acquirers"][ACQUIRER],
            institution=acquirer.institution_code,
            prefixes=tuple(route.prefix for route in plan.routes),
            directory=str(out),
            ledgers=str(self._ledgers),
            node=str(config) if tokens else "",
            tokens=str(csv) if tokens else "",
            processes=processes,
        )

    def _write(self, config: Path, addresses: dict[str, str]) -> None:
        text = (HERE / "switch.toml").read_text(encoding="utf-8")
        self.settings = text
        for placeholder, address in addresses.items():
            text = text.replace(f'"{placeholder}"', f'"{address}"')
        (config / "routes").mkdir(parents=True, exist_ok=True)
        (config / "switch.toml").write_text(text, encoding="utf-8")
        shutil.copy(HERE / "routes.toml", config / "routes" / "load.toml")
        if not (config / "dialects").exists():
            shutil.copytree(DIALECTS, config / "dialects")

    async def _bank(self, plan: Settings, issuer: Issuer) -> dict[str, Any]:
        prefixes = [route.prefix for route in plan.routes if route.issuer == issuer.id]
        arguments = [
            "issuer",
            *("--name", issuer.id, "--institution-code", issuer.institution_code),
            *("--ledger", str(self._ledgers / f"{issuer.id}.jsonl"), "--listen", "127.0.0.1:0"),
            *("--connections", str(issuer.connections), "--fast-ms", "1", "5"),
            *("--slow-share", "0.005", "--late-ms", str(LATE * issuer.deadline_ms)),
            *(part for prefix in prefixes for part in ("--prefix", prefix)),
        ]
        child = Child(issuer.id, arguments, self._logs / f"{issuer.id}.log")
        self._banks[issuer.id] = child
        return await child.start()

    async def rest(self) -> str:
        """Heals the banks and waits until nothing is open; what is, in words, when that fails."""
        assert self._node is not None
        tail = Tail(self._node.records)
        for bank in self._banks.values():
            bank.order("heal")
        open_work = ""
        try:
            async with asyncio.timeout(REST_S):
                while True:
                    tail.poll()
                    banks = [await bank.report() for bank in self._banks.values()]
                    waiting = sum(status["waiting"] for status in banks)
                    open_work = (
                        f"{waiting} answers at banks, {tail.in_flight} requests in flight, "
                        f"{tail.owed} reversals owed"
                    )
                    if not (waiting or tail.in_flight or tail.owed):
                        return ""
                    await asyncio.sleep(0.1)
        except TimeoutError:
            return f"not at rest after {REST_S:.0f} s: {open_work}"
        except OperatorError as error:
            return str(error)

    async def close(self) -> dict[str, Any]:
        """Comes to rest, ends everything, compares the ledgers."""
        assert self._node is not None
        problem = await self.rest()
        code = await self._node.stop()
        await asyncio.gather(*(bank.stop() for bank in self._banks.values()))
        node = self._node
        sales = sorted(self._ledgers.glob(f"{self._institution}-*.jsonl"))
        report = compare(
            lambda: (line for path in sales for line in read_sales(path)),
            lambda: node.records(0),
            {name: partial(read_bookings, self._ledgers / f"{name}.jsonl") for name in self._banks},
        )
        problems = [problem] if problem else []
        problems += [f"the switch ended with exit code {code}"] if code else []
        problems += [f"journal {one['rule']}: {one['problem']}" for one in node.verify()]
        return summary(report, problems)

    def keep(self, out: Path) -> None:
        """Copies ledgers and logs, for whoever looks into a disagreement."""
        for directory in (self._ledgers, self._logs):
            shutil.copytree(directory, out / directory.name)

    @property
    def _institution(self) -> str:
        plan = load(self._directory / "config")
        return next(one for one in plan.acquirers if one.id == ACQUIRER).institution_code

    async def kill(self) -> None:
        """Whatever still runs ends now."""
        for bank in self._banks.values():
            bank.kill()
        if self._node is not None:
            await self._node.kill()
        await asyncio.gather(*(bank.stop() for bank in self._banks.values()))


def summary(report: Report, problems: list[str]) -> dict[str, Any]:
    """As a run's report has it."""
    return {
        "ok": report.ok and not problems,
        "approvals_acquirer": report.approvals_acquirer,
        "approvals_journal": report.approvals_journal,
        "holds_issuer": report.holds_issuer,
        "reversed": report.reversed,
        "findings_total": report.findings_total,
        "findings": [msgspec.to_builtins(finding) for finding in report.findings],
        "problems": problems,
    }


@contextlib.asynccontextmanager
async def theatre(directory: Path) -> AsyncIterator[Theatre]:
    """Nothing is left running, however it ends."""
    made = Theatre(directory)
    try:
        yield made
    finally:
        await made.kill()
