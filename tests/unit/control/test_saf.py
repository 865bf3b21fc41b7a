"""Orders about store and forward against a worker with real connections."""

import asyncio
import os
import pwd
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from switch.control import saf, saf_list
from switch.control.audit import audit_file, read
from switch.control.chain import Record
from switch.control.order import By, Order
from switch.control.remote import ask
from switch.control.saf import SafDone
from switch.control.saf_hold import SafHold
from switch.control.saf_list import SafList, SafShown
from switch.control.saf_release import SafRelease
from switch.control.saf_retry import SafRetry
from switch.control.saf_show import SafShow
from switch.control.saf_write_off import SafWriteOff, recall
from switch.engine.deliver import Deliveries
from switch.engine.duty import Stage
from switch.errors import OrderError
from switch.journal.query import parse_id
from switch.journal.reader import open_reader
from switch.model.state import Duty
from switch.runtime.clock import monotonic_ns, wall_ms
from tests.support.gate import FakeOwed
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig

WHY = By(actor="anna", reason="test")
ALSO = By(actor="bert", reason="seen")


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    bank.advice_code = "51"
    yield bank
    await bank.stop()


@pytest.fixture
async def node(tmp_path: Path, bank: Bank) -> AsyncIterator[Rig]:
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        yield node


async def done(node: Rig, order: Order) -> SafDone:
    return await asyncio.to_thread(ask, node.worker.settings, order, SafDone)


async def shown(node: Rig, order: SafList | None = None) -> SafShown:
    return await asyncio.to_thread(ask, node.worker.settings, order or SafList(), SafShown)


async def dead_letters(node: Rig, bank: Bank, count: int) -> list[str]:
    """So many advices that the bank has refused; their transactions."""
    acquirer = await Acquirer.connect(node.acquirer)
    for _ in range(count):
        assert (await acquirer.ask(purchase(), "0220")).get("response_code") == "00"
    await until(lambda: node.worker.driver.engine.deliveries.dead == count, what="dead letters")
    return [row.id for row in (await shown(node)).deliveries]


async def test_a_list_has_numbers_for_each_bank_and_dead_letters_first(
    node: Rig, bank: Bank
) -> None:
    first, second = await dead_letters(node, bank, 2)
    await done(node, SafRetry(id=second, by=WHY, dry_run=True))
    bank.acknowledges = False
    await done(node, SafRetry(id=second, by=WHY))
    answer = await shown(node)
    (queue,) = answer.queues
    assert (queue.member, queue.moving, queue.parked, queue.held, queue.dead) == (
        "BANK01", 1, 0, 0, 1,
    )  # fmt: skip
    assert [(row.id, row.stage) for row in answer.deliveries] == [(first, "dead"), (second, "sent")]
    assert (answer.deliveries[0].why, answer.deliveries[0].what) == ("51", "advice")
    one = await shown(node, SafList(limit=1))
    assert (len(one.deliveries), one.more) == (1, True)
    assert (await shown(node, SafList(stage="held"))).deliveries == []


async def test_what_is_not_there_is_refused_with_a_way_on(node: Rig, bank: Bank) -> None:
    (only,) = await dead_letters(node, bank, 1)
    refused: list[tuple[Order, str]] = [
        (SafShow(id="1-0-999"), "no bank is owed anything of 1-0-999"),
        (SafShow(id="x"), '"x" is no transaction id'),
        (SafRetry(id=only, what="reversal"), "no bank is owed the reversal of"),
        (SafRetry(member="BNAK01"), 'no bank "BNAK01"'),
        (SafRelease(id=only), "it is not held"),
        (SafHold(id=only), "a dead letter is not sent"),
        (SafWriteOff(id=only), "a write-off wants a reason"),
        (SafWriteOff(id=only, by=By(reason="card 6299 0000 0000 0004")), "digits in a row"),
        (SafWriteOff(id=only, by=By(reason="x" * 150 + "中" * 50)), "more than 200 bytes"),
    ]
    for order, text in refused:
        with pytest.raises(OrderError, match=text):
            await done(node, order)
    assert len((await shown(node)).deliveries) == 1


async def test_all_that_rest_of_a_bank_are_sent_again(node: Rig, bank: Bank) -> None:
    await dead_letters(node, bank, 3)
    bank.advice_code = "00"
    assert "3 of BANK01 would be" in (await done(node, SafRetry(member="BANK01", dry_run=True))).did
    assert len((await shown(node)).deliveries) == 3
    assert "3 of BANK01 are" in (await done(node, SafRetry(member="BANK01", by=WHY))).did
    await until(lambda: not len(node.worker.driver.engine.deliveries), what="all delivered")
    with pytest.raises(OrderError, match="nothing of BANK01"):
        await done(node, SafRetry(member="BANK01", by=WHY))


