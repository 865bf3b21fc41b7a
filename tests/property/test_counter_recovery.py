"""Whatever was tapped, declined, refused and checkpointed, and whenever the process was killed:
exactly the counters that records claimed are seen afterwards."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.model.state import Cause
from tests.support.tap import GAP_MAX, Taps, open_taps, word
from tests.support.walk import DAY, NOW_S, OUT_TIME, restarted

WINDOW = 64
ACTS = ("forward", "decline", "refuse", "wrong", "checkpoint step", "restart")


class Play:
    """Taps of one device, and a set of all counters that records claimed."""

    def __init__(self, taps: Taps) -> None:
        self.taps = taps
        self.claimed: set[int] = set()
        self.highest = 0
        self.stan = 0
        self.undone = 0
        """Requests in doubt that restarts have reversed, each under a STAN of its own."""

    def expected(self, atc: int) -> str:
        """What a verdict must be."""
        if not self.highest:
            return "genuine"
        if atc > self.highest:
            return "atc_gap" if atc - self.highest > GAP_MAX else "genuine"
        if self.highest - atc >= WINDOW:
            return "atc_old"
        return "atc_seen" if atc in self.claimed else "genuine"

    def tap(self, act: str, atc: int) -> None:
        world, taps = self.taps.world, self.taps
        self.stan += 1
        tags = taps.device.tags(atc=atc)
        if act == "wrong":
            tags["9F26"] = bytes(8)
        request, txn = taps.message(self.stan, tags), world.next_txn()
        assert world.claim(request, txn) == 0
        expected = "cryptogram" if act == "wrong" else self.expected(atc)
        verdict = word(taps.verifier.check(request, NOW_S))
        assert verdict == expected, atc
        if act == "refuse":
            world.gate.refuse(request, world.terminal, "96", "JV")
        elif act == "forward" and verdict == "genuine":
            world.gate.forward(
                request, world.host, txn, world.acquirer, world.bank, world.next_stan(), OUT_TIME,
                world.wall_ms, DAY,
            )  # fmt: skip
        else:
            world.gate.decline(
                request, world.terminal, txn, world.acquirer, "05", "KC", world.wall_ms
            )
        if verdict == "genuine":
            # A counter that was proved moves the highest, also where no record could be made.
            self.highest = max(self.highest, atc)
            if act != "refuse":
                self.claimed.add(atc)
        world.flow()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(1, 260)), max_size=40))
def test_counters_survive_whatever_happens(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory, open_taps(Path(directory)) as taps:
        run(Play(taps), steps)


def run(play: Play, steps: list[tuple[str, int]]) -> None:
    """Plays on; a restart plays the rest in the process that comes after."""
    taps = play.taps
    for place, (act, atc) in enumerate(steps):
        if act == "checkpoint step":
            taps.world.gate.checkpoint(taps.world.wall_ms)
            taps.world.flow()
        elif act == "restart":
            before = taps.world
            with restarted(before, capacity=8_000) as (world, recovered):
                for doubtful in recovered.in_doubt:
                    play.undone += 1
                    stan = 500_000 + play.undone
                    world.gate.undo(
                        doubtful.txn, "96", "JW", world.wall_ms, Cause.RESTART, stan, OUT_TIME
                    )
                taps.verifier, taps.world = None, world  # type: ignore[assignment]
                taps.verifier = taps.open_verifier()
                world._txn, world._stan = before._txn, before._stan
                # What no record told is forgotten with the process.
                play.highest = max(play.claimed, default=0)
                run(play, steps[place + 1 :])
                taps.verifier = None  # type: ignore[assignment]
            return
        else:
            play.tap(act, atc)
    assert taps.world.findings() == []
