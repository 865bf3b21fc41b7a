"""What a worker looks at before it starts, and what it says of its files once it runs."""

import contextlib
import json
from pathlib import Path

import structlog

from switch.control.check import check_placed
from switch.control.check_tls import RUNS_ALL_THE_SAME
from switch.errors import SettingsError, TapswitchError
from switch.settings.load import load_placed
from switch.settings.schema import Settings

__all__ = ["checked", "compare_with_files", "where_before"]

log = structlog.get_logger("worker")


def checked(path: str) -> Settings:
    """The settings. Raises SettingsError for the first error that `tapswitch check` would name."""
    settings, places = load_placed(path)
    for placed in check_placed(settings, places):
        finding = placed.finding
        if finding.severity == "error" and finding.rule not in RUNS_ALL_THE_SAME:
            raise SettingsError(
                finding.problem,
                file=placed.file,
                line=placed.line,
                column=placed.column,
                key=finding.key,
                help=finding.help or f"tapswitch check {path}",
            )
    return settings


def compare_with_files(settings: Settings) -> None:
    """A worker that came up with the configuration in force says so when the files differ."""
    sources = settings.sources
    if not sources.is_snapshot:
        return
    try:
        found = checked(sources.origin)
    except TapswitchError as error:
        log.error(  # noqa: TRY400
            "config.files_are_bad",
            in_force=settings.digest,
            reason=str(error),
            help="the last good configuration is in force; mend the files, then tapswitch reload",
        )
        return
    if found.digest != settings.digest:
        log.warning(
            "config.files_differ",
            in_force=settings.digest,
            files=found.digest,
            help="tapswitch config diff says in what; tapswitch reload brings them into force",
        )


def where_before(file: Path) -> dict[str, str]:
    """Where members connected to the worker before, for those that take any free port."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        told = json.loads(file.read_text(encoding="utf-8"))
        return {**told.get("acquirers", {}), **told.get("issuers", {})}
    return {}