async def test_one_is_shown_held_released_and_written_off(node: Rig, bank: Bank) -> None:
    (only,) = await dead_letters(node, bank, 1)
    bank.acknowledges = False
    await done(node, SafRetry(id=only, by=WHY))
    held = await done(node, SafHold(id=only, by=WHY))
    assert [row.stage for row in held.deliveries] == ["held"]
    seen = len(bank.advices)
    released = await done(node, SafRelease(id=only, by=WHY))
    assert [row.stage for row in released.deliveries] == ["sent"]
    await until(lambda: len(bank.advices) > seen, what="sent again")
    (row,) = (await done(node, SafShow(id=only))).deliveries
    assert (row.id, row.member, row.attempts) == (only, "BANK01", 1)
    await done(node, SafWriteOff(id=only, by=WHY))
    gone = await done(node, SafWriteOff(id=only, by=ALSO, confirm=True))
    assert "is written off" in gone.did
    assert gone.deliveries == []
    assert node.member("BANK01").matcher.deliveries == {}


class SlowDisk:
    """The journal as it is, but that nothing is durable until `taken`."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal
        self.before = journal.synced
        self.taken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    @property
    def synced(self) -> int:
        return int(self.journal.synced) if self.taken else self.before


async def test_nobody_is_told_before_it_is_durable(
    node: Rig, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed behind its answer must know of the order all the same."""
    (only,) = await dead_letters(node, bank, 1)
    driver = node.worker.driver
    await until(lambda: driver.journal.synced == driver.journal.appended, what="durable")
    disk = SlowDisk(driver.journal)
    monkeypatch.setattr(driver, "journal", disk)
    bank.acknowledges = False
    asking = asyncio.ensure_future(done(node, SafRetry(id=only, by=WHY)))
    await asyncio.sleep(0.3)
    assert not asking.done()
    disk.taken = True
    assert "is sent again" in (await asking).did
    disk.before, disk.taken = driver.journal.synced, False
    monkeypatch.setattr(saf, "RECORDED_S", 0.2)
    with pytest.raises(OrderError, match="its record is not on disk yet"):
        await done(node, SafHold(id=only, by=WHY))


async def test_the_final_word_takes_two_operators(node: Rig, bank: Bank) -> None:
    (only,) = await dead_letters(node, bank, 1)
    with pytest.raises(OrderError, match="nobody has asked for it within the last 15 minutes"):
        await done(node, SafWriteOff(id=only, by=ALSO, confirm=True))
    asked = await done(node, SafWriteOff(id=only, by=WHY))
    assert asked.did.endswith("is written off once another operator confirms it, within 15 min")
    assert [row.write_off_by for row in asked.deliveries] == ["anna"]
    assert [row.write_off_by for row in (await shown(node)).deliveries] == ["anna"]
    with pytest.raises(OrderError, match="anna has asked for it: another operator"):
        await done(node, SafWriteOff(id=only, by=WHY, confirm=True))
    with pytest.raises(OrderError, match="a write-off wants a reason"):
        await done(node, SafWriteOff(id=only, by=By(actor="bert"), confirm=True))
    assert len((await shown(node)).deliveries) == 1
    only_said = await done(node, SafWriteOff(id=only, by=ALSO, confirm=True, dry_run=True))
    assert "would be written off" in only_said.did
    gone = await done(node, SafWriteOff(id=only, by=ALSO, confirm=True))
    assert "anna asked for it: test" in gone.did
    assert (await shown(node)).deliveries == []
    with pytest.raises(OrderError, match="no bank is owed anything"):
        await done(node, SafWriteOff(id=only, by=ALSO, confirm=True))
    journal = node.worker.journal
    await until(lambda: journal.synced == journal.appended, what="durable")
    (settled,) = settled_in(node)
    assert (settled["operator"], settled["remark"]) == ("anna,bert", "test")
    audit = list(read(audit_file(node.worker.settings.node.data_dir)))
    orders = [one for one in audit if one.order.get("order") == "saf-write-off"]
    results = {one.of: one.outcome for one in audit if one.kind == "result"}
    assert [
        (one.actor, bool(one.order.get("confirm")), results[one.n])
        for one in orders
        if one.kind == "order"
    ] == [
        ("bert", True, "refused"),
        ("anna", False, "done"),
        ("anna", True, "refused"),
        ("bert", True, "refused"),
        ("bert", True, "done"),
        ("bert", True, "refused"),
    ]


def record(n: int, kind: str, age_s: float = 1, **told: Any) -> Record:
    at = datetime.fromtimestamp(wall_ms() / 1000 - age_s, tz=UTC)
    stamp = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
    return Record(n=n, kind=kind, at=stamp, pid=1, uid=1000, user="ops", **told)


def asking(n: int, only: str, actor: str, age_s: float = 1, **more: Any) -> list[Record]:
    """An order and its result, as the audit has them."""
    order = msgspec.to_builtins(SafWriteOff(id=only, **more))
    del order["by"]
    return [
        record(n, "order", age_s, actor=actor, reason="seen", order=order),
        record(n + 1, "result", age_s, of=n, outcome="done"),
    ]


