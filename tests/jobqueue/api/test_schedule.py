"""`/api/schedule/days/`: the days ahead as the calendar shows them, and moves of a day or a kind."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from jobqueue.admin import names_kinds, tells_quiet_hours
from jobqueue.models import AuditEntry, BulkAction, Job, holding
from jobqueue.operating import kinds
from jobqueue.operating.day_jobs import NothingLeft, OfADay, begin_and_log
from jobqueue.sql.clock import pretend
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.admin.test_calendar import tomorrow, walked
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer
from tests.jobqueue.moments import ahead_by_its_clock

pytestmark = pytest.mark.django_db(databases=["default", "other"])

MOVE = {"days": 7, "reason": "the office is closed"}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third app's names and nights."""
    monkeypatch.setattr(kinds, "_names", {})
    monkeypatch.setattr(kinds, "_quiet", [])
    names_kinds("reminders.send", "Dunning", {"final": "last call"})

    @tells_quiet_hours
    def night(first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
        return [(tomorrow(0) - timedelta(hours=2), tomorrow(6))] if first == tomorrow(0) else []


def _move() -> str:
    return f"schedule/days/{tomorrow():%Y-%m-%d}/move/"


def test_a_day_says_what_runs_what_is_held_and_when_it_is_quiet(shop: None) -> None:
    for _number in range(2):
        make_job(processor="reminders.send", payload={"reminder_type": "final"}, run_at=tomorrow())
    holding.hold(make_job(run_at=tomorrow()), "pia", "", "default")
    holding.hold(make_job(run_at=tomorrow(days=20)), "pia", "", "default")
    shown = get(viewer(), "schedule/days/")
    assert (len(shown["days"]), shown["held"]) == (14, 2)
    day = shown["days"][1]
    assert (day["day"], day["jobs"], day["held"]) == (f"{tomorrow():%Y-%m-%d}", 2, 1)
    final = {"processor": "reminders.send", "kind": "final", "name": "Dunning: last call", "jobs": 2}
    assert day["kinds"] == [final]
    [quiet] = day["quiet"]
    assert quiet["begins_at"] == day["begins_at"]
    assert datetime.fromisoformat(quiet["ends_at"]) == tomorrow(6)


def test_a_kind_is_moved_by_days_in_the_background() -> None:
    job, other = make_job(run_at=tomorrow()), make_job(processor="sample.skip", run_at=tomorrow())
    client = operator("view_job", "move_job")
    answer = ask(client, "POST", _move(), {**MOVE, "processor": "sample.succeed"})
    assert (answer.status_code, answer.json()["verb"], answer.json()["expected"]) == (202, "move", 1)
    assert ask(client, "POST", _move(), {**MOVE, "processor": "sample.succeed"}).status_code == 200
    assert walked() == 1
    job.refresh_from_db()
    other.refresh_from_db()
    assert (job.run_at, other.run_at) == (tomorrow(days=8), tomorrow())
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.reason, entry.jobs) == ("Move", "the office is closed", 1)


def test_a_move_takes_the_permission_to_move() -> None:
    make_job(run_at=tomorrow())
    refused = problem(ask(operator("view_job", "cancel_job"), "POST", _move(), MOVE), 403)
    assert "jobqueue.move_job" in refused["detail"]
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
        ({"days": "7"}, "days"),
        ({"reason": " "}, "reason"),
        ({"kind": "final"}, "processor"),
        ({"kind": "final", "processor": "sample.succeed"}, "kind"),
        ({"until": "x"}, "until"),
    ],
)
def test_a_move_that_cannot_be_names_the_field(body: dict[str, Any], field: str) -> None:
    make_job(run_at=tomorrow())
    refused = problem(ask(full_operator(), "POST", _move(), {**MOVE, **body}), 422)
    assert field in [error["field"] for error in refused["errors"]]
    assert not BulkAction.objects.exists()


