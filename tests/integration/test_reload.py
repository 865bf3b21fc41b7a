"""A worker takes up changed files while payments flow: what it keeps, what it changes, what it
refuses."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from switch.control.reload import Reloaded
from switch.errors import OperatorError, ReloadError
from switch.native import journal, meter
from tests.support.ca import Authority, tls_table
from tests.support.peer import Acquirer, Bank, BankLink, purchase, until
from tests.support.rig import Rig, rig


class Site:
    """A worker, its files and its banks."""

    def __init__(self, directory: Path, worker: Rig, banks: list[Bank]) -> None:
        self.directory = directory
        self.rig = worker
        self.banks = banks

    def edit(self, find: str, put: str, name: str = "switch.toml") -> None:
        file = self.directory / name
        text = file.read_text(encoding="utf-8")
        assert find in text, text
        file.write_text(text.replace(find, put), encoding="utf-8")

    def add(self, text: str, name: str = "switch.toml") -> None:
        file = self.directory / name
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")

    async def reload(self, **options: Any) -> Reloaded:
        return await self.rig.worker.reloader.reload(**{"wait": True, **options})

    @property
    def digest(self) -> str:
        return self.rig.worker.settings.digest

    def gauge(self, name: str) -> int:
        self.rig.worker.gauges.refresh(self.rig.driver)
        reader = meter.MeterReader.open(str(self.rig.worker.metrics.path))
        return reader.gauges()[f"tapswitch_{name}"]

    def counter(self, name: str) -> int:
        reader = meter.MeterReader.open(str(self.rig.worker.metrics.path))
        return reader.counters()[f"tapswitch_{name}"]

    def records(self, kind: str) -> list[Any]:
        worker = self.rig.worker
        place = self.directory / "data" / "journal" / "w0"
        reader = journal.Reader.open(str(place), worker.keys)
        return [record for record in reader.records() if record["kind"] == kind]

    def findings(self) -> list[Any]:
        place = self.directory / "data" / "journal" / "w0"
        return journal.Reader.open(str(place), self.rig.worker.keys).verify()

    async def connect(self, name: str = "ACQ01") -> Acquirer:
        return await Acquirer.connect(self.rig.worker.links.servers[name].at)

    async def ready(self, name: str, links: int = 1) -> None:
        await until(lambda: len(self.rig.member(name).ready) >= links, what=f"{name} ready")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Two banks that are dialled, one connection each but for BANK01's two."""
    banks = [Bank(), Bank()]
    addresses = [await bank.start() for bank in banks]
    async with rig(
        tmp_path,
        addresses,
        deadline="deadline_ms = 1500",
        bank="connections = 2\nin_flight_max = 512",
    ) as worker:
        made = Site(tmp_path, worker, banks)
        await made.ready("BANK01", 2)
        await made.ready("BANK02", 2)
        yield made
        found = made.findings()
    for bank in banks:
        await bank.stop()
    # Native objects must be dropped on the thread that made them, and a worker is cyclic garbage.
    del worker, made
    gc.collect()
    assert found == []


async def test_nothing_that_differs_is_reloaded_too(site: Site) -> None:
    before = site.digest
    done = await site.reload()
    assert (done.before, done.after, done.changes, done.bounces) == (before, before, [], [])
    (told,) = site.records("RECONFIGURED")
    assert told["config"] == before


async def test_route_is_live_and_every_record_names_its_configuration(site: Site) -> None:
    acquirer = await site.connect()
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"
    before = site.digest
    site.edit('issuer = "BANK02"', 'issuer = "BANK01"', "routes/cards.toml")
    done = await site.reload()
    assert [(change.key, change.effect) for change in done.changes] == [
        ("routes.629901.issuer", "live")
    ]
    assert done.changes[0].line == 6
    assert done.bounces == []
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"
    assert [len(bank.requests) for bank in site.banks] == [1, 1]
    after = site.digest
    assert after == done.after != before
    assert [r["config_hash"] for r in site.records("ACCEPTED")] == [before, after]
    assert [r["config"] for r in site.records("RECONFIGURED")] == [after]
    assert site.gauge(f'config_info{{hash="{after}"}}') == 1
    assert site.gauge("config_last_reload_successful") == 1


