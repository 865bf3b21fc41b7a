"""Refusing without a record: many at once, each told exactly what it would have been told alone."""

from pathlib import Path

from switch.model.kind import Kind
from switch.model.state import KeyState
from switch.native import codec
from tests.support.walk import NOW_S, World, open_world

END = "AW"
CODE = "91"
ALL = (1 << 64) - 2
MANY = 70
ICC = b"\x9f\x26\x08" + bytes(range(8))


def stream(world: World, *stans: int, **changes: str | bytes) -> bytes:
    return b"".join(world.frame(stan, **changes) for stan in stans)


def shed(
    world: World, framer: codec.Framer, *, before_ns: int = ALL, most: int = 512
) -> tuple[dict[int, int], list[int]]:
    """Kinds of what was refused, and whether the front may not wait."""
    kinds, passing = world.gate.shed(
        [framer], [world.terminal], before_ns, before_ns, most, CODE, END, NOW_S
    )
    return dict(kinds), passing


def queued(world: World, *parts: bytes) -> codec.Framer:
    framer = codec.Framer(world.dialect)
    framer.queue(b"".join(parts), 10)
    return framer


def cut(world: World, data: bytes) -> list[codec.Message]:
    items = codec.Framer(world.dialect).feed(data, 1)
    messages = [item for item in items if isinstance(item, codec.Message)]
    assert len(messages) == len(items)
    return messages


def test_many_are_told_byte_for_byte_what_each_would_be_told_alone(tmp_path: Path) -> None:
    rooms = [tmp_path / "one", tmp_path / "many"]
    for room in rooms:
        room.mkdir()
    with open_world(rooms[0]) as one, open_world(rooms[1]) as many:
        expected = b""
        for stan in range(MANY):
            request = one.purchase(stan, icc=ICC)
            one.claim(request, stan + 1)
            one.gate.refuse(request, one.terminal, CODE, END, NOW_S)
            expected += one.release()[one.terminal]
        framer = queued(many, stream(many, *range(MANY), icc=ICC))
        assert shed(many, framer) == ({Kind.PURCHASE: MANY}, [])
        assert many.release() == {many.terminal: expected}
        assert framer.waiting == 0
        assert not many.journal.appended


def test_requests_of_other_shapes_and_kinds_go_together_and_keep_their_order(
    tmp_path: Path,
) -> None:
    with open_world(tmp_path) as world:
        data = b""
        for stan in range(MANY):
            shape: dict[str, str | bytes] = {"rrn": ""} if stan % 3 else {"expiry": "3012"}
            if stan % 5 == 0:
                shape |= {"processing_code": "310000", "amount": "000000000000"}
            if stan % 7 == 0:
                shape |= {"mti": "0100", "processing_code": "000000", "amount": "000000000100"}
            data += world.frame(stan, **shape)
        framer = queued(world, data)
        kinds, passing = shed(world, framer)
        assert sum(kinds.values()) == MANY
        assert set(kinds) == {Kind.PURCHASE, Kind.BALANCE, Kind.AUTHORISATION}
        assert not passing
        answers = cut(world, world.release()[world.terminal])
        assert [answer.stan for answer in answers] == list(range(MANY))
        assert {answer.get("response_code") for answer in answers} == {CODE}
        told = {answer.mti for answer in answers}
        assert told == {"0210", "0110"}


def test_a_key_that_is_known_ends_it_and_is_not_to_wait(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, _ = world.approved(40)
        framer = queued(world, stream(world, *range(50)))
        assert shed(world, framer) == ({Kind.PURCHASE: 40}, [0])
        assert framer.waiting == 10
        answers = cut(world, world.release()[world.terminal])
        assert [answer.stan for answer in answers] == list(range(40))
        assert request.stan == 40


def test_the_same_request_twice_in_one_handful_is_refused_once(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        framer = queued(world, stream(world, 1, 2, 2, 3))
        assert shed(world, framer) == ({Kind.PURCHASE: 2}, [0])
        assert framer.waiting == 2
        (repeat,) = framer.take(1, 1)
        assert isinstance(repeat, codec.Message)
        claimed = world.duplicates.claim(repeat, world.acquirer, 9, NOW_S)
        assert claimed == KeyState.TURNED_AWAY


def test_what_must_not_be_refused_ends_it(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        reversal = world.reversal_frame(1, 2)
        zero = stream(world, 3, amount="000000000000")
        wrong = bytearray(stream(world, 4))
        wrong[-2] = ord("x")
        for stop in (reversal, zero, bytes(wrong)):
            stans = (100, 101) if stop == reversal else (102, 103) if stop == zero else (104, 105)
            framer = queued(world, stream(world, *stans), stop, stream(world, 200))
            assert shed(world, framer) == ({Kind.PURCHASE: 2}, [0])
            assert framer.waiting == 2


def test_it_ends_at_what_came_too_late_and_at_its_number(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        framer = queued(world, stream(world, *range(5)))
        framer.queue(stream(world, *range(5, 9)), 20)
        assert shed(world, framer, before_ns=20) == ({Kind.PURCHASE: 5}, [])
        assert shed(world, framer, most=3) == ({Kind.PURCHASE: 3}, [])
        assert (framer.waiting, framer.oldest_ns) == (1, 20)


def test_bitmaps_that_somebody_makes_up_are_refused_all_the_same(tmp_path: Path) -> None:
    """More of them than are remembered; and then those again that are."""
    spare = [
        "mcc", "expiry", "rrn", "local_time", "local_date", "card_sequence", "merchant_name",
    ]  # fmt: skip
    values = {
        "mcc": "5411", "expiry": "3012", "rrn": "000000000001", "local_time": "000000",
        "local_date": "1124", "card_sequence": "001", "merchant_name": "X" * 40,
    }  # fmt: skip
    with open_world(tmp_path) as world:
        stan = 0
        for _ in range(2):
            for drawn in range(1 << len(spare)):
                stan += 1
                shape = {
                    name: values[name] if drawn >> at & 1 else "" for at, name in enumerate(spare)
                }
                framer = queued(world, world.frame(stan, **shape))
                assert shed(world, framer) == ({Kind.PURCHASE: 1}, [])
                answer = world.one(world.release(), world.terminal)
                assert (answer.stan, answer.get("response_code")) == (stan, CODE)
                assert answer.get("rrn") == (shape["rrn"] or None)