def test_a_day_that_would_move_to_the_past_begins_nothing() -> None:
    job = make_job(run_at=tomorrow())
    client = operator("view_job", "move_job")
    refused = problem(ask(client, "POST", _move(), {**MOVE, "days": -9}), 422)
    [error] = refused["errors"]
    assert (error["field"], error["code"]) == ("days", "past_run_at")
    assert "a job moves to a time ahead" in error["detail"]
    assert not BulkAction.objects.exists() and not AuditEntry.objects.exists()
    assert Job.objects.get(pk=job.pk).run_at == tomorrow()


def test_what_of_a_day_would_move_to_the_past_is_left_out_and_told() -> None:
    early, late = make_job(run_at=tomorrow(11, days=3)), make_job(run_at=tomorrow(13, days=3))
    client, day = operator("view_job", "move_job"), f"schedule/days/{early.run_at:%Y-%m-%d}/move/"
    with pretend(tomorrow(12, days=2)):
        begun = post(client, day, {**MOVE, "days": -1})
        assert (begun["expected"], walked()) == (2, 1)
    [left_out] = get(client, f"bulk/{begun['id']}/")["left_out"]
    assert (left_out["code"], left_out["ids"]) == ("declined", [early.pk])
    assert "a job moves to a time ahead" in left_out["text"]
    assert Job.objects.get(pk=late.pk).run_at == tomorrow(13, days=2)


# Holding, releasing, cancelling ---------------------------------------------------------------------

HOLD = {"reason": "the text is wrong"}


def _day(verb: str) -> str:
    return f"schedule/days/{tomorrow():%Y-%m-%d}/{verb}/"


@pytest.mark.parametrize(
    ("verb", "right", "after"),
    [
        ("hold", "hold_job", {"state": "waiting", "held_run_at": tomorrow}),
        ("cancel", "cancel_job", {"state": "cancelled"}),
    ],
)
def test_the_jobs_of_a_kind_are_held_and_cancelled(verb: str, right: str, after: dict[str, Any]) -> None:
    job, other = make_job(run_at=tomorrow()), make_job(processor="sample.skip", run_at=tomorrow())
    client = operator("view_job", right)
    begun = post(client, _day(verb), {**HOLD, "processor": "sample.succeed"})
    assert (begun["verb"], begun["expected"], begun["state"]) == (verb, 1, "waits")
    assert walked() == 1
    changed = Job.objects.values().get(pk=job.pk)
    for name, value in after.items():
        assert changed[name] == (value() if callable(value) else value)
    assert Job.objects.get(pk=other.pk).run_at == other.run_at
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.reason, entry.jobs) == (verb.capitalize(), HOLD["reason"], 1)


def test_the_held_jobs_of_a_day_are_released() -> None:
    job, later = make_job(run_at=tomorrow()), make_job(run_at=tomorrow(days=2))
    for one in (job, later):
        holding.hold(one, "pia", "", "default")
    begun = post(operator("view_job", "release_job"), _day("release"), HOLD)
    assert (begun["verb"], begun["expected"], walked()) == ("release", 1, 1)
    assert Job.objects.get(pk=job.pk).run_at == tomorrow()
    assert Job.objects.get(pk=later.pk).held_run_at is not None


