"""What the pages of the operators' console cost among more than a million jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.arena import Arena
from benchmarks.console_pages import PAGES
from benchmarks.figures import percentile
from benchmarks.peers import Peer

_MODULE = "benchmarks.site.console"
_DATABASE = "console"
_REDIS_DATABASE = "14"


def console(arena: Arena, peer: Peer, share: float) -> dict[str, float]:
    """Milliseconds and queries by page: `overview_p95_milliseconds`, `overview_queries`, and its status."""
    settings = {"DATABASE_URL": arena.make_database(_DATABASE), "REDIS_JOB_QUEUE_DB": _REDIS_DATABASE}
    there = replace(peer, environment={**peer.environment, **settings})
    rows = arena.ask(there, _MODULE, fill=share)["rows"]
    answers = arena.ask(there, _MODULE)
    arena.drop_database(_DATABASE)
    figures: dict[str, float] = {"rows": rows}
    for page in PAGES:
        figures |= _figures(page.key, answers[page.key])
    slowest = max(figures[f"{page.key}_p95_milliseconds"] for page in PAGES)
    return figures | {"slowest_p95_milliseconds": slowest}


def _figures(key: str, answer: dict[str, Any]) -> dict[str, float]:
    return {
        f"{key}_p50_milliseconds": percentile(answer["milliseconds"], 50),
        f"{key}_p95_milliseconds": percentile(answer["milliseconds"], 95),
        f"{key}_queries": answer["queries"],
        f"{key}_status": answer["status"],
    }