async def test_request_in_flight_keeps_its_deadline_and_its_bank(site: Site) -> None:
    first, second = site.banks
    held: list[tuple[BankLink, Any]] = []
    first.on_request = lambda link, message: held.append((link, message))
    acquirer = await site.connect()
    acquirer.send("0200", purchase())
    await until(lambda: bool(held), what="at the bank")
    site.edit("deadline_ms = 1500", "deadline_ms = 50")
    site.edit('issuer = "BANK01"', 'issuer = "BANK02"', "routes/cards.toml")
    await site.reload()
    await asyncio.sleep(0.2)
    first.reply(*held[0])
    answer = await acquirer.next()
    assert answer.get("response_code") == "00", "under the deadline that it was accepted with"
    second.silent = True
    refused = await acquirer.ask(purchase())
    assert refused.get("response_code") == "91", "under the new one, at the new bank"
    assert len(second.requests) == 1
    await until(lambda: bool(second.reversals), what="reversed")
    hashes = [r["config_hash"] for r in site.records("ANSWERED")]
    assert hashes == [site.digest] * 2


async def test_changed_dialect_bounces_links_one_by_one_without_a_loss(site: Site) -> None:
    acquirers = [await site.connect() for _ in range(2)]
    links = [link for bank in site.banks for link in bank.links]
    site.edit('["00", "21", "25"]', '["00", "21"]', "dialects/iso87-ascii.toml")
    bank = site.rig.member("BANK01")
    least = [2]
    watching = asyncio.ensure_future(watch(lambda: len(bank.ready), least))
    done = await site.reload()
    watching.cancel()
    assert done.bounces == ["ACQ01", "BANK01", "BANK02"]
    assert least[0] >= 1, "the bank could be reached all the time"
    await site.ready("BANK01", 2)
    await site.ready("BANK02", 2)
    assert all(link.ended.is_set() for link in links)
    for acquirer in acquirers:
        await asyncio.wait_for(acquirer.ended.wait(), 5)
    again = await site.connect()
    assert (await again.ask(purchase())).get("response_code") == "00"
    connection = next(iter(site.rig.member("ACQ01").connections.values()))
    assert connection.dialect is site.rig.worker.dialects["iso87-ascii"]
    assert site.counter('link_disconnects_total{member="BANK01",reason="reload"}') == 2


async def watch(look: Any, least: list[int]) -> None:
    while True:
        least[0] = min(least[0], look())
        await asyncio.sleep(0.001)


async def test_bounced_link_waits_for_what_is_at_its_bank(site: Site) -> None:
    first = site.banks[0]
    held: list[tuple[BankLink, Any]] = []
    first.on_request = lambda link, message: held.append((link, message))
    acquirer = await site.connect()
    acquirer.send("0200", purchase())
    await until(lambda: bool(held), what="at the bank")
    link, message = held[0]
    site.edit('institution_code = "20001"', 'institution_code = "20009"')
    reloading = asyncio.ensure_future(site.reload())
    await asyncio.sleep(0.2)
    assert not link.ended.is_set(), "it still owes an answer"
    first.reply(link, message)
    assert (await acquirer.next()).get("response_code") == "00"
    await reloading
    await asyncio.wait_for(link.ended.wait(), 5)
    assert not acquirer.ended.is_set(), "no link of this acquirer was bounced"


