"""The newest jobs of a job's processor that have run, as bars and as a table."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.charting import drawing
from jobqueue.models import Job, runs
from jobqueue.models.runs import last_runs
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job, operator, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _ran(state: str = "completed", seconds: float = 1.0, ago: float = 10.0, **fields: Any) -> Job:
    ended = database_now("default") - timedelta(seconds=ago)
    times = {"started_at": ended - timedelta(seconds=seconds), "finished_at": ended}
    return make_job(state, **{"processor": "sample.succeed", **times, **fields})


def test_a_run_is_a_bar_in_its_colour_that_leads_to_its_job(admin_client: Client) -> None:
    jobs = [_ran(), _ran("skipped"), _ran("failed"), _ran("cancelled", stop_asked_at=database_now("default"))]
    text = text_of(admin_client.get(page_of(jobs[0])))
    for job, kind in zip(jobs[1:], ("skipped", "failed", "cancelled"), strict=True):
        assert f'<a href="{page_of(job)}" tabindex="-1"><rect class="jq-chart-{kind}"' in text
    assert '<rect class="jq-chart-completed jq-chart-here"' in text
    assert "4 runs: 1 completed, 1 skipped, 1 failed, 1 stopped." in text


def test_a_bar_is_as_high_as_the_chart_to_a_finger(admin_client: Client) -> None:
    short, long = _ran(seconds=0.02), _ran(seconds=30, ago=20)
    text = text_of(admin_client.get(page_of(long)))
    link = text.partition(f'<a href="{page_of(short)}" tabindex="-1">')[2].partition("</a>")[0]
    seen, above = (
        [float(value) for value in re.findall(r' (?:y|height)="([0-9.]+)"', rect)]
        for rect in re.findall("<rect [^>]+>", link)
    )
    assert above[0] + above[1] == pytest.approx(seen[0], abs=0.02)
    assert above[1] + seen[1] == pytest.approx(drawing.HEIGHT - 36, abs=0.1)


def test_the_table_says_what_the_bars_show(admin_client: Client) -> None:
    job, other = _ran(seconds=3, ago=20), _ran(seconds=0.02)
    rows = admin_client.get(page_of(job)).context["runs"].rows
    assert [(row.job_id, row.took, row.is_here) for row in rows] == [
        (other.pk, "20 ms", False), (job.pk, "3.0 s", True),
    ]  # fmt: skip


def test_what_never_ran_or_is_of_another_processor_is_no_run(admin_client: Client) -> None:
    job = make_job("delayed")
    make_job("cancelled")
    make_job("active")
    _ran(processor="sample.skip")
    response = admin_client.get(page_of(job))
    assert response.context["runs"] is None and "jq-runs" not in text_of(response)


def test_they_stand_in_the_order_in_which_they_ended_and_are_the_newest() -> None:
    first, last, between = _ran(ago=30), _ran(ago=1), _ran(ago=20)
    assert [run.job_id for run in last_runs("sample.succeed", 60, "default")] == [
        first.pk, between.pk, last.pk,
    ]  # fmt: skip
    assert [run.job_id for run in last_runs("sample.succeed", 2, "default")] == [between.pk, last.pk]


def test_older_jobs_than_the_newest_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    _ran()
    newer = _ran()
    monkeypatch.setattr(runs, "NEWEST", 1)
    assert [run.job_id for run in last_runs("sample.succeed", 60, "default")] == [newer.pk]


def test_whoever_sees_the_job_sees_the_runs_and_no_payload() -> None:
    job = _ran(payload={"marker": "secret"})
    text = text_of(operator("view_job").get(page_of(job)))
    assert "The newest jobs of sample.succeed that have run" in text and "secret" not in text
