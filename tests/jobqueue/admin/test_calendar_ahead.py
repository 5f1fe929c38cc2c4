"""Moves on the calendar lead to a time ahead: one job, a kind and a day; nothing is made due by them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import AuditEntry, BulkAction, Job, holding
from jobqueue.sql.clock import pretend
from tests.jobqueue.admin.steps import entries_of, make_job, operator, text_of
from tests.jobqueue.admin.test_calendar import change, day_url, tomorrow, walked

pytestmark = pytest.mark.django_db(databases=["default", "other"])

AHEAD = "is past: a job moves to a time ahead; “Run now” makes it due"


def _refused(client: Client, url: str, **fields: str) -> HttpResponse:
    """The question once more, after it was answered so."""
    told = {"shown": client.get(url).context["shown"], "reason": "closed", **fields}
    response = client.post(url, told)
    assert response.status_code == 200
    return response


@pytest.mark.parametrize("is_held", [False, True], ids=["delayed", "held"])
def test_one_job_stays_where_it_would_move_to_the_past(is_held: bool) -> None:
    job = make_job(run_at=tomorrow())
    if is_held:
        holding.hold(job, "pia", "", "default")
    before = Job.objects.values().get()

    client = operator("view_job", "move_job")
    response = _refused(client, day_url(tomorrow(), "move/", job=job.pk), to="2020-01-01T00:00")

    assert response.context["not_ahead"] == f"2020-01-01 00:00:00 UTC {AHEAD}."
    text = text_of(response)
    assert 'id="jq-to-error"><li>2020-01-01 00:00:00 UTC is past' in text
    assert 'name="to" value="2020-01-01T00:00"' in text and ">closed</textarea>" in text
    assert Job.objects.values().get() == before
    assert not entries_of(job)


@pytest.mark.parametrize("is_held", [False, True], ids=["delayed", "held"])
@pytest.mark.parametrize(
    ("language", "said"), [("en", "has that time already"), ("de", "hat diese Zeit schon")]
)
def test_one_job_that_keeps_its_time_is_not_said_to_be_moved(
    admin_client: Client, is_held: bool, language: str, said: str
) -> None:
    job = make_job(run_at=tomorrow() + timedelta(microseconds=123_456))
    if is_held:
        holding.hold(job, "pia", "", "default")
    before, url = Job.objects.values().get(), day_url(tomorrow(), "move/", job=job.pk)
    asked = admin_client.get(url).context
    told = {"reason": "x", "shown": asked["shown"], "to": asked["to"], "seen": asked["seen"]}
    response = admin_client.post(url, told, headers={"accept-language": language})
    assert said in response.context["problems"][0]
    assert Job.objects.values().get() == before and not entries_of(job)


@pytest.mark.parametrize("words", [{}, {"processor": "sample.succeed"}], ids=["day", "kind"])
def test_nothing_is_begun_where_even_the_last_would_move_to_the_past(words: dict[str, str]) -> None:
    for hour in (9, 23):
        make_job(run_at=tomorrow(hour))

    client = operator("view_job", "move_job")
    response = _refused(client, day_url(tomorrow(), "move/", **words), days="-9")

    last = f"{tomorrow(23) - timedelta(days=9):%Y-%m-%d %H:%M:%S} UTC"
    said = f"even the last of these jobs would run {last}, which {AHEAD}."
    assert response.context["not_ahead"] == said
    assert f'id="jq-days-error"><li>{said}' in text_of(response)
    assert 'value="-9"' in text_of(response) and ">closed</textarea>" in text_of(response)
    assert not BulkAction.objects.exists() and not AuditEntry.objects.exists()
    assert {job.run_at for job in Job.objects.all()} == {tomorrow(9), tomorrow(23)}


@pytest.mark.parametrize(
    ("language", "said"), [("en", "a job moves to a time ahead"), ("de", "rückt auf eine kommende Zeit")]
)
def test_of_a_day_that_moves_what_would_lie_in_the_past_is_left_alone_and_told_of(
    admin_client: Client, language: str, said: str
) -> None:
    noon, day = tomorrow(12, days=2), tomorrow(0, days=3)
    early, late = make_job(run_at=tomorrow(11, days=3)), make_job(run_at=tomorrow(13, days=3))
    with pretend(noon):
        change(admin_client, day_url(day, "move/"), days="-1")
        assert walked() == 1
    early.refresh_from_db()
    late.refresh_from_db()
    assert (early.run_at, late.run_at) == (tomorrow(11, days=3), tomorrow(13, days=2))
    assert BulkAction.objects.get().left_out["declined"]["ids"] == [early.pk]
    page = f"/admin/jobqueue/bulkaction/{BulkAction.objects.get().pk}/change/"
    text = text_of(admin_client.get(page, headers={"Accept-Language": language}))
    assert f"#{early.pk}: {tomorrow(11, days=2):%Y-%m-%d} 11:00:00 UTC" in text and said in text


def test_it_is_judged_when_the_turn_of_a_job_comes(admin_client: Client) -> None:
    job, later = make_job(run_at=tomorrow(13, days=3)), tomorrow(14, days=2)
    change(admin_client, day_url(job.run_at, "move/"), days="-1")
    with pretend(later):
        assert walked() == 0
    job.refresh_from_db()
    assert job.run_at == tomorrow(13, days=3)
    assert BulkAction.objects.get().left_out["declined"]["ids"] == [job.pk]
    assert "Move: 1 job by 1 day back (" in AuditEntry.objects.get().text
