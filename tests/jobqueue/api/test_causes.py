"""`/api/causes/` and `/api/bulk/`: failures by cause, and actions on all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.models import BulkAction, Cause, Job, subject_of
from jobqueue.operating import concerned
from jobqueue.operating.recent import Recent
from settlements.models import Settlement
from tests.jobqueue.admin.steps import make_job, make_worker, operator
from tests.jobqueue.api.steps import ask, deleter, full_operator, get, post, problem, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])

CAUSE = "ConnectionError"


def _fail(number: int = 1, **fields: object) -> list[Job]:
    return [make_job("failed", cause=CAUSE, **fields) for _ in range(number)]


def test_failures_are_grouped_by_cause() -> None:
    _fail(2)
    make_job("failed", cause="ValueError", queue="reminders")

    assert {one["cause"]: one["jobs"] for one in get(viewer(), "causes/")["results"]} == {
        CAUSE: 2,
        "ValueError": 1,
    }
    assert [
        one["cause"]
        for one in get(operator("view_job", username="two"), "causes/?queue=reminders")["results"]
    ] == ["ValueError"]


# Whom they concern --------------------------------------------------------------------------------

Owed = Callable[[], dict[str, object]]


@pytest.fixture
def owed(make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch) -> Owed:
    """A job of the cause that failed for another settlement; what all of them are worth then."""
    monkeypatch.setattr(concerned, "_recent", Recent(60, 8))
    made: list[Settlement] = []

    def fail() -> dict[str, object]:
        made.append(make_settlement())
        _fail(2, subject=subject_of(made[-1]))
        amount = made[0].amount
        total = f"{len(made) * amount.amount:.2f}"
        return {"people": 2, "amounts": {str(amount.currency): total}, "at_least": False}

    return fail


def _who_may(*permissions: str, username: str = "reader") -> Client:
    return operator("view_job", *permissions, username=username)


def test_a_cause_says_whom_it_concerns_and_what_that_is_worth_to_who_may_see_it(owed: Owed) -> None:
    owed()
    expected = owed()
    make_job("failed", cause="ValueError")
    shown = get(_who_may("settlements.view_settlement"), "causes/")["results"]
    assert {one["cause"]: one["concerned"] for one in shown} == {CAUSE: expected, "ValueError": None}
    [first, _second] = get(_who_may(username="other"), "causes/")["results"]
    assert first["concerned"] is None


def test_of_many_failures_the_list_leads_to_where_it_is_told_exactly(
    owed: Owed, monkeypatch: pytest.MonkeyPatch
) -> None:
    owed()
    expected = owed()
    make_job("failed", cause=CAUSE, queue="reminders")
    monkeypatch.setattr("jobqueue.api.causes.MOST_SUBJECTS", 1)
    client = _who_may("settlements.view_settlement")
    [line] = get(client, "causes/?queue=email")["results"]
    assert line["concerned"] is None
    assert line["concerned_url"].endswith(
        f"/api/causes/concerned/?{urlencode({'queue': 'email', 'cause': CAUSE})}"
    )
    told = get(client, line["concerned_url"].partition("/api/")[2])
    assert told == {"cause": CAUSE, "jobs": 4, "concerned": expected}


def test_a_cause_by_which_nothing_is_failed_concerns_nobody_and_one_has_to_be_named() -> None:
    client = viewer()
    told = get(client, "causes/concerned/?cause=Nonsense")
    assert told == {"cause": "Nonsense", "jobs": 0, "concerned": None}
    problem(ask(client, "GET", "causes/concerned/"), 400)


# Actions ------------------------------------------------------------------------------------------


def test_all_of_a_cause_are_retried_in_the_background() -> None:
    _fail(3)

    response = ask(full_operator(), "POST", "causes/retry/", {"cause": CAUSE, "reason": "mended"})

    assert response.status_code == 202
    begun = BulkAction.objects.get()
    assert (begun.verb, begun.expected, begun.reason, begun.asked_by) == ("retry", 3, "mended", "operator")
    assert "Retry: 3 jobs" in LogEntry.objects.get().change_message
    assert response.json()["waits_for_a_worker"] is True


def test_two_operators_who_ask_for_the_same_begin_one_action() -> None:
    _fail()

    answers = [ask(full_operator(name), "POST", "causes/retry/", {"cause": CAUSE}) for name in ("one", "two")]

    assert [answer.status_code for answer in answers] == [202, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("address", "narrowed"), [("causes/retry/", {"queue": "email"}), ("causes/discard/", {})]
)
def test_another_action_for_a_cause_is_refused_while_one_is_under_way(
    address: str, narrowed: dict[str, str]
) -> None:
    _fail()
    assert ask(full_operator("one"), "POST", "causes/retry/", {"cause": CAUSE}).status_code == 202
    other = deleter() if "discard" in address else full_operator("two")
    answer = ask(other, "POST", address, {"cause": CAUSE, **narrowed})
    assert (answer.status_code, answer.json()["code"]) == (409, "under_way")
    assert BulkAction.objects.count() == 1


LONG_AGO, LATER = "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"age": "quarter"}, {"age": "day"}),
        ({"age": "day"}, {"age": "day", "since": "{now}"}),
        ({"since": LONG_AGO}, {"since": LATER}),
        ({"since": LONG_AGO}, {"age": "day"}),
        ({"until": "2100-01-01T00:00:00Z"}, {}),
        ({"age": "day"}, {}),
    ],
)
def test_the_same_cause_in_another_time_is_refused_while_one_is_under_way(
    first: dict[str, str], second: dict[str, str]
) -> None:
    _fail()
    first, second = ({name: _moment(text) for name, text in one.items()} for one in (first, second))
    client = full_operator()
    for one, other in ((first, second), (second, first)):
        assert _retried(client, one).status_code == 202
        answer = _retried(client, other)
        assert (answer.status_code, answer.json()["code"]) == (409, "under_way")
        BulkAction.objects.all().delete()


def _moment(text: str) -> str:
    """For `{now}` a moment before the one job failed, within every age."""
    return (Job.objects.get().finished_at - timedelta(seconds=1)).isoformat() if text == "{now}" else text


def _retried(client: Client, narrowed: dict[str, str]) -> Any:
    return ask(client, "POST", "causes/retry/", {"cause": CAUSE, **narrowed})


@pytest.mark.parametrize(
    "narrowed",
    [
        {"age": "day"},
        {"age": "day", "since": LONG_AGO},
        {"age": "quarter", "queue": "email"},
        {"since": LONG_AGO},
        {"since": LONG_AGO, "until": "2100-01-01T00:00:00Z"},
    ],
)
def test_the_same_time_is_the_same_however_it_is_counted_back(narrowed: dict[str, str]) -> None:
    _fail()
    clients = [full_operator(who) for who in ("one", "two")]
    assert [_retried(client, narrowed).status_code for client in clients] == [202, 200]


def test_an_age_is_the_same_an_hour_later() -> None:
    _fail()
    client = full_operator()
    _retried(client, {"age": "day"})
    begun, hour = BulkAction.objects.get(), timedelta(hours=1)
    since = datetime.fromisoformat(begun.selection["ended_from"]) - hour
    earlier = {**begun.selection, "ended_from": since.isoformat()}
    BulkAction.objects.update(asked_at=begun.asked_at - hour, selection=earlier)
    assert _retried(client, {"age": "day"}).status_code == 200


def test_an_action_that_nothing_matches_says_so() -> None:
    refused = problem(ask(full_operator(), "POST", "bulk/", {"verb": "retry", "queue": "email"}), 422)

    assert refused["code"] == "nothing_matches"
    assert "queue email" in refused["detail"]


def test_an_action_on_many_takes_their_number_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.operating.bulk_plans.TYPED_ABOVE", 1)
    _fail(2)
    client = deleter()

    refused = problem(ask(client, "POST", "bulk/", {"verb": "discard"}), 422)
    begun = ask(client, "POST", "bulk/", {"verb": "discard", "confirm": 2, "reason": "old"})

    assert [error["field"] for error in refused["errors"]] == ["confirm", "reason"]
    assert begun.status_code == 202


def test_a_plan_says_what_an_action_would_do_and_does_nothing() -> None:
    _fail(2)

    planned = get(full_operator(), f"bulk/plan/?verb=retry&cause={CAUSE}")

    assert (planned["jobs"], planned["by_processor"]) == (2, {"sample.succeed": 2})
    assert not BulkAction.objects.exists()


def test_a_bulk_action_is_watched_and_stopped_once() -> None:
    _fail()
    make_worker()
    client = full_operator()
    begun = post(client, "causes/retry/", {"cause": CAUSE})

    assert [one["id"] for one in get(client, "bulk/")["results"]] == [begun["id"]]
    assert get(client, f"bulk/{begun['id']}/")["state"] == "waits"
    assert post(client, f"bulk/{begun['id']}/stop/")["state"] == "stopped"
    problem(ask(client, "POST", f"bulk/{begun['id']}/stop/"), 409)


@pytest.mark.parametrize(("verb", "permission"), [("retry", "retry_job"), ("discard", "delete_job")])
def test_each_verb_has_its_permission(verb: str, permission: str) -> None:
    _fail()

    refused = problem(ask(operator("view_job", username="a"), "POST", "bulk/", {"verb": verb}), 403)
    asked = {"verb": verb, "queue": "email"}
    begun = ask(operator("view_job", permission, username="b"), "POST", "bulk/", asked)

    assert permission in refused["detail"]
    assert begun.status_code == 202


def test_a_cause_is_muted_once_and_unmuted() -> None:
    _fail()
    client = full_operator()

    post(client, "causes/mute/", {"cause": CAUSE})
    problem(ask(client, "POST", "causes/mute/", {"cause": CAUSE}), 409)
    assert Cause.objects.get().muted_by == "operator"
    assert get(client, "causes/")["results"][0]["muted"] is True
    post(client, "causes/unmute/", {"cause": CAUSE})

    assert Cause.objects.get().muted_at is None


def test_a_cause_of_no_failure_cannot_be_muted() -> None:
    problem(ask(full_operator(), "POST", "causes/mute/", {"cause": "Nonsense"}), 404)


def test_a_time_that_cannot_be_read_is_named() -> None:
    problem(ask(viewer(), "GET", "causes/?since=yesterday"), 400)
