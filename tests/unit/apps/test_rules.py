"""What the rooms are given is what the settings say, defaults included."""

from pathlib import Path

import pytest

from switch.apps.rules import FOREVER_S, remembered_s
from switch.settings.load import load
from tests.support.config import SWITCH, write_config

HOUR_S = 3_600
SAF = "[issuers.saf]\nhorizon_h = {}\n"


@pytest.mark.parametrize(
    ("repeats", "horizon", "remembered"),
    [
        ("", "", (96 * HOUR_S, 24 * HOUR_S)),
        ("[limits]\nrepeats_h = 48\n", "", (120 * HOUR_S, 48 * HOUR_S)),
        # The longest counts: BANK01 has the 72 hours of the default.
        ("", SAF.format(10), (96 * HOUR_S, 24 * HOUR_S)),
        ("", SAF.format(200), (224 * HOUR_S, 24 * HOUR_S)),
        ("", SAF.format(0), (FOREVER_S, 24 * HOUR_S)),
    ],
)
def test_a_key_outlives_what_its_bank_is_owed_and_then_what_its_acquirer_may_repeat(
    tmp_path: Path, repeats: str, horizon: str, remembered: tuple[int, int]
) -> None:
    settings = load(write_config(tmp_path, repeats + SWITCH + horizon))
    assert remembered_s(settings) == remembered
