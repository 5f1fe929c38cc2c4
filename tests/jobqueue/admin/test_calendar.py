"""The calendar: what waits for which day, and moving or cancelling it with its consequences told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from jobqueue.admin import names_kinds, tells_quiet_hours
from jobqueue.models import BulkAction, Job
from jobqueue.operating import kinds
from jobqueue.operating.days import edge_of
from jobqueue.sql.clock import database_now
from jobqueue.worker.bulk_walker import BulkWalker
from tests.jobqueue.admin.steps import JOBS, entries_of, make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
CALENDAR = f"{JOBS}calendar/"


def tomorrow(hour: int = 9, days: int = 1) -> datetime:
    """That hour of a coming day in the page's zone."""
    return edge_of(timezone.localdate(database_now("default")) + timedelta(days=days)) + timedelta(hours=hour)


def day_url(moment: datetime, rest: str = "", **words: Any) -> str:
    """The address of a day, or of a change of what is on it."""
    query = "&".join(f"{name}={value}" for name, value in words.items())
    return f"{CALENDAR}{timezone.localtime(moment):%Y-%m-%d}/{rest}?{query}"


def change(client: Client, url: str, **fields: Any) -> list[str]:
    """Look at the question, and answer it with yes; what the next page says."""
    asked = client.get(url, follow=True).context
    fields = {"shown": asked.get("shown", ""), **fields}
    response = client.post(url, {"reason": "the office is closed", **fields}, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def test_a_job_that_somebody_else_moved_meanwhile_stays_where_it_is(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "move/", job=job.pk)
    seen = admin_client.get(url).context["seen"]
    assert f'name="seen" value="{seen}"' in text_of(admin_client.get(url))
    first, second = (f"{tomorrow(hour):%Y-%m-%dT%H:%M}" for hour in (10, 11))
    assert change(admin_client, url, to=first, seen=seen) == ["1 job moved."]
    refused = admin_client.post(url, {"reason": "x", "to": second, "seen": seen})
    assert "was moved meanwhile" in refused.context["problems"][0]
    job.refresh_from_db()
    assert job.run_at == tomorrow(10)
    assert change(admin_client, url, to=second, seen=refused.context["seen"]) == ["1 job moved."]


def walked() -> int:
    """Let a worker walk the bulk action that was begun last; how many jobs it changed."""
    walker, action = BulkWalker(uuid.UUID(int=1), lambda: None), BulkAction.objects.latest("pk")
    for _look in range(20):
        walker.look()
        action.refresh_from_db()
        if not action.is_open:
            return action.changed
    raise AssertionError("it did not end")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third app's names and nights."""
    monkeypatch.setattr(kinds, "_names", {})
    monkeypatch.setattr(kinds, "_quiet", [])
    names_kinds("reminders.send", "Dunning", {"final": "last call"})

    @tells_quiet_hours("the shop sleeps")
    def night(first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
        return [(tomorrow(0), tomorrow(6))]


def test_a_day_says_how_many_jobs_of_which_kind_wait_for_it(admin_client: Client, shop: None) -> None:
    for kind in ("final", "final", "initial"):
        make_job(processor="reminders.send", payload={"reminder_type": kind}, run_at=tomorrow())
    make_job(run_at=tomorrow(days=20))
    make_job("completed", run_at=tomorrow())
    days = admin_client.get(CALENDAR).context["days"]
    assert [day.jobs for day in days] == [0, 3, *[0] * 12]
    assert {(kind.name, kind.jobs) for kind in days[1].kinds} == {
        ("Dunning: last call", 2),
        ("Dunning: initial", 1),
    }


def test_the_app_says_what_its_quiet_hours_mean(admin_client: Client, shop: None) -> None:
    assert "Shaded: quiet hours, the shop sleeps." in text_of(admin_client.get(CALENDAR))


def test_without_quiet_hours_the_calendar_does_not_speak_of_them(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "_quiet", [])
    assert "Shaded" not in text_of(admin_client.get(CALENDAR))


@pytest.mark.parametrize(("processor", "is_said"), [("demo.named", True), ("demo.other", False)])
def test_the_question_of_a_move_says_how_far_jobs_of_this_processor_may(
    processor: str, is_said: bool, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "_names", {})
    monkeypatch.setattr(kinds, "_moves", {})
    names_kinds("demo.named", "Named", moves="A parcel leaves within a week.")
    job = make_job(run_at=tomorrow(), processor=processor)
    for page in (f"{JOBS}{job.pk}/move/", day_url(tomorrow(), "move/", job=job.pk)):
        assert ("A parcel leaves within a week." in text_of(admin_client.get(page))) is is_said


def test_quiet_hours_are_shaded(admin_client: Client, shop: None) -> None:
    day = admin_client.get(CALENDAR).context["days"][1]
    assert [(quiet.left, quiet.width, quiet.text) for quiet in day.quiet] == [(0, 25, "00:00-06:00")]


def test_the_edges_of_a_day_are_those_of_the_zone(admin_client: Client) -> None:
    with timezone.override("Asia/Kathmandu"):
        make_job(run_at=tomorrow(0))
        make_job(run_at=tomorrow(0) - timedelta(seconds=1) + timedelta(days=1))
        edge = tomorrow(0)
    assert Job.objects.filter(run_at__gte=edge, run_at__lt=edge + timedelta(days=1)).count() == 2


def test_the_calendar_takes_few_queries_however_many_jobs(
    admin_client: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(40):
        make_job(run_at=tomorrow(days=number % 14), payload={"reminder_type": str(number)})
    with django_assert_max_num_queries(8):
        admin_client.get(CALENDAR)
    with django_assert_max_num_queries(12):
        admin_client.get(day_url(tomorrow()))


def test_a_day_lists_its_jobs_with_exact_times(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow(9))
    make_job(run_at=tomorrow(days=2))
    response = admin_client.get(day_url(tomorrow()))
    assert [row["job"].pk for row in response.context["rows"]] == [job.pk]
    assert f"{timezone.localtime(job.run_at):%Y-%m-%d 09:00:00 }" in text_of(response)


def test_a_long_day_goes_on_behind_its_last_row(admin_client: Client) -> None:
    jobs = [make_job(run_at=tomorrow()) for _ in range(60)]
    first = admin_client.get(day_url(tomorrow()))
    second = admin_client.get(f"{day_url(tomorrow())[:-1]}{first.context['ways_of_jobs'][0].url}")
    assert [row["job"].pk for row in second.context["rows"]] == [job.pk for job in jobs[50:]]


def test_a_job_moves_to_a_time(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    assert change(
        admin_client, day_url(tomorrow(), "move/", job=job.pk), to=f"{tomorrow(10, days=8):%Y-%m-%dT%H:%M}"
    ) == ["1 job moved."]
    job.refresh_from_db()
    assert job.run_at == tomorrow(10, days=8)
    assert "Reason: the office is closed" in entries_of(job)[0]


@pytest.mark.parametrize("verb", ["move", "cancel"])
def test_of_a_held_job_it_is_not_said_that_it_runs_if_nothing_is_done(
    verb: str, admin_client: Client
) -> None:
    job = make_job(run_at=tomorrow())
    change(admin_client, day_url(tomorrow(), "hold/", job=job.pk))
    text = text_of(admin_client.get(day_url(tomorrow(), f"{verb}/", job=job.pk)))
    assert "It is held, and was to run" in text and "if nothing is done" not in text
    assert ("It stays held: released, it goes out at the new time." in text) is (verb == "move")


def test_a_kind_of_a_day_moves_by_days(admin_client: Client) -> None:
    jobs = [
        make_job(processor="reminders.send", payload={"reminder_type": kind}, run_at=tomorrow())
        for kind in ("final", "initial")
    ]
    url = day_url(tomorrow(), "move/", processor="reminders.send", kind="final")
    change(admin_client, url, days="7")
    assert walked() == 1
    assert [Job.objects.get(pk=job.pk).run_at for job in jobs] == [tomorrow(days=8), tomorrow()]


def test_a_day_is_cancelled_once(admin_client: Client) -> None:
    job = make_job(run_at=tomorrow())
    url = day_url(tomorrow(), "cancel/")
    change(admin_client, url)
    assert change(admin_client, url) == ["The same is under way already: admin began it."]
    assert walked() == 1
    assert change(admin_client, url) == ["Nothing was changed: nothing of it waits for that day any more."]
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "cancelled by admin: the office is closed")


def test_the_question_tells_how_many_emails_to_how_many_people(admin_client: Client) -> None:
    make_job(processor="email.notification", run_at=tomorrow())
    assert "up to 1 e-mail" in text_of(admin_client.get(day_url(tomorrow(), "cancel/")))


@pytest.mark.parametrize("verb", ["cancel", "hold", "move"])
def test_the_question_about_a_day_without_letters_counts_none(admin_client: Client, verb: str) -> None:
    make_job(run_at=tomorrow())
    question = text_of(admin_client.get(day_url(tomorrow(), f"{verb}/")))
    assert "No e-mail is known to come of it." in question
    assert "This is about" not in question and "0 e-mail" not in question


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"to": "soon"}, "To: a date and a time"),
        ({"to": ""}, "To: a date and a time"),
        ({"to": "9999-01-01T00:00"}, "To: a date and a time"),
        ({"to": "2030-01-01T00:00", "reason": " "}, "Say why"),
        ({"to": "2030-01-01T00:00", "reason": "a\x00"}, "the character U+0000"),
    ],
)
def test_a_wrong_answer_says_what_is_allowed(
    admin_client: Client, fields: dict[str, str], problem: str
) -> None:
    job = make_job(run_at=tomorrow())
    response = admin_client.post(day_url(tomorrow(), "move/", job=job.pk), {"reason": "x", **fields})
    assert problem in text_of(response)
    assert Job.objects.get().run_at == job.run_at


