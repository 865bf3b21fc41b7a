"""What must have happened at least once in a run of many worlds, or the run proves little.

A fault that never struck, or never in a state that it could hurt, is a test that cannot fail.
"""

from collections.abc import Mapping
from typing import Final

from switch.simulation.garble import KINDS

__all__ = ["SOMETIMES", "missing"]

_STATES: Final = ("in flight", "reversals owed")
_STRIKE: Final = ("power_cut", "kill", "reset", "half_open", "stall", "flap", "disconnect",
                  "clock_step", "stop", "flip", "old_record")  # fmt: skip

SOMETIMES: Final[tuple[str, ...]] = (
    # What acquirers did.
    "repeat", "repeat_moved", "repeat_answered", "other_body", "overtake", "reverse_first",
    "cancel", "cancel_twice", "lie", "give_up", "give_up_reversal", "disconnect", "collide",
    "replay_counter", "forge", "garble",
    # What banks did.
    "decline", "late", "silent", "lost", "duplicate", "wrong_stan", "wrong_amount", "wrong_echo",
    "garbage_code", "partial", "crosswise", "late_decline", "deaf", "refuse_reversal", "sign_off",
    "flap",
    # Frames that nobody can read, from acquirers and from banks.
    "garbled_answer", *(f"garbled: {kind}" for kind in KINDS),
    *(f"garbled answer: {kind}" for kind in KINDS),
    # What happened to network, disk, clock and process.
    "split", "merge", "delay", "stall", "reset", "half_open", "refused", "slow_disk", "clock_step",
    "kill", "power_cut", "stop", "node_failed", "node_stopped", "disk: sync_error",
    "disk: sync_dropped", "disk: write_error", "disk: create_no_space",
    # What the journal went through, and what a start refused.
    "checkpoint", "segment removed", "flip", "flip refused", "old_record", "old_record refused",
    "checkpoint while reversals owed", "cut behind a checkpoint",
    "crashed: checkpoint.carried",
    "crashed: journal.rotate.after",
    # A noisy acquirer beside a quiet one, and what was refused for it.
    "crowd", "shed: delay",
    # A machine that was off for hours or days.
    "owed over days", "off within a day", "off for days", "asked after hours",
    "asked after days", "reversed, asked again after days",
    # What a token was not good for.
    "token: ceiling", "token: channel", "token: merchant", "token: requestor", "token: currency",
    "token: not yet", "token: no longer", "token: expired",
    # What was ordered of tokens, and in which moments the gateway ended.
    "order: suspend", "order: resume", "order: delete", "order: replace_pan", "order: issue",
    "order: reindex", "order: refused", "order lost", "order read back", "reindex cut off",
    "gateway_kill", "gateway_kill while ordered", "crashed: vault.commit.before",
    "crashed: vault.commit.after", "crashed: index.write.after",
    # What was approved in a bank's name, and what was not any more.
    "stand-in: stood", "stand-in: count", "stand-in: sum", "stand-in: bank_sum",
    # Cuts that were aimed.
    "aimed: request_read", "aimed: request_sent", "aimed: reply_read", "aimed: approval_sent",
    "aimed: decline_sent", "aimed: reversal_answered", "aimed: reversal_sent",
    "aimed: reversal_acknowledged", "aimed: half_group", "aimed: hang_up",
    "crashed: journal.sync.before", "crashed: journal.sync.after",
    "crashed: release.answer.before", "crashed: release.answer.after",
    "crashed: release.request.before", "crashed: release.request.after",
    # Faults in the states that they can hurt.
    *(f"{fault} while {state}" for fault in _STRIKE for state in _STATES),
    "power_cut while records not durable", "kill while records not durable",
    "power_cut while starting",
)  # fmt: skip


def missing(totals: Mapping[str, int]) -> list[str]:
    """What never happened."""
    return [name for name in SOMETIMES if not totals.get(name)]
