"""What the threads of a worker run, as it tells Redis: a text that goes once its worker is silent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker import keys
from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import answers_of, as_unavailable, clients, on_each
from jobqueue.exceptions import InvalidProgress
from jobqueue.progress import Progress, progress_of

KEEP = 15
"""Seconds until what a worker told is gone, if it does not tell it again."""
_LONGEST = 1_000_000
_MOST_THREADS = 10_000


class Run(NamedTuple):
    """One run, and how far it says it is."""

    using: str
    job_id: int
    attempt: int
    thread: int
    """Its number in its process; the log calls it `job <number>`."""
    progress: Progress | None = None


def as_text(runs: Iterable[Run]) -> str:
    """What is told of these; empty if there are none."""
    rows = [[*run[:4], None if run.progress is None else asdict(run.progress)] for run in runs]
    return json.dumps(rows, separators=(",", ":")) if rows else ""


def tell(worker_id: str, text: str) -> None:
    """Say on every server what the worker runs now, by `as_text`."""
    key = f"{keys.RUNNING}{worker_id}"

    def say(client: Redis) -> int:
        return int(client.set(key, text, ex=KEEP) or 0) if text else int(client.delete(key))

    on_each(clients("work"), say)


def told_by(worker_ids: Sequence[str], purpose: str = "probe") -> dict[str, list[Run]]:
    """What each of these workers told last, by its id."""
    if not worker_ids:
        return {}
    with as_unavailable():
        texts = answers_of(clients(purpose), lambda client: _texts(client, worker_ids))
    return {worker_id: runs for worker_id, text in texts if (runs := _runs(text))}


def _texts(client: Redis, worker_ids: Sequence[str]) -> list[tuple[str, str]]:
    names = [f"{keys.RUNNING}{worker_id}" for worker_id in worker_ids]
    try:
        # Not of what somebody else wrote there: a text without an end would fill the memory of who asks.
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.getrange(name, 0, _LONGEST)
            answers = pipeline.execute(raise_on_error=False)
    except ResponseError:
        return []
    told = zip(worker_ids, answers, strict=True)
    return [(one, text_of(answer)) for one, answer in told if isinstance(answer, bytes | str) and answer]


def _runs(text: str) -> list[Run]:
    rows: Any = None
    with suppress(ValueError, RecursionError):
        rows = json.loads(text)
    if not isinstance(rows, list):
        return []
    return [run for row in rows[:_MOST_THREADS] if (run := _run(row)) is not None]


def _run(row: Any) -> Run | None:
    """One row; None if somebody else wrote it, or a worker of another release in another shape."""
    try:
        using, job_id, attempt, thread, progress = row
        known = progress_of(**_without_share(progress)) if isinstance(progress, dict) else None
    except (TypeError, ValueError, InvalidProgress):
        return None
    if not isinstance(using, str) or not all(type(number) is int for number in (job_id, attempt, thread)):
        return None
    return Run(using, job_id, attempt, thread, known)


def _without_share(progress: dict[str, Any]) -> dict[str, Any]:
    """What was said of it, without the share that follows from that."""
    return {name: each for name, each in progress.items() if name != "share" or progress.get("done") is None}