async def test_link_gets_tls_and_loses_it_where_it_listens(site: Site, tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    ours, theirs = ca.issue("switch.test"), ca.issue("acq01.test")
    at = site.rig.worker.links.servers["ACQ01"].at
    before = (site.directory / "switch.toml").read_text(encoding="utf-8")
    plain = await site.connect()
    last = "terminal_timeout_ms = 6000\n"
    site.edit(last, last + tls_table("acquirers", ours, "acq01.test"))
    assert (await site.reload()).bounces == ["ACQ01"]
    await asyncio.wait_for(plain.ended.wait(), 5)
    assert site.rig.worker.links.servers["ACQ01"].at == at
    secret = await Acquirer.connect(at, tls=theirs.client())
    assert (await secret.ask(purchase())).get("response_code") == "00"
    (site.directory / "switch.toml").write_text(before, encoding="utf-8")
    assert (await site.reload()).bounces == ["ACQ01"]
    await asyncio.wait_for(secret.ended.wait(), 5)
    assert (await (await site.connect()).ask(purchase())).get("response_code") == "00"


def spoil(file: str) -> None:
    Path(file).write_text("nothing", encoding="utf-8")


async def test_certificate_that_is_no_good_changes_nothing(site: Site, tmp_path: Path) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    ours = Authority(tmp_path / "ca").issue("switch.test")
    last = "terminal_timeout_ms = 6000\n"
    site.edit(last, last + tls_table("acquirers", ours, "acq01.test"))
    spoil(ours.certificate)
    with pytest.raises(OperatorError, match=r"switch\.toml:\d+"):
        await site.reload()
    await nothing_changed(site, before, links, acquirer)


async def test_bank_that_moves_is_dialled_where_it_is_now(site: Site, tmp_path: Path) -> None:
    moved = Bank()
    there = await moved.start()
    here = f"127.0.0.1:{site.banks[0].port}"
    site.edit(here, there)
    done = await site.reload()
    assert done.bounces == ["BANK01"]
    await site.ready("BANK01", 2)
    assert (len(moved.links), len(site.banks[0].links)) == (2, 0)
    acquirer = await site.connect()
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert len(moved.requests) == 1
    await moved.stop()


LISTEN = 'institution_code = "10001"\nlisten = "127.0.0.1:0"'
ADDED = """
[[acquirers]]
id = "ACQ02"
institution_code = "10002"
listen = "127.0.0.1:0"
timeout_ms = 5000
terminal_timeout_ms = 6000

[[issuers]]
id = "BANK03"
institution_code = "20003"
addresses = ["{address}"]
deadline_ms = 1500
in_flight_max = 1024
"""
ROUTE = '\n[[routes]]\nprefix = "629902"\nissuer = "BANK03"\n'


async def test_new_members_take_part_and_are_counted(site: Site) -> None:
    bank = Bank()
    old = await site.connect()
    assert (await old.ask(purchase())).get("response_code") == "00"
    counted = site.counter('issuer_responses_total{issuer="BANK01",rc_class="approved"}')
    site.add(ADDED.format(address=await bank.start()))
    site.add(ROUTE, "routes/cards.toml")
    await site.reload()
    await site.ready("BANK03", 2)
    new = await site.connect("ACQ02")
    values = purchase(prefix="629902", acquirer_code="10002")
    assert (await new.ask(values)).get("response_code") == "00"
    assert len(bank.requests) == 1
    responses = 'issuer_responses_total{{issuer="{}",rc_class="approved"}}'
    assert site.counter(responses.format("BANK03")) == 1
    assert site.counter(responses.format("BANK01")) == counted, "no counter fell or vanished"
    assert site.gauge('member_signed_on{member="BANK03"}') == 1
    assert (await old.ask(purchase())).get("response_code") == "00"
    await bank.stop()


async def test_removed_bank_finishes_what_it_has_and_keeps_what_is_owed_to_it(site: Site) -> None:
    second = site.banks[1]
    second.acknowledges = False
    held: list[tuple[BankLink, Any]] = []
    second.on_request = lambda link, message: held.append((link, message))
    acquirer = await site.connect()
    acquirer.send("0200", purchase(prefix="629901"))
    acquirer.send("0200", purchase(prefix="629901"))
    await until(lambda: len(held) == 2, what="at the bank")
    before = (site.directory / "switch.toml").read_text(encoding="utf-8")
    start = before.index('\n[[issuers]]\nid = "BANK02"')
    (site.directory / "switch.toml").write_text(before[:start], encoding="utf-8")
    routes = (site.directory / "routes" / "cards.toml").read_text(encoding="utf-8")
    (site.directory / "routes" / "cards.toml").write_text(
        routes[: routes.index("\n[[routes]]", 3)], encoding="utf-8"
    )
    reloading = asyncio.ensure_future(site.reload())
    await asyncio.sleep(0.2)
    second.reply(*held[0])
    assert (await acquirer.next()).get("response_code") == "00"
    assert (await acquirer.next()).get("response_code") == "91", "the other met its deadline"
    await reloading
    assert [bank.name for bank in site.rig.worker.banks.values()] == ["BANK01"]
    assert second.links == []
    assert site.gauge('saf_entries{member="BANK02"}') == 1
    await until(lambda: site.gauge("reversals_parked") == 1, what="parked")
    number = site.records("ACCEPTED")[-1]["out_stan"]
    # It comes back: what is owed to it is delivered, under numbers that go on.
    second.acknowledges, second.on_request = True, None
    (site.directory / "switch.toml").write_text(before, encoding="utf-8")
    (site.directory / "routes" / "cards.toml").write_text(routes, encoding="utf-8")
    await site.reload()
    await site.ready("BANK02")
    await until(lambda: site.gauge('saf_entries{member="BANK02"}') == 0, what="delivered")
    assert site.gauge("reversals_parked") == 0
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"
    assert site.records("ACCEPTED")[-1]["out_stan"] > number


async def test_removed_acquirer_gets_its_last_answer_and_is_let_go(site: Site) -> None:
    site.add(ADDED.partition("\n[[issuers]]")[0])
    await site.reload()
    acquirer = await site.connect("ACQ02")
    at = site.rig.worker.links.servers["ACQ02"].at
    held: list[tuple[BankLink, Any]] = []
    site.banks[0].on_request = lambda link, message: held.append((link, message))
    acquirer.send("0200", purchase(acquirer_code="10002"))
    await until(lambda: bool(held), what="at the bank")
    text = (site.directory / "switch.toml").read_text(encoding="utf-8")
    (site.directory / "switch.toml").write_text(
        text.replace(ADDED.partition("\n[[issuers]]")[0], ""), encoding="utf-8"
    )
    reloading = asyncio.ensure_future(site.reload())
    await asyncio.sleep(0.1)
    site.banks[0].reply(*held[0])
    assert (await acquirer.next()).get("response_code") == "00"
    await reloading
    await asyncio.wait_for(acquirer.ended.wait(), 5)
    host, _, port = at.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_address_passes_from_one_member_to_another(site: Site) -> None:
    at = site.rig.acquirer
    site.edit(LISTEN, LISTEN.replace("127.0.0.1:0", at))
    await site.reload()
    site.edit('id = "ACQ01"', 'id = "ACQ09"')
    await site.reload()
    acquirer = await Acquirer.connect(at)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert site.records("ACCEPTED")[-1]["acquirer"] == "ACQ09"


@pytest.mark.parametrize(
    ("name", "find", "put", "where", "says"),
    [
        ("switch.toml", "[node]", "[node", "switch.toml:1", ""),
        ("switch.toml", "[node]", "[node]\ncutovr = '23:00'", "switch.toml:2", "cutover"),
        (
            "switch.toml",
            "deadline_ms = 1500",
            "deadline_ms = 9000",
            "switch.toml:22:",
            "9000 + 250",
        ),
        ("routes/cards.toml", "BANK02", "BANK03", "cards.toml:6", 'no issuer "BANK03"'),
        (
            "dialects/iso87-ascii.toml",
            '[mti]\nencoding = "ascii"',
            '[mti]\nencodng = "ascii"',
            "iso87-ascii.toml:12",
            "encodng",
        ),
    ],
)
async def test_bad_file_changes_nothing_and_says_where(
    site: Site, name: str, find: str, put: str, where: str, says: str
) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    site.edit(find, put, name)
    with pytest.raises(OperatorError) as refused:
        await site.reload()
    assert refused.value.exit_code == 3
    assert where in str(refused.value)
    assert says in str(refused.value)
    await nothing_changed(site, before, links, acquirer)


async def nothing_changed(site: Site, before: str, links: set[int], acquirer: Acquirer) -> None:
    assert site.digest == before
    assert site.records("RECONFIGURED") == []
    assert set(site.rig.member("BANK01").connections) == links
    assert site.gauge("config_last_reload_successful") == 0
    assert site.gauge(f'config_info{{hash="{before}"}}') == 1
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert site.records("ACCEPTED")[-1]["config_hash"] == before


async def test_key_file_that_is_gone_or_another_changes_nothing(site: Site) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    keys = site.directory / "keys"
    keys.rename(site.directory / "away")
    with pytest.raises(OperatorError, match="key files are gone") as gone:
        await site.reload()
    assert gone.value.key == "keys.file"
    keys.mkdir(mode=0o700)
    journal.create_sealing_key(str(keys / "sealing.key"))
    with (keys / "sealing.key").open("rb") as opened:
        journal.create_key_file(str(keys / "switch.keys"), opened.fileno(), demo=True)
    with pytest.raises(ReloadError, match="other keys"):
        await site.reload()
    await nothing_changed(site, before, links, acquirer)


async def test_key_that_needs_a_restart_refuses_the_whole(site: Site) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    site.edit("[node]", "[node]\nid = 7")
    site.edit('issuer = "BANK02"', 'issuer = "BANK01"', "routes/cards.toml")
    with pytest.raises(ReloadError, match=r"node\.id") as refused:
        await site.reload()
    assert (refused.value.exit_code, refused.value.line) == (5, 2)
    await nothing_changed(site, before, links, acquirer)
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"
    assert len(site.banks[1].requests) == 1


async def test_id_does_not_pass_from_a_bank_to_an_acquirer(site: Site) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    site.edit('id = "ACQ01"', 'id = "BANK02"')
    site.edit(
        'id = "BANK02"\ninstitution_code = "20002"', 'id = "BANK05"\ninstitution_code = "20002"'
    )
    site.edit('issuer = "BANK02"', 'issuer = "BANK05"', "routes/cards.toml")
    with pytest.raises(ReloadError, match="an id cannot pass") as refused:
        await site.reload()
    assert refused.value.key == "acquirers.0.id"
    await nothing_changed(site, before, links, acquirer)


async def test_address_that_cannot_be_had_changes_nothing(site: Site) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    site.edit(LISTEN, LISTEN.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    with pytest.raises(OperatorError, match="cannot listen"):
        await site.reload()
    other.close()
    await nothing_changed(site, before, links, acquirer)


async def test_snapshot_that_cannot_be_written_changes_nothing(site: Site) -> None:
    acquirer = await site.connect()
    before, links = site.digest, set(site.rig.member("BANK01").connections)
    (site.directory / "data" / "run" / "in-force.draft").mkdir()
    site.edit('issuer = "BANK02"', 'issuer = "BANK01"', "routes/cards.toml")
    with pytest.raises(OperatorError, match="cannot be kept"):
        await site.reload()
    await nothing_changed(site, before, links, acquirer)


async def test_dry_run_says_it_and_does_nothing(site: Site) -> None:
    before = site.digest
    site.edit('issuer = "BANK02"', 'issuer = "BANK01"', "routes/cards.toml")
    told = await site.reload(dry_run=True)
    assert (told.dry_run, told.before, len(told.changes)) == (True, before, 1)
    assert told.after != before == site.digest
    assert site.records("RECONFIGURED") == []


async def test_two_reloads_at_once_come_one_after_the_other(site: Site) -> None:
    first = site.digest
    site.edit('issuer = "BANK02"', 'issuer = "BANK01"', "routes/cards.toml")
    one, other = await asyncio.gather(site.reload(), site.reload())
    assert (one.before, one.after) == (first, site.digest)
    assert (other.before, other.after, other.changes) == (site.digest, site.digest, [])
    assert len(site.records("RECONFIGURED")) == 2


async def test_second_reload_takes_over_a_bounce_that_is_under_way(site: Site) -> None:
    first = site.banks[0]
    held: list[tuple[BankLink, Any]] = []
    first.on_request = lambda link, message: held.append((link, message))
    acquirer = await site.connect()
    acquirer.send("0200", purchase())
    await until(lambda: bool(held), what="at the bank")
    site.edit('institution_code = "20001"', 'institution_code = "20008"')
    await site.reload(wait=False)
    assert site.rig.worker.reloader.turnover.busy == ["BANK01"]
    site.edit('institution_code = "20008"', 'institution_code = "20009"')
    site.edit('issuer = "BANK02"', 'issuer = "BANK01"', "routes/cards.toml")
    reloading = asyncio.ensure_future(site.reload())
    await until(lambda: len(site.records("RECONFIGURED")) == 2, what="the second one")
    first.reply(*held[0])
    assert (await acquirer.next()).get("response_code") == "00"
    await reloading
    first.on_request = None
    await site.ready("BANK01", 2)
    assert not any(
        site.rig.worker.links.stale(link) for link in site.rig.member("BANK01").connections.values()
    )
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"


async def test_echo_interval_and_caps_are_live_on_links_that_stand(site: Site) -> None:
    links = set(site.rig.member("BANK01").connections)
    site.edit("in_flight_max = 512", "in_flight_max = 1\necho_idle_s = 1")
    await site.reload()
    assert set(site.rig.member("BANK01").connections) == links
    assert site.rig.member("BANK01").in_flight_max == 1
    assert site.gauge('inflight_limit{issuer="BANK01"}') == 1
    await until(
        lambda: any(one.get("network_code") == "301" for one in site.banks[0].network),
        4,
        "an echo after a second of silence",
    )


RULE = """
[[issuers.stand_in]]
name = "{name}"
when = ["unreachable", "circuit"]
cards = ["plain"]
currency = "156"
amount_minor_max = 100000
count_max = 4
sum_minor_max = 100000
"""


async def test_rules_that_come_and_go_are_counted_by_name_and_hand_shakes_get_another_share(
    site: Site,
) -> None:
    acquirer = await site.connect()
    site.edit(
        "in_flight_max = 512\n", "in_flight_max = 512\nsuspect_ms = 0" + RULE.format(name="first")
    )
    site.edit("[limits]\n", "[limits]\nhandshake_share_max = 40\n")
    await site.reload()
    assert site.rig.worker.certificates.pace.share_max == 40
    await site.banks[0].stop()
    await until(lambda: not site.rig.member("BANK01").ready, what="the bank is gone")
    assert (await acquirer.ask(purchase(expiry="3012"))).get("response_code") == "00"
    site.edit('name = "first"', 'name = "second"')
    await site.reload()
    for _ in range(2):
        assert (await acquirer.ask(purchase(expiry="3012"))).get("response_code") == "00"

    def stood(rule: str) -> int:
        return site.counter(f'stand_in_total{{issuer="BANK01",rule="{rule}",result="stood"}}')

    await until(lambda: (stood("first"), stood("second")) == (1, 2), what="counted by name")


def ready_links(bank: Any) -> Any:
    return lambda: len(bank.ready)


async def dial_again(bank: Bank, at: str) -> None:
    while True:
        if len(bank.links) < 2:
            await bank.dial(at)
        await asyncio.sleep(0.02)


async def test_bank_that_connects_to_us_is_let_go_one_by_one(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, ["accept"], bank="connections = 2") as worker:
        site = Site(tmp_path, worker, [bank])
        at = worker.issuers["BANK01"]
        for _ in range(2):
            await bank.dial(at)
        await site.ready("BANK01", 2)
        first = list(bank.links)
        least = [2]
        watching = asyncio.ensure_future(watch(ready_links(worker.member("BANK01")), least))
        site.edit('institution_code = "20001"', 'institution_code = "20009"')
        returning = asyncio.ensure_future(dial_again(bank, at))
        assert (await site.reload()).bounces == ["BANK01"]
        for task in (watching, returning):
            task.cancel()
        assert least[0] >= 1, "it could be reached all the time"
        assert all(link.ended.is_set() for link in first)
        del worker, site
    await bank.stop()
    gc.collect()
