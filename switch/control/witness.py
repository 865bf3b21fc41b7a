"""Commands that change something beside a node, or read its audit: recorded like orders to it.

They work on files (keys, terminals, certificates), whether a worker runs or not. The record stands
on disk before anything is changed; where it cannot be written nothing is. A configuration whose
data directory does not exist yet has no audit: its first keys are made before its first start.
"""

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from switch.control.audit import Audit, audit_file
from switch.control.order import ACTOR_CHARACTERS_MAX, Caller
from switch.errors import AuditError, TapswitchError
from switch.runtime.clock import wall_ms

__all__ = ["caller", "looked", "witnessed"]


def caller() -> Caller:
    """This very process, as a caller."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = ""
    return Caller(os.getpid(), uid, user)


@contextlib.contextmanager
def witnessed(data_dir: str, action: str, **facts: str | int) -> Iterator[None]:
    """Records an order before what stands below `with` is done, and its result behind it.

    Args:
        data_dir: of the node; without that directory nothing is recorded.
        action: the command, as one word with hyphens.
        facts: what it is about; no secrets.

    Raises:
        AuditError: nothing was done.
    """
    if not Path(data_dir).is_dir():
        yield
        return
    audit = Audit(audit_file(data_dir), "")
    audit.attach(wall_ms())
    try:
        number = audit.command(wall_ms(), _told(action, facts), caller())
        outcome, code, problem = "failed", "", ""
        try:
            yield
            outcome = "done"
        except TapswitchError as error:
            outcome, code, problem = "refused", error.code, str(error)
            raise
        finally:
            audit.result(wall_ms(), number, outcome, code, problem)
    finally:
        audit.detach()


def looked(data_dir: str, action: str, **facts: str | int) -> str:
    """Records that the audit was read; '' or why that could not be recorded.

    Whoever may not write, or finds the chain broken, may read all the same: that is what it is for.
    """
    if not Path(data_dir).is_dir():
        return ""
    audit = Audit(audit_file(data_dir), "")
    try:
        audit.attach(wall_ms())
        audit.looked(wall_ms(), _told(action, facts), caller())
    except AuditError as error:
        return str(error)
    finally:
        audit.detach()
    return ""


def _told(action: str, facts: dict[str, str | int]) -> dict[str, Any]:
    actor = os.environ.get("SUDO_USER", "")[:ACTOR_CHARACTERS_MAX]
    return {"order": action, **facts, "by": {"actor": actor, "reason": ""}}
