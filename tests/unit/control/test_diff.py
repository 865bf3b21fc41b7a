"""`compare` says of every key that differs what a reload must do about it."""

from pathlib import Path

import pytest

from switch.control.diff import Change, bounced, compare, flat, restarts
from switch.settings.effect import EFFECTS, Effect
from switch.settings.load import load
from switch.settings.schema import Settings
from tests.support.config import DIALECT, ROUTES, SWITCH, write_config

TOKENS = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'


@pytest.fixture
def old(tmp_path: Path) -> Settings:
    return made(tmp_path, "old")


def made(
    directory: Path, name: str, switch: str = SWITCH, routes: str = ROUTES, dialect: str = DIALECT
) -> Settings:
    """Settings in the same place under any name, so that paths are equal."""
    place = directory / name
    place.mkdir()
    write_config(place, switch, routes, dialect)
    place.rename(directory / "same")
    settings = load(directory / "same")
    (directory / "same").rename(place)
    return settings


def one(changes: list[Change]) -> Change:
    assert len(changes) == 1, changes
    return changes[0]


def test_nothing_differs_from_itself(old: Settings) -> None:
    assert compare(old, old) == []


def test_comments_and_layout_are_no_difference(old: Settings, tmp_path: Path) -> None:
    new = made(tmp_path, "new", "# words\n" + SWITCH.replace("[node]\n", "[node]\n\n"))
    assert new.digest != old.digest
    assert compare(old, new) == []


def test_order_of_members_and_routes_is_no_difference(old: Settings, tmp_path: Path) -> None:
    node, acquirer, *banks = SWITCH.split("\n[[")
    first, second = ROUTES.split("\n\n")
    switch = "\n[[".join([node, *reversed(banks), acquirer])
    new = made(tmp_path, "new", switch, f"{second}\n{first}\n")
    assert [bank.id for bank in new.issuers] == ["BANK02", "BANK01"]
    assert [route.prefix for route in new.routes] == ["629901", "629900"]
    assert compare(old, new) == []


@pytest.mark.parametrize(
    ("key", "find", "put", "effect", "bounces"),
    [
        ("node.id", "[node]\n", "[node]\nid = 2\n", Effect.RESTART, ()),
        ("node.cutover", "[node]\n", '[node]\ncutover = "22:00"\n', Effect.LIVE, ()),
        (
            "limits.frame_bytes_max",
            "[node]",
            "[limits]\nframe_bytes_max = 2048\n[node]",
            Effect.BOUNCE,
            ("ACQ01", "BANK01", "BANK02"),
        ),
        (
            "acquirers.ACQ01.listen",
            "127.0.0.1:4001",
            "127.0.0.1:4009",
            Effect.BOUNCE,
            ("ACQ01",),
        ),
        (
            "issuers.BANK01.addresses",
            "127.0.0.1:5001",
            "127.0.0.1:5009",
            Effect.BOUNCE,
            ("BANK01",),
        ),
        (
            "issuers.BANK01.deadline_ms",
            'id = "BANK01"\n',
            'id = "BANK01"\ndeadline_ms = 9000\n',
            Effect.LIVE,
            (),
        ),
        (
            "issuers.BANK01.connections",
            'id = "BANK01"\n',
            'id = "BANK01"\nconnections = 3\n',
            Effect.BOUNCE,
            ("BANK01",),
        ),
        # A bank that connects to us: its number of connections is a cap, looked at when it comes.
        (
            "issuers.BANK02.connections",
            'id = "BANK02"\n',
            'id = "BANK02"\nconnections = 3\n',
            Effect.LIVE,
            (),
        ),
        (
            "issuers.BANK01.listen",
            'id = "BANK01"\n',
            'id = "BANK01"\nlisten = "127.0.0.1:4444"\n',
            Effect.LIVE,
            (),
        ),
    ],
)
def test_effect_of_a_key(
    old: Settings,
    tmp_path: Path,
    key: str,
    find: str,
    put: str,
    effect: Effect,
    bounces: tuple[str, ...],
) -> None:
    change = one(compare(old, made(tmp_path, "new", SWITCH.replace(find, put))))
    assert (change.key, change.effect, change.bounces) == (key, effect, bounces)
    assert change.before != change.after
    assert bounced([change]) == list(bounces)
    assert restarts([change]) == ([change] if effect is Effect.RESTART else [])


