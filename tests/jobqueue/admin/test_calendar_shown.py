"""What was confirmed on the calendar is what is changed; of what went elsewhere is told where it is."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.admin import calendar_shown
from jobqueue.models import AuditEntry, BulkAction, Job, holding
from jobqueue.operating.left_out import left_out
from jobqueue.operating.words import absolute
from tests.jobqueue.admin.steps import JOBS, make_job, page_of, text_of
from tests.jobqueue.admin.test_calendar import change, day_url, tomorrow, walked

pytestmark = pytest.mark.django_db(databases=["default", "other"])
WHY = {"reason": "the office is closed", "days": "1"}


def _shown(client: Client, url: str) -> dict[str, str]:
    """What the form of the question brings with it."""
    context = client.get(url).context
    return {"newest": context["newest"], "shown": context["shown"], **WHY}


@pytest.mark.parametrize("verb", ["cancel", "hold", "move"])
@pytest.mark.parametrize("kind", [{}, {"processor": "sample.succeed"}], ids=["day", "kind"])
def test_more_than_was_shown_is_not_changed_but_asked_for_anew(
    admin_client: Client, verb: str, kind: dict[str, str]
) -> None:
    older = [make_job(run_at=tomorrow(days=2)) for _ in range(2)]
    make_job(run_at=tomorrow())
    url = day_url(tomorrow(), f"{verb}/", **kind)
    form = _shown(admin_client, url)
    Job.objects.filter(pk__in=[job.pk for job in older]).update(run_at=tomorrow())
    asked = admin_client.post(url, form)
    assert asked.context["problems"] == [
        "Nothing was changed: 3 jobs are meant by now, and 1 were shown. Confirm them anew."
    ]
    assert not BulkAction.objects.exists()
    assert asked.context["number"] == 3
    again = {"newest": asked.context["newest"], "shown": asked.context["shown"], **WHY}
    assert admin_client.post(url, again).status_code == 302
    assert walked() == 3


def test_the_releases_of_a_day_hold_the_number_too(admin_client: Client) -> None:
    jobs = [make_job(run_at=tomorrow()) for _ in range(2)]
    holding.hold(jobs[1], "pia", "", "default")
    url = day_url(tomorrow(), "release/")
    form = _shown(admin_client, url)
    holding.hold(jobs[0], "pia", "", "default")
    assert "2 jobs are meant by now" in text_of(admin_client.post(url, form))


def test_as_many_other_jobs_than_were_shown_are_asked_for_anew(admin_client: Client) -> None:
    other, job = make_job(run_at=tomorrow(days=2)), make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "cancel/")
    form = _shown(admin_client, url)
    job.move(tomorrow(days=3))
    other.move(tomorrow())
    assert "other jobs are meant by now than were shown" in text_of(admin_client.post(url, form))
    assert not BulkAction.objects.exists()


def test_fewer_of_which_one_was_not_shown_are_asked_for_anew(admin_client: Client) -> None:
    other, *jobs = make_job(run_at=tomorrow(days=2)), *(make_job(run_at=tomorrow()) for _ in range(3))
    url = day_url(tomorrow(), "cancel/")
    form = _shown(admin_client, url)
    for job in jobs[:2]:
        job.move(tomorrow(days=3))
    other.move(tomorrow())
    assert "other jobs are meant by now than were shown" in text_of(admin_client.post(url, form))
    assert not BulkAction.objects.exists()


def test_of_very_many_the_number_and_their_sum_are_shown(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendar_shown, "_MOST_NAMED", 1)
    other, *jobs = make_job(run_at=tomorrow(days=2)), *(make_job(run_at=tomorrow()) for _ in range(2))
    url = day_url(tomorrow(), "cancel/")
    form = _shown(admin_client, url)
    jobs[0].move(tomorrow(days=3))
    other.move(tomorrow())
    assert "other jobs are meant by now than were shown" in text_of(admin_client.post(url, form))
    assert admin_client.post(url, _shown(admin_client, url)).status_code == 302


@pytest.mark.parametrize("verb", ["cancel", "hold", "move"])
@pytest.mark.parametrize("named", [500, 1], ids=["by their ids", "by their sum"])
def test_fewer_than_were_shown_are_changed_and_the_others_told_of(
    admin_client: Client, verb: str, named: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendar_shown, "_MOST_NAMED", named)
    jobs = [make_job(run_at=tomorrow()) for _ in range(6)]
    url = day_url(tomorrow(), f"{verb}/")
    form = _shown(admin_client, url)
    holding.hold(jobs[1], "pia", "", "default")
    jobs[4].cancel()
    assert admin_client.post(url, form).status_code == 302
    assert walked() == 4
    action = BulkAction.objects.get()
    [reason] = left_out(action)
    assert (action.expected, reason.why, reason.number) == (6, "changed", 2)
    assert set(reason.ids) == ({jobs[1].pk, jobs[4].pk} if named > 1 else set())
    text = text_of(admin_client.get(f"/admin/jobqueue/bulkaction/{action.pk}/change/"))
    assert "2 jobs were changed by somebody else" in text
    assert AuditEntry.objects.get().jobs == 6


def test_a_number_that_no_day_has_is_no_number_of_an_action(admin_client: Client) -> None:
    make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "cancel/")
    assert admin_client.post(url, {**WHY, "shown": f"{'9' * 18}.1"}).status_code == 302
    assert walked() == 1


@pytest.mark.parametrize("shown", ["", "x", "-1.5", "1,", "9" * 5_000, "1.\u0663", "\x00"])
def test_a_number_that_nobody_showed_changes_nothing(admin_client: Client, shown: str) -> None:
    make_job(run_at=tomorrow())
    response = admin_client.post(day_url(tomorrow(), "cancel/"), {**WHY, "shown": shown})
    assert "1 job is meant by now, and 0 were shown" in text_of(response)
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize("verb", ["cancel", "move"])
def test_what_comes_to_the_day_after_it_was_begun_is_not_taken(admin_client: Client, verb: str) -> None:
    older, job = make_job(run_at=tomorrow(days=2)), make_job(run_at=tomorrow())
    change(admin_client, day_url(tomorrow(), f"{verb}/"), days="3")
    older.move(tomorrow())
    assert walked() == 1
    older.refresh_from_db()
    assert (older.state, older.run_at) == ("waiting", tomorrow())
    job.refresh_from_db()
    expected = {"cancel": ("cancelled", tomorrow()), "move": ("waiting", tomorrow(days=4))}
    assert (job.state, job.run_at) == expected[verb]
    assert not BulkAction.objects.get().choices.exists()


# One job that a colleague was quicker with ---------------------------------------------------------------


def _moved(job: Job) -> str:
    job.move(tomorrow(days=5))
    return f"job #{job.pk} waits, and runs {absolute(tomorrow(days=5))} by now."


def _held(job: Job) -> str:
    job.move(tomorrow(days=5))
    holding.hold(job, "pia", "", "default")
    return f"job #{job.pk} is held by now; it was to run {absolute(tomorrow(days=5))}."


def _due(job: Job) -> str:
    job.run_now()
    return f"job #{job.pk} is due by now."


def _cancelled(job: Job) -> str:
    job.cancel()
    return f"job #{job.pk} is cancelled by now."


@pytest.mark.parametrize("verb", ["cancel", "hold", "move"])
@pytest.mark.parametrize("before", [_moved, _held, _due, _cancelled])
def test_a_job_that_left_the_day_is_told_of_with_where_it_is(
    admin_client: Client, verb: str, before: object
) -> None:
    job = make_job(run_at=tomorrow())
    url = day_url(tomorrow(), f"{verb}/", job=job.pk)
    said = before(job)  # type: ignore[operator]
    state = (Job.objects.get(pk=job.pk).state, Job.objects.get(pk=job.pk).run_at)
    response = admin_client.post(url, {**WHY, "to": f"{tomorrow(10):%Y-%m-%dT%H:%M}"}, follow=True)
    [message] = [str(message) for message in response.context["messages"]]
    assert message == f'Nothing was changed: {said} <a href="{page_of(job)}">job #{job.pk}</a>'
    assert (Job.objects.get(pk=job.pk).state, Job.objects.get(pk=job.pk).run_at) == state


def test_a_job_that_is_gone_is_told_of(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "cancel/", job=job.pk)
    number = job.pk
    job.delete()
    response = admin_client.post(url, WHY, follow=True)
    assert f"Nothing was changed: job #{number} is not there any more." in text_of(response)
    assert response.redirect_chain[0][0].startswith(f"{JOBS}calendar/")


def test_of_one_job_that_one_is_changed_whatever_is_sent(admin_client: Client) -> None:
    job, other = (make_job(run_at=tomorrow()) for _ in range(2))
    url = day_url(tomorrow(), "cancel/", job=job.pk)
    form = {**_shown(admin_client, url), "shown": f"{job.pk},{other.pk}"}
    assert admin_client.post(url, form).status_code == 302
    assert set(Job.objects.filter(state="cancelled")) == {job}
