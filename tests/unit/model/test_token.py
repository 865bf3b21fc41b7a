"""The vocabulary of tokens: what a domain may hold."""

from typing import Any

import msgspec
import pytest

from switch.errors import UsageError
from switch.model.token import CHANNEL_OF_ENTRY_MODE, Channel, Domain


@pytest.mark.parametrize(
    "fields",
    [
        {"mccs": (1,) * 17},
        {"mccs": (10_000,)},
        {"mccs": (0,)},
        {"currencies": (156,) * 9},
        {"currencies": (1_000,)},
        {"ceiling_minor": 100},
        {"ceiling_currency": 156},
        {"ceiling_minor": 10**12, "ceiling_currency": 156},
        {"ceiling_minor": -1, "ceiling_currency": 156},
        {"not_before_s": 20, "not_after_s": 20},
        {"not_after_s": 1 << 32},
    ],
)
def test_domain_that_the_index_cannot_hold_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Domain(**fields)


def test_domain_travels_as_json() -> None:
    domain = Domain(
        requestor_bound=True,
        channels=int(Channel.CONTACTLESS | Channel.QR),
        mccs=(4111, 5411),
        ceiling_minor=5_000,
        ceiling_currency=156,
        not_before_s=1,
        not_after_s=2,
    )
    assert msgspec.json.decode(msgspec.json.encode(domain), type=Domain) == domain


def test_every_channel_has_an_entry_mode() -> None:
    assert set(CHANNEL_OF_ENTRY_MODE.values()) == set(Channel)
    assert all(len(mode) == 2 for mode in CHANNEL_OF_ENTRY_MODE)
