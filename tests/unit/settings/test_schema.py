"""Addresses, and what the schema promises about itself."""

import msgspec
import pytest

from switch.settings.example import table_of
from switch.settings.load import load
from switch.settings.schema import SwitchFile, split_address
from tests.support.tree import ROOT


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:4001", ("127.0.0.1", 4001)),
        ("[::1]:0", ("::1", 0)),
        ("bank.example:65535", ("bank.example", 65535)),
    ],
)
def test_address_is_split(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", "4001", ":4001", "host:", "host:65536", "host:-1", "a:b"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        split_address(address)


def test_everything_we_listen_on_is_listed_with_its_key() -> None:
    settings = load(ROOT / "config" / "demo.toml")
    assert [key for key, _ in settings.listens()] == [
        "acquirers.0.listen",
        "acquirers.1.listen",
        "issuers.1.listen",
        "metrics.listen",
    ]


def test_every_key_has_a_description() -> None:
    """The example file is made of them."""
    silent = []
    for table in msgspec.structs.fields(SwitchFile):
        info = msgspec.inspect.type_info(table.type)
        if isinstance(info, msgspec.inspect.Metadata):
            info = info.type
        if isinstance(info, msgspec.inspect.UnionType):
            info = table_of(info.types)
        if isinstance(info, msgspec.inspect.VarTupleType):
            info = info.item_type
        assert isinstance(info, msgspec.inspect.StructType)
        assert info.cls.__doc__
        for field in info.fields:
            described = isinstance(field.type, msgspec.inspect.Metadata) and (
                field.type.extra_json_schema or {}
            ).get("description")
            if not described:
                silent.append(f"{table.name}.{field.name}")
    assert silent == []


def test_settings_cannot_be_changed() -> None:
    settings = load(ROOT / "config" / "demo.toml")
    with pytest.raises(AttributeError):
        setattr(settings.node, "id", 7)  # noqa: B010