async def test_what_the_audit_says_was_asked_is_asked(node: Rig, bank: Bank) -> None:
    """For what is left of its time; nothing else in the audit asks for anything."""
    one, two, three = await dead_letters(node, bank, 3)
    none = [
        *asking(1, "9-9-99", "anna"),
        *asking(3, one, "anna", age_s=901),
        asking(5, one, "anna")[0],  # The worker was killed before it had done it.
        *asking(7, one, "anna")[:1],
        record(8, "result", of=7, outcome="refused"),
        *[msgspec.structs.replace(r, order={"order": "saf-hold", "id": one})
          for r in asking(9, one, "anna")],
        *[msgspec.structs.replace(r, order={"order": "saf-write-off", "id": 1} if r.order else {})
          for r in asking(11, one, "anna")],
        record(13, "opened"),
    ]  # fmt: skip
    recall(node.worker, none)
    assert [row.write_off_by for row in (await shown(node)).deliveries] == ["", "", ""]
    recall(
        node.worker,
        [
            *asking(1, one, "anna", age_s=890),
            *asking(3, two, "anna"),
            *asking(5, two, "", what="advice"),
            *asking(7, three, "anna", age_s=-3_600),
            *asking(9, one, "bert", age_s=880, confirm=True),
        ],
    )
    found = {row.id: row.write_off_by for row in (await shown(node)).deliveries}
    assert found == {one: "", two: "ops", three: "anna"}
    asked = node.worker.approvals.of(
        ("saf-write-off", parse_id(three) or 0, int(Duty.ADVICE)), monotonic_ns()
    )
    assert asked is not None
    assert asked.until_ns - monotonic_ns() <= 900 * 10**9, "also when the clock was set back"


async def test_one_operator_is_enough_where_the_settings_say_so(node: Rig, bank: Bank) -> None:
    (only,) = await dead_letters(node, bank, 1)
    settings = node.worker.settings
    alone = msgspec.structs.replace(settings.node, four_eyes=False)
    node.worker.settings = msgspec.structs.replace(settings, node=alone)
    with pytest.raises(OrderError, match="needs no second operator here"):
        await done(node, SafWriteOff(id=only, by=WHY, confirm=True))
    assert (await done(node, SafWriteOff(id=only, by=WHY))).did.startswith(f"advice of {only} is")
    assert (await shown(node)).deliveries == []


async def test_an_order_that_names_nobody_is_the_callers_own(node: Rig, bank: Bank) -> None:
    """By what the kernel says: leaving the name out does not make another operator."""
    (only,) = await dead_letters(node, bank, 1)
    user = pwd.getpwuid(os.getuid()).pw_name
    await done(node, SafWriteOff(id=only, by=By(reason="first")))
    for by in (By(reason="second"), By(actor=user, reason="second")):
        with pytest.raises(OrderError, match=f"{user} has asked for it"):
            await done(node, SafWriteOff(id=only, by=by, confirm=True))


def settled_in(node: Rig) -> list[dict[str, Any]]:
    """What the journal has of operators' words."""
    worker = node.worker
    place = Path(worker.settings.node.data_dir) / "journal" / "w0"
    return [one for one in open_reader(place, worker.keys).records() if one.get("operator")]


async def test_a_list_is_read_page_by_page(node: Rig, bank: Bank) -> None:
    dead = await dead_letters(node, bank, 5)
    bank.acknowledges = False
    for one in dead[:2]:
        await done(node, SafRetry(id=one, by=WHY))
    await done(node, SafHold(id=dead[1], by=WHY))
    pages: list[list[str]] = []
    after = ""
    while not pages or after:
        page = await shown(node, SafList(limit=2, after=after))
        pages.append([row.id for row in page.deliveries])
        assert page.more == bool(page.next)
        after = page.next
    assert pages == [[dead[2], dead[3]], [dead[4], dead[1]], [dead[0]]]
    first = await shown(node, SafList(limit=1, stage="dead", member="BANK01"))
    await done(node, SafRetry(id=dead[3], by=WHY))
    second = await shown(node, SafList(limit=1, stage="dead", member="BANK01", after=first.next))
    assert [row.id for row in second.deliveries] == [dead[4]]
    assert (second.more, second.next) == (False, "")
    for nowhere in ("x", "BANK01:dead:", "BANK02:dead:1", "BANK01:held:-1"):
        with pytest.raises(OrderError, match="there is no page behind"):
            await done(node, SafList(after=nowhere))


async def test_a_list_of_a_long_queue_does_not_hold_up_the_loop(node: Rig) -> None:
    deliveries, now_ns = Deliveries(node.worker.bank_rules), 0
    index = node.member("BANK01").index
    for txn in range(1, 100_001):
        deliveries.add(
            FakeOwed(txn, index, txn % 1_000_000, "1123170000"), now_ns, stage=Stage.PARKED
        )
    node.worker.driver.engine._deliveries = deliveries
    gaps: list[float] = []

    async def watch() -> None:
        before = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(0)
            now = asyncio.get_running_loop().time()
            gaps.append(now - before)
            before = now

    watching = asyncio.ensure_future(watch())
    page = await saf_list.perform(SafList(stage="sent"), node.worker)
    watching.cancel()
    node.worker.driver.engine._deliveries = Deliveries(node.worker.bank_rules)
    assert page.deliveries == []
    assert page.queues[0].parked == 100_000
    assert len(gaps) > 100_000 // saf_list.LOOKS_AT_ONCE // 2, "the loop went on all the while"
