"""What a job may say of how far it is, and that what it says is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.exceptions import InvalidProgress
from jobqueue.jobs import current_job, report_progress
from jobqueue.models import Job
from jobqueue.progress import LONGEST_TEXT, Progress, progress_of
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from tests.jobqueue.processors_for_tests import CALL, Calls
from tests.jobqueue.steps import claimed


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"done": 120, "total": 500, "text": "rows"}, Progress(120, 500, 0.24, "rows")),
        ({"share": 0.24}, Progress(share=0.24)),
        ({"done": 7}, Progress(7)),
        ({"text": "reading"}, Progress(text="reading")),
        ({"done": 600, "total": 500}, Progress(500, 500, 1.0)),
        ({"done": 0, "total": 0}, Progress(0, 0, 1.0)),
        ({"share": 3}, Progress(share=1.0)),
        ({"text": "two\nlines\u202e\x00"}, Progress(text="two lines")),
        ({"text": "x" * 10**7}, Progress(text="x" * (LONGEST_TEXT - 1) + "…")),
        ({}, Progress()),
    ],
)
def test_what_is_said_is_kept_within_its_bounds(said: dict[str, Any], known: Progress) -> None:
    assert progress_of(**said) == known


@pytest.mark.parametrize(
    "said",
    [
        {"done": -1},
        {"done": float("nan"), "total": 1},
        {"done": 1, "total": float("inf")},
        {"done": "1"},
        {"done": True},
        {"done": 10**400},
        {"total": 5},
        {"share": -0.1},
        {"share": 0.5, "done": 1},
        {"text": None},
        {"text": b"x"},
    ],
)
def test_what_is_no_progress_is_an_error_with_a_name(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidProgress):
        report_progress(**said)


def test_outside_a_job_it_does_nothing() -> None:
    report_progress(1, 2)
    assert current_job() is None


def _plainly(job: Callable[[], Any]) -> Callable[..., Any]:
    return lambda **_: job()


def _in_a_coroutine(job: Callable[[], Any]) -> Callable[..., Any]:
    async def run(**_: Any) -> None:
        await asyncio.sleep(0)
        job()

    return run


def _in_a_thread_of_a_coroutine(job: Callable[[], Any]) -> Callable[..., Any]:
    async def run(**_: Any) -> None:
        await asyncio.to_thread(job)

    return run


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [_plainly, _in_a_coroutine, _in_a_thread_of_a_coroutine])
def test_a_job_says_how_far_it_is_however_it_runs(
    kind: Callable[..., Any], sample_processors: Calls, django_assert_num_queries: Any
) -> None:
    sample_processors.behaviour = kind(lambda: report_progress(3, 4, text="rows"))
    job = claimed(CALL)

    with django_assert_num_queries(0):
        performing.perform(Claim(job, "default"))

    assert job.progress == Progress(3, 4, 0.75, "rows")
    assert Job.objects.get(pk=job.pk).progress is None
