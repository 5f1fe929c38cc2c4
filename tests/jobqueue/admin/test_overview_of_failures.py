"""What failed lately, on the overview: whether that is more than usual, and how many a tile counts."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.models import Cause, ChartHour
from tests.jobqueue.admin.steps import ids_of, make_job
from tests.jobqueue.admin.test_overview import REGION, _ago, _facts, _findings

# On PostgreSQL other threads count what is set aside.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def test_failures_above_their_usual_rate(admin_client: Client) -> None:
    for hours in range(2, 12):
        make_job("failed", finished_at=_ago(hours=hours))
    for _ in range(4):
        make_job("failed", finished_at=_ago(minutes=5))
    assert _findings(admin_client) == []
    make_job("failed", finished_at=_ago(minutes=20))
    assert _findings(admin_client) == ["5 jobs failed within the last hour; about 0 are usual."]


def test_failures_that_are_usual_are_no_finding(admin_client: Client) -> None:
    for hours in range(2, 26):
        for _ in range(2):
            make_job("failed", finished_at=_ago(hours=hours, minutes=-30))
    for _ in range(6):
        make_job("failed", finished_at=_ago(minutes=5))
    assert _findings(admin_client) == []


def _failed_by_the_charts(number: int, hours_ago: int) -> None:
    hour = _ago(hours=hours_ago).replace(minute=0, second=0, microsecond=0)
    ChartHour.objects.create(hour=hour, queue="email", processor="sample.fail", outcome="failed", jobs=number)


def test_failures_that_were_retried_or_pruned_since_are_usual_still(admin_client: Client) -> None:
    for hours in range(2, 26):
        _failed_by_the_charts(2, hours)
    for _ in range(6):
        make_job("failed", finished_at=_ago(minutes=5))
    assert _findings(admin_client) == []
    make_job("failed", finished_at=_ago(minutes=5))
    assert _findings(admin_client) == ["7 jobs failed within the last hour; about 2 are usual."]


def test_what_failed_by_a_muted_cause_makes_nothing_usual(admin_client: Client) -> None:
    Cause.objects.create(name="OSError", muted_at=_ago(hours=1))
    _failed_by_the_charts(48, 5)
    for _ in range(48):
        make_job("failed", cause="OSError", finished_at=_ago(hours=4))
    for _ in range(5):
        make_job("failed", finished_at=_ago(minutes=5))
    assert _findings(admin_client) == [
        "5 jobs of causes that are not muted failed within the last hour; about 0 are usual."
    ]


def test_hours_of_the_charts_that_nobody_should_have_written_do_no_harm(admin_client: Client) -> None:
    for hours in (3, 4):
        _failed_by_the_charts(2**63 - 1, hours)
    _failed_by_the_charts(-5, 5)
    assert _findings(admin_client) == []
    assert _facts(admin_client, "email")


def test_failures_of_a_muted_cause_do_not_count(admin_client: Client) -> None:
    Cause.objects.create(name="OSError", muted_at=_ago(hours=1))
    for _ in range(7):
        make_job("failed", cause="OSError")
    assert _findings(admin_client) == []
    assert _facts(admin_client, "email")["failed in 1 h"] == "0"


def test_a_tile_leads_to_as_many_failures_as_it_says(admin_client: Client) -> None:
    Cause.objects.create(name="OSError", muted_at=_ago(hours=1))
    counted = {make_job("failed", cause=cause).pk for cause in ("ValueError", "")}
    make_job("failed", cause="OSError")
    make_job("failed", finished_at=_ago(hours=2))
    make_job("failed", queue="reminders")
    [tile] = [tile for tile in admin_client.get(REGION).context["tiles"] if tile.name == "email"]
    [fact] = [fact for fact in tile.facts if fact.label == "failed in 1 h"]
    assert fact.value == "2"
    assert ids_of(admin_client.get(fact.url)) == counted
