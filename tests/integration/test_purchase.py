"""Whole purchases over real sockets and processes."""

from tests.support.node import MakeNode
from tests.support.peer import Acquirer, Bank, fields, purchase, until

ECHOES = ("pan", "amount", "stan", "transmission_time", "rrn", "terminal_id", "merchant_id")
PASSED_ON = ("pan", "amount", "rrn", "terminal_id", "merchant_id", "acquirer_code")


async def test_approval_comes_back_with_the_acquirers_own_fields(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = purchase(4200)
    answer = await acquirer.ask(asked)
    assert answer.mti == "0210"
    assert fields(answer, ECHOES) == {name: asked[name] for name in ECHOES}
    assert answer.get("response_code") == "00"
    assert answer.get("auth_code") == "A00001"
    # Towards the bank: our own number and institution, the acquirer's references as they came.
    (seen,) = bank.requests
    assert seen.get("forwarder_code") == "62990"
    assert fields(seen, PASSED_ON) == {name: asked[name] for name in PASSED_ON}
    await acquirer.close()
    assert await node.stop() == 0
    assert not node.ready_file.exists()


async def test_many_in_flight_on_many_connections_each_get_their_own_answer(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirers = [await Acquirer.connect(node.acquirer) for _ in range(8)]
    asked = []
    for acquirer in acquirers:
        mine = [purchase(100 + n, serial=n) for n in range(50)]
        for values in mine:
            acquirer.send("0200", values)
        asked.append(mine)
    for acquirer, mine in zip(acquirers, asked, strict=True):
        answers = [await acquirer.next() for _ in mine]
        assert {a.get("stan"): a.get("amount") for a in answers} == {
            values["stan"]: values["amount"] for values in mine
        }
        assert {a.get("response_code") for a in answers} == {"00"}
    numbers = {(m.get("stan"), m.get("transmission_time")) for m in bank.requests}
    assert len(numbers) == len(bank.requests) == 400
    assert await node.stop() == 0


async def test_repeat_gets_the_stored_answer_and_the_bank_sees_one_request(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = purchase()
    first = await acquirer.ask(asked)
    again = await acquirer.ask(asked, "0201")
    assert first.get("auth_code") == again.get("auth_code") == "A00001"
    assert len(bank.requests) == 1
    other = await acquirer.ask({**asked, "amount": f"{99:012d}"}, "0201")
    assert other.get("response_code") == "94"
    assert await node.stop() == 0


async def test_silent_bank_is_timed_out_and_reversed(make_node: MakeNode, bank: Bank) -> None:
    bank.silent = True
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    answer = await acquirer.ask(purchase())
    assert answer.get("response_code") == "91"
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    (request,), (reversal,) = bank.requests, bank.reversals
    assert reversal.mti == "0420"
    assert reversal.get("original_data.stan") == request.get("stan")
    assert reversal.get("rrn") == request.get("rrn")
    assert await node.stop() == 0


async def test_reversal_of_the_acquirer_is_acknowledged_and_passed_on(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = purchase()
    await acquirer.ask(asked)
    answer = await acquirer.ask(acquirer.reversal_of(asked), "0420")
    assert (answer.mti, answer.get("response_code")) == ("0430", "00")
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    assert await node.stop() == 0


async def test_own_refusals(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase(0))).get("response_code") == "13"
    unrouted = purchase(prefix="629977")
    assert (await acquirer.ask(unrouted)).get("response_code") == "92"
    foreign = purchase(acquirer_code="99999")
    assert (await acquirer.ask(foreign)).get("response_code") == "30"
    pin = purchase(pin_block=b"\x01\x02\x03\x04\x05\x06\x07\x08")
    assert (await acquirer.ask(pin)).get("response_code") == "57"
    nameless = purchase(merchant_id="")
    assert (await acquirer.ask(nameless)).get("response_code") == "30"
    assert bank.requests == []
    assert await node.stop() == 0


async def test_bank_that_dials_in_is_signed_on_and_used(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node(["accept"]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "91"
    await bank.dial(node.told()["issuers"]["BANK01"])
    await until(lambda: node.opened("BANK01") == 1, what="sign-on")
    assert [m.get("network_code") for m in bank.network] == ["001"]
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0
