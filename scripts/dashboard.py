# ruff: noqa: INP001 - scripts are no package
"""The text of config/monitoring/dashboards/overview.json: one Grafana dashboard of a node."""

import json
from typing import Any, Final

__all__ = ["ROWS", "overview_text"]

ROWS: Final[tuple[tuple[str, tuple[tuple[str, str, dict[str, str]], ...]], ...]] = (
    (
        "Payments",
        (
            (
                "Requests by outcome",
                "reqps",
                {"{{outcome}}": "sum by (outcome) (rate(tapswitch_transactions_total[1m]))"},
            ),
            (
                "System errors, share (objective 0.05 %)",
                "percentunit",
                {
                    "5 min": "tapswitch:auth_bad:ratio_rate5m",
                    "1 h": "tapswitch:auth_bad:ratio_rate1h",
                },
            ),
            (
                "Approval by bank",
                "percentunit",
                {"{{issuer}}": "tapswitch:approval:ratio_rate10m"},
            ),
        ),
    ),
    (
        "Time",
        (
            (
                "Ours, p99 (objective 10 ms)",
                "s",
                {
                    "{{class}}": "histogram_quantile(0.99, sum by (class, le)"
                    " (rate(tapswitch_internal_duration_seconds_bucket[5m])))"
                },
            ),
            (
                "At the bank, p99",
                "s",
                {
                    "{{issuer}}": "histogram_quantile(0.99, sum by (issuer, le)"
                    " (rate(tapswitch_upstream_duration_seconds_bucket[5m])))"
                },
            ),
            (
                "Journal commit, p99",
                "s",
                {
                    "{{instance}}": "histogram_quantile(0.99, sum by (instance, le)"
                    " (rate(tapswitch_journal_commit_duration_seconds_bucket[5m])))"
                },
            ),
        ),
    ),
    (
        "Members",
        (
            ("Signed on", "short", {"{{member}}": "tapswitch_member_signed_on"}),
            ("In flight", "short", {"{{issuer}}": "tapswitch_inflight_requests"}),
            (
                "Requests to banks by result",
                "reqps",
                {
                    "{{issuer}} {{result}}": "sum by (issuer, result)"
                    " (rate(tapswitch_upstream_requests_total[1m]))"
                },
            ),
        ),
    ),
    (
        "Money that waits",
        (
            ("Reversals waiting", "short", {"{{member}}": "tapswitch_saf_entries"}),
            (
                "Age of the oldest",
                "s",
                {
                    "{{member}}": "(time() - tapswitch_saf_oldest_entry_timestamp_seconds)"
                    " * (tapswitch_saf_oldest_entry_timestamp_seconds > bool 0)"
                },
            ),
            (
                "Ends other than answered",
                "reqps",
                {"{{end}}": 'sum by (end) (rate(tapswitch_terminations_total{end!="--"}[5m])) > 0'},
            ),
        ),
    ),
    (
        "House",
        (
            (
                "Processor of the worker",
                "percentunit",
                {"{{instance}}": "rate(tapswitch_worker_cpu_seconds_total[1m])"},
            ),
            (
                "Loop lag, p99",
                "s",
                {
                    "{{instance}}": "histogram_quantile(0.99, sum by (instance, le)"
                    " (rate(tapswitch_event_loop_lag_seconds_bucket[5m])))"
                },
            ),
            ("Journal: free bytes", "bytes", {"{{instance}}": "tapswitch_journal_free_bytes"}),
        ),
    ),
)
"""Rows of panels: title, unit, and legend to query of each line."""


def overview_text() -> str:
    """The whole file."""
    panels: list[dict[str, Any]] = []
    for row, (title, items) in enumerate(ROWS):
        y = row * 9
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        for column, (name, unit, queries) in enumerate(items):
            panels.append(_panel(len(panels) + 1, name, unit, queries, (column * 8, y + 1)))
    board = {
        "title": "tapswitch: overview",
        "uid": "tapswitch-overview",
        "tags": ["tapswitch"],
        "schemaVersion": 38,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "15s",
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def _panel(
    number: int, name: str, unit: str, queries: dict[str, str], place: tuple[int, int]
) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number,
        "type": "timeseries",
        "title": name,
        "datasource": source,
        "gridPos": {"x": place[0], "y": place[1], "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["last"]}},
        "targets": [
            {"refId": chr(65 + at), "expr": query, "legendFormat": legend, "datasource": source}
            for at, (legend, query) in enumerate(queries.items())
        ],
    }