def test_of_two_who_release_a_day_at_once_the_later_one_writes_nothing_down() -> None:
    for _number in range(2):
        holding.hold(make_job(run_at=tomorrow()), "pia", "", "default")
    request = RequestFactory().post("/")
    request.user = User.objects.create(username="ann")
    told = {"number": 2, "newest": Job.objects.latest("pk").pk, "reason": "sent"}
    day = OfADay(tomorrow().date())
    begin_and_log(request, day, "release", **told)
    assert walked() == 2

    with pytest.raises(NothingLeft):
        begin_and_log(request, day, "release", **told)

    assert (BulkAction.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_the_entry_of_a_day_tells_what_was_there_when_it_began() -> None:
    job, other = make_job(run_at=tomorrow()), make_job(run_at=tomorrow())
    request = RequestFactory().post("/")
    request.user = User.objects.create(username="ann")
    told = {"number": 2, "newest": other.pk, "reason": "closed"}
    holding.hold(job, "pia", "", "default")

    action, _is_new = begin_and_log(request, OfADay(tomorrow().date()), "cancel", **told)

    entry = AuditEntry.objects.get()
    assert (action.expected, entry.jobs) == (1, 1)
    assert entry.text.startswith("Cancel: 1 job (")


@pytest.mark.parametrize("verb", ["hold", "release", "cancel"])
def test_each_verb_of_a_day_takes_its_permission_a_reason_and_something_to_change(verb: str) -> None:
    others = {"move_job", "hold_job", "release_job", "cancel_job"} - {f"{verb}_job"}
    refused = problem(ask(operator("view_job", *others), "POST", _day(verb), HOLD), 403)
    assert f"jobqueue.{verb}_job" in refused["detail"]
    client = full_operator("able")
    assert [one["field"] for one in problem(ask(client, "POST", _day(verb), {}), 422)["errors"]] == ["reason"]
    assert problem(ask(client, "POST", _day(verb), HOLD), 422)["code"] == "nothing_matches"
    assert not BulkAction.objects.exists()


# What is listed -------------------------------------------------------------------------------------


def test_what_is_held_is_not_on_the_schedule() -> None:
    """Its `run_at` there is the time that it had, and no order or bound of times would be true of it."""
    last, held = make_job(run_at=tomorrow(days=2)), make_job(run_at=tomorrow())
    holding.hold(held, "pia", "", "default")
    shown = get(viewer(), "schedule/")["results"]
    assert [(one["id"], one["state"]) for one in shown] == [(last.pk, "delayed")]
    assert [one["id"] for one in get(full_operator(), "jobs/?search=state:held")["results"]] == [held.pk]


def test_what_runs_at_one_moment_is_on_one_page_each() -> None:
    made = [make_job(run_at=tomorrow()).pk for _ in range(11)]
    Job.objects.update(run_at=ahead_by_its_clock(timedelta(days=1)))
    client, address, shown = viewer(), "schedule/?limit=3", []
    while address and len(shown) <= len(made):
        body = get(client, address)
        shown += [one["id"] for one in body["results"]]
        address = (body["next"] or "").removeprefix("http://testserver/api/")
    assert shown == made


def test_where_nothing_waits_nothing_is_begun() -> None:
    assert problem(ask(full_operator(), "POST", _move(), MOVE), 422)["code"] == "nothing_matches"


@pytest.mark.parametrize("day", ["2026-02-30", "9999-01-01", "tomorrow"])
def test_a_day_that_there_is_not_is_404(day: str) -> None:
    problem(ask(full_operator(), "POST", f"schedule/days/{day}/move/", MOVE), 404)


def test_a_move_of_many_takes_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.operating.bulk_plans.TYPED_ABOVE", 1)
    for _number in range(2):
        make_job(run_at=tomorrow())
    refused = problem(ask(full_operator(), "POST", _move(), MOVE), 422)
    assert [error["field"] for error in refused["errors"]] == ["confirm"]
    assert post(full_operator("again"), _move(), {**MOVE, "confirm": 2})["expected"] == 2
    assert Job.objects.filter(run_at=tomorrow()).count() == 2


@pytest.mark.parametrize("confirmed", [1, 3], ids=["more by now", "fewer by now"])
def test_a_number_that_is_given_of_few_holds_too(confirmed: int) -> None:
    for _number in range(2):
        make_job(run_at=tomorrow())
    refused = problem(ask(full_operator(), "POST", _move(), {**MOVE, "confirm": confirmed}), 422)
    assert [error["field"] for error in refused["errors"]] == ["confirm"]
    assert "2 jobs are meant by now" in refused["errors"][0]["detail"]
    assert not BulkAction.objects.exists()
    assert post(full_operator("again"), _move(), {**MOVE, "confirm": 2})["expected"] == 2