@pytest.mark.parametrize("days", ["0", "x", "-", "--1", "400", "99999999", "٣"])
def test_days_are_a_whole_number(admin_client: Client, days: str) -> None:
    make_job(run_at=tomorrow())
    response = admin_client.post(day_url(tomorrow(), "move/"), {"reason": "x", "days": days})
    assert "Days: a whole number" in text_of(response)


@pytest.mark.parametrize(
    "rest",
    [
        *("x/", "2026-13-01/", "9999-12-31/", "2026-01-01/explode/", "2026-01-01/?job=x"),
        *("2026-01-01/?kind=final", "2026-01-01/cancel/?processor=sample.succeed&kind=final"),
    ],
)
def test_what_is_not_there_is_not_found(admin_client: Client, rest: str) -> None:
    assert admin_client.get(f"{CALENDAR}{rest}").status_code == 404


def test_a_kind_that_no_processor_has_does_not_mean_the_whole_day(admin_client: Client) -> None:
    make_job(run_at=tomorrow())
    for words in ({"kind": "final"}, {"kind": "final", "processor": "sample.succeed"}):
        url = day_url(tomorrow(), "cancel/", **words)
        assert admin_client.post(url, {"reason": "the office is closed"}).status_code == 404
    assert not BulkAction.objects.exists()


def test_who_only_looks_changes_nothing() -> None:
    make_job(run_at=tomorrow())
    viewer = operator("view_job")
    assert "Move …" not in text_of(viewer.get(day_url(tomorrow())))
    for verb in ("move/", "cancel/"):
        assert viewer.post(day_url(tomorrow(), verb), {"reason": "x", "days": "1"}).status_code == 403
    assert operator(username="stranger").get(CALENDAR).status_code == 403


def test_hostile_text_stays_text(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>"
    make_job(processor="reminders.send", payload={"reminder_type": evil}, run_at=tomorrow(), subject=evil)
    for url in (CALENDAR, day_url(tomorrow()), day_url(tomorrow(), "move/")):
        assert evil not in text_of(admin_client.get(url))


@pytest.mark.parametrize(
    ("days", "ways"), [(0, ["Day after"]), (1, ["Day before", "Day after"]), (13, ["Day before"]), (400, [])]
)
def test_the_ways_beside_a_day_end_where_the_calendar_does(
    admin_client: Client, days: int, ways: list[str]
) -> None:
    shown = admin_client.get(day_url(tomorrow(days=days))).context["ways"]
    assert [str(label) for label, _url in shown] == ways
