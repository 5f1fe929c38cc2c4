"""A kind or a day of the calendar is moved, cancelled, held, released by a bulk action; one job at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from jobqueue import signals
from jobqueue.exceptions import JobMoveRefused
from jobqueue.models import AuditEntry, BulkAction, Job, holding
from jobqueue.models.bulk_moves import shifted
from tests.jobqueue.admin.steps import JOBS, entries_of, ids_of, make_job, operator, page_of, text_of
from tests.jobqueue.admin.test_calendar import CALENDAR, change, day_url, tomorrow, walked

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def refuses_odd_ones() -> Iterator[None]:
    """An app that lets no job with an odd number move."""

    def refuse(sender: Any, job: Job, **_: Any) -> None:
        if job.payload.get("number", 0) % 2:
            raise JobMoveRefused("odd ones stay")

    signals.job_moving.connect(refuse)
    yield
    signals.job_moving.disconnect(refuse)


def test_a_kind_is_held_and_released(admin_client: Client) -> None:
    job, other = make_job(run_at=tomorrow()), make_job(processor="sample.skip", run_at=tomorrow())
    change(admin_client, day_url(tomorrow(), "hold/", processor="sample.succeed"))
    assert walked() == 1
    job.refresh_from_db()
    assert (job.held_run_at, job.reason) == (tomorrow(), "held by admin: the office is closed")
    other.refresh_from_db()
    assert other.held_run_at is None
    change(admin_client, day_url(tomorrow(), "release/"))
    assert walked() == 1
    job.refresh_from_db()
    assert (job.held_run_at, job.run_at) == (None, tomorrow())


@pytest.mark.parametrize("verb", ["hold", "cancel", "move", "release"])
def test_at_most_so_many_a_second_are_taken_where_that_is_asked_for(admin_client: Client, verb: str) -> None:
    job = make_job(run_at=tomorrow())
    if verb == "release":
        change(admin_client, day_url(tomorrow(), "hold/", job=job.pk))
    url = day_url(tomorrow(), f"{verb}/")
    assert 'name="per_second" value=""' in text_of(admin_client.get(url))
    change(admin_client, url, days="1", per_second=" 50 ")
    assert BulkAction.objects.get().per_second == 50


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "2.5", "100001", "9" * 5_000, "\u0663"])
def test_a_rate_that_cannot_be_is_asked_for_again(admin_client: Client, rate: str) -> None:
    make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "hold/")
    shown = admin_client.get(url).context["shown"]
    answer = {"reason": "the office is closed", "per_second": rate, "shown": shown}
    response = admin_client.post(url, answer)
    assert response.context["problems"] == ["At most a second: a whole number from 1 to 100000, or nothing."]
    assert f'name="per_second" value="{rate[:9]}"' in text_of(response)
    assert not BulkAction.objects.exists()


def test_one_job_of_the_calendar_has_no_rate(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "hold/", job=job.pk)
    assert "per_second" not in text_of(admin_client.get(url))
    assert "1 job is held" in change(admin_client, url, per_second="fast")[0]


def test_the_jobs_point_to_the_action_and_the_audit_has_one_entry(admin_client: Client) -> None:
    jobs = [make_job(run_at=tomorrow()) for _ in range(3)]
    change(admin_client, day_url(tomorrow(), "hold/"))
    walked()
    action = BulkAction.objects.get()
    assert set(Job.objects.values_list("bulk_action", flat=True)) == {action.pk}
    assert AuditEntry.objects.filter(object_id=str(action.pk)).count() == 1
    assert not any(entries_of(job) for job in jobs)


def test_what_may_not_move_is_left_out_told_of_and_linked(
    admin_client: Client, refuses_odd_ones: None
) -> None:
    jobs = [make_job(run_at=tomorrow(), payload={"number": number}) for number in range(4)]
    change(admin_client, day_url(tomorrow(), "move/"), days="2")
    assert walked() == 2
    action = BulkAction.objects.get()
    response = admin_client.get(f"/admin/jobqueue/bulkaction/{action.pk}/change/")
    assert "2 jobs were left alone" in text_of(response) and "odd ones stay" in text_of(response)
    linked = admin_client.get(response.context["left_out"]["url"])
    assert ids_of(linked) == {jobs[1].pk, jobs[3].pk}
    assert Job.objects.filter(run_at=tomorrow(days=3)).count() == 2


def test_the_list_of_bulk_actions_counts_what_was_left_alone_and_leads_there(
    admin_client: Client, refuses_odd_ones: None
) -> None:
    jobs = [make_job(run_at=tomorrow(), payload={"number": number}) for number in range(4)]
    change(admin_client, day_url(tomorrow(), "move/"), days="2")
    walked()
    url = f"/admin/jobqueue/job/?left_out={BulkAction.objects.get().pk}"
    text = text_of(admin_client.get("/admin/jobqueue/bulkaction/"))
    assert f'2 / 4, <a href="{url}">2 left alone</a>' in text
    assert ids_of(admin_client.get(url)) == {jobs[1].pk, jobs[3].pk}


def test_no_job_is_moved_twice(admin_client: Client) -> None:
    make_job(run_at=tomorrow())
    change(admin_client, day_url(tomorrow(), "move/"), days="1")
    walked()
    action = BulkAction.objects.get()
    BulkAction.objects.filter(pk=action.pk).update(ended_at=None, position=-1)  # as after a crash
    walked()
    action.refresh_from_db()
    assert Job.objects.get().run_at == tomorrow(days=2)
    assert action.left_out is None


def test_what_came_after_the_question_is_not_meant(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "cancel/")
    newest = admin_client.get(url).context["newest"]
    make_job(run_at=tomorrow())
    change(admin_client, url, newest=newest)
    assert walked() == 1
    assert Job.objects.exclude(pk=job.pk).get().state == "waiting"


def test_very_many_take_their_number_typed(admin_client: Client) -> None:
    Job.objects.bulk_create(
        Job(processor="sample.succeed", queue="email", timeout=1, run_at=tomorrow()) for _ in range(1_001)
    )
    url = day_url(tomorrow(), "cancel/")
    assert "Type the number of jobs, 1,001" in text_of(admin_client.post(url, {"reason": "x"}))
    change(admin_client, url, typed="1,001")
    assert BulkAction.objects.get().expected == 1_001


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("hold", "Nothing of it goes out until somebody releases it"),
        ("cancel", "Nothing of it will go out."),
        ("move", "what would lie in the past stays"),
    ],
)
def test_the_consequences_are_said_before(admin_client: Client, verb: str, says: str) -> None:
    make_job(run_at=tomorrow())
    assert says in text_of(admin_client.get(day_url(tomorrow(), f"{verb}/")))


def test_one_job_is_held_and_released_from_its_page(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    [(_label, url)] = admin_client.get(page_of(job)).context["hold_links"]
    assert "1 job is held" in change(admin_client, url)[0]
    response = admin_client.get(page_of(job))
    assert "Held by admin: the office is closed. It does not go out until somebody" in text_of(response)
    [(_label, url)] = response.context["hold_links"]
    assert change(admin_client, url) == ["1 job released."]
    assert ["Release" in text for text in entries_of(job)].count(True) == 1


def test_the_calendar_and_the_day_show_what_is_held(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    change(admin_client, day_url(tomorrow(), "hold/", job=job.pk))
    calendar = admin_client.get(CALENDAR)
    assert [day.held for day in calendar.context["days"]] == [0, 1, *[0] * 12]
    assert "1 job is held" in text_of(calendar)
    day = admin_client.get(day_url(tomorrow()))
    assert [row["job"].pk for row in day.context["held"]] == [job.pk]
    assert ids_of(admin_client.get(calendar.context["held_url"])) == {job.pk}
    assert ids_of(admin_client.get(f"{JOBS}?q=state:held")) == {job.pk}


def test_holding_takes_a_permission_of_its_own(django_assert_max_num_queries: Callable[..., Any]) -> None:
    make_job(run_at=tomorrow())
    viewer = operator("view_job")
    for verb in ("hold/", "release/"):
        assert viewer.get(day_url(tomorrow(), verb)).status_code == 403
    mover = operator("view_job", "move_job", username="mover")
    mover.get(CALENDAR)
    with django_assert_max_num_queries(12):
        mover.get(CALENDAR)
    with django_assert_max_num_queries(15):
        mover.get(day_url(tomorrow()))
    assert mover.get(day_url(tomorrow(), "hold/")).status_code == 403
    holder = operator("view_job", "hold_job", username="holder")
    assert holder.get(day_url(tomorrow(), "hold/")).status_code == 200


def test_by_days_is_at_the_same_time_of_day_when_the_clocks_change() -> None:
    before = datetime(2026, 3, 28, 7, 0, tzinfo=UTC)
    moved = shifted(before, 1, "Europe/Berlin")
    assert moved.isoformat() == "2026-03-29T08:00:00+02:00"


@pytest.mark.parametrize(("jobs", "said"), [(1, "It was to run "), (0, "The first was to run ")])
def test_the_question_before_a_release_says_when_it_was_to_run(
    admin_client: Client, jobs: int, said: str
) -> None:
    job = make_job(run_at=tomorrow())
    holding.hold(job, "pia", "", "default")
    page = text_of(admin_client.get(day_url(tomorrow(), "release/", **({"job": job.pk} if jobs else {}))))
    assert f"<li>{said}" in page
