"""What `tapswitch check` says of rules of stand-in, at the key of the settings."""

from pathlib import Path

from switch.control.check import check_node
from switch.crypto.keyfile import create_keys
from tests.support.config import ROUTES, SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")
GOOD = {
    "name": '"transit"',
    "when": '["unreachable", "circuit", "timeout"]',
    "cards": '["token"]',
    "currency": '"156"',
    "amount_minor_max": "2000",
    "count_max": "10",
    "sum_minor_max": "6000",
    "bank_sum_minor_max": "1000000",
}
TOKENS = """
[tokens]
ranges = [{prefix = "629977", length = 16}]
"""


def table(**changes: str) -> str:
    lines = (f"{key} = {value}\n" for key, value in (GOOD | changes).items())
    return "[[issuers.stand_in]]\n" + "".join(lines)


def found(
    tmp_path: Path, *tables: str, tokens: str = TOKENS, dialect: str = DIALECT
) -> list[tuple[str, str, str]]:
    """(severity, key, problem) of the rule `stand_in`, for BANK01 with these tables."""
    second = '[[issuers]]\nid = "BANK02"'
    switch = SWITCH.replace(second, "".join(tables) + second, 1) + tokens
    directory = tmp_path / "node"
    directory.mkdir(exist_ok=True)
    write_config(directory, switch, ROUTES, dialect)
    keys = directory / "keys"
    if not keys.exists():
        create_keys(str(keys / "switch.keys"), str(keys / "sealing.key"))
    placed = [one for one in check_node(directory) if one.finding.rule == "stand_in"]
    lines = (directory / "switch.toml").read_text(encoding="utf-8").splitlines()
    for one in placed:
        key = [part for part in one.finding.key.split(".") if not part.isdecimal()][-1]
        assert lines[one.line - 1].startswith(f"{key} = ") or key not in "".join(tables)
        assert one.file.endswith("switch.toml")
    return [(f.severity, f.key, f.problem) for f in (one.finding for one in placed)]


def test_a_good_rule_is_not_spoken_of(tmp_path: Path) -> None:
    assert found(tmp_path, table()) == []


def test_a_name_is_given_once(tmp_path: Path) -> None:
    second = table(currency='"840"')
    (one,) = found(tmp_path, table(), second)
    assert one[:2] == ("error", "issuers.0.stand_in.1.name")


def test_limits_that_contradict(tmp_path: Path) -> None:
    (one,) = found(tmp_path, table(sum_minor_max="1999"))
    assert one[:2] == ("error", "issuers.0.stand_in.0.sum_minor_max")
    (one,) = found(tmp_path, table(bank_sum_minor_max="5999"))
    assert one[:2] == ("error", "issuers.0.stand_in.0.bank_sum_minor_max")


def test_limits_that_are_never_reached_or_absent(tmp_path: Path) -> None:
    (one,) = found(tmp_path, table(sum_minor_max="20001"))
    assert one[:2] == ("warning", "issuers.0.stand_in.0.sum_minor_max")
    assert "10 approvals of 2000 make 20000" in one[2]
    (one,) = found(tmp_path, table(bank_sum_minor_max="0"))
    assert one[:2] == ("warning", "issuers.0.stand_in.0.bank_sum_minor_max")


def test_cards_that_nobody_proves_and_tokens_that_are_none(tmp_path: Path) -> None:
    (one,) = found(tmp_path, table(cards='["plain"]'), tokens="")
    assert one[:2] == ("warning", "issuers.0.stand_in.0.cards")
    (one,) = found(tmp_path, table(), tokens="")
    assert one[:2] == ("error", "issuers.0.stand_in.0.cards")


def test_prefixes_of_another_bank(tmp_path: Path) -> None:
    (one,) = found(tmp_path, table(prefixes='["6299", "629901"]'))
    assert one[:2] == ("warning", "issuers.0.stand_in.0.prefixes.1")


def test_a_rule_that_one_before_it_covers(tmp_path: Path) -> None:
    narrow = table(name='"small"', amount_minor_max="600", mccs='["4111"]')
    (one,) = found(tmp_path, table(), narrow)
    assert one[:2] == ("warning", "issuers.0.stand_in.1.name")
    assert found(tmp_path, narrow, table()) == []


def test_a_dialect_that_cannot_tell_the_bank(tmp_path: Path) -> None:
    start = DIALECT.index("[legs.advice]")
    end = DIALECT.index("\n[", start)
    (one,) = found(tmp_path, table(), dialect=DIALECT[:start] + DIALECT[end + 1 :])
    assert one[:2] == ("error", "issuers.0.dialect")