def test_new_and_removed_members_are_one_change_each(old: Settings, tmp_path: Path) -> None:
    switch = SWITCH.replace('id = "BANK02"', 'id = "BANK03"')
    new = made(tmp_path, "new", switch, ROUTES.replace("BANK02", "BANK03"))
    changes = {change.key: change for change in compare(old, new)}
    assert set(changes) == {"issuers.BANK03", "issuers.BANK02", "routes.629901.issuer"}
    assert {change.effect for change in changes.values()} == {Effect.LIVE}
    came, went = changes["issuers.BANK03"], changes["issuers.BANK02"]
    assert (came.before, came.removed, came.at) == ("", False, "issuers.1")
    assert (went.after, went.removed, went.at) == ("", True, "issuers.1")
    assert "127.0.0.1:4102" in came.after
    assert "stay owed" in went.note


def test_tokens_that_come_or_go_need_a_restart(old: Settings, tmp_path: Path) -> None:
    new = made(tmp_path, "new", SWITCH + TOKENS)
    for change in (one(compare(old, new)), one(compare(new, old))):
        assert (change.key, change.effect) == ("tokens", Effect.RESTART)


def test_new_range_of_tokens_needs_a_restart(tmp_path: Path) -> None:
    old = made(tmp_path, "with", SWITCH + TOKENS)
    more = TOKENS.replace("}]", '}, { prefix = "629978", length = 16 }]')
    change = one(compare(old, made(tmp_path, "new", SWITCH + more)))
    assert (change.key, change.effect) == ("tokens.ranges.629978", Effect.RESTART)


def test_changed_dialect_bounces_who_speaks_it(old: Settings, tmp_path: Path) -> None:
    new = made(tmp_path, "new", dialect=DIALECT + 'version = "2"\n')
    change = one(compare(old, new))
    assert (change.key, change.effect) == ("dialects.iso87-ascii", Effect.BOUNCE)
    assert change.bounces == ("ACQ01", "BANK01", "BANK02")


def test_dialect_in_other_words_bounces_nobody(old: Settings, tmp_path: Path) -> None:
    change = one(compare(old, made(tmp_path, "new", dialect="# words\n" + DIALECT)))
    assert (change.effect, change.bounces) == (Effect.LIVE, ())
    assert "other words" in change.note


def test_dialect_that_nobody_speaks_bounces_nobody(old: Settings, tmp_path: Path) -> None:
    place = tmp_path / "two"
    place.mkdir()
    write_config(place)
    (place / "dialects" / "other.toml").write_text('name = "other"\n', encoding="utf-8")
    changes = [c for c in compare(old, load(place)) if c.key.startswith("dialects")]
    assert (one(changes).key, one(changes).effect) == ("dialects.other", Effect.LIVE)


def test_what_disturbs_most_comes_first(old: Settings, tmp_path: Path) -> None:
    switch = SWITCH.replace("[node]\n", '[node]\nid = 2\ncutover = "22:00"\n')
    new = made(tmp_path, "new", switch.replace("127.0.0.1:4001", "127.0.0.1:4009"))
    assert [change.effect for change in compare(old, new)] == [
        Effect.RESTART,
        Effect.BOUNCE,
        Effect.LIVE,
    ]


def test_every_flat_key_has_its_row(tmp_path: Path) -> None:
    settings = made(tmp_path, "with", SWITCH + TOKENS)
    rows = {value.row for value in flat(settings) if "." in value.row}
    assert rows <= set(EFFECTS)
