"""`/api/bulk/`: every verb on all jobs that a search or a filter means, in the background."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.models import AuditEntry, BulkAction, Job, holding
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.api.steps import ask, deleter, full_operator, get, post, problem
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# What each verb takes, the state afterwards, and the permission.
VERBS = {
    "retry": ("cancelled", "waiting", "retry_job"),
    "run_now": ("delayed", "waiting", "run_job"),
    "cancel": ("waiting", "cancelled", "cancel_job"),
    "put_back": ("stuck", "waiting", "put_back_job"),
    "fail": ("stuck", "failed", "fail_job"),
    "hold": ("delayed", "waiting", "hold_job"),
    "release": ("held", "waiting", "release_job"),
}


def _make(state: str) -> Job:
    job = make_job("delayed" if state == "held" else state)
    if state == "held":
        holding.hold(job, "pia", "", "default")
    return job


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_all_that_a_search_finds(verb: str) -> None:
    state, after, permission = VERBS[verb]
    wanted = {_make(state).pk for _ in range(2)}
    other = make_job("completed")
    asked = {"verb": verb, "search": f"state:{state} queue:email", "reason": "told to"}
    client = operator("view_job", permission, username="able")

    assert get(client, f"bulk/plan/?verb={verb}&search=state:{state}")["jobs"] == 2
    begun = post(client, "bulk/", asked)

    assert (begun["verb"], begun["expected"], begun["state"]) == (verb, 2, "waits")
    assert walk(BulkAction.objects.get()) == 2
    assert (
        set(Job.objects.filter(state=after, bulk_action=begun["id"]).values_list("pk", flat=True)) == wanted
    )
    assert Job.objects.get(pk=other.pk).state == "completed"
    [entry] = AuditEntry.objects.all()
    assert (entry.who, entry.reason, entry.jobs) == ("able", "told to", 2)


def test_all_that_a_search_finds_are_discarded() -> None:
    make_job("completed")
    left = make_job("failed")
    post(deleter(), "bulk/", {"verb": "discard", "search": "state:completed"})
    assert walk(BulkAction.objects.get()) == 1
    assert list(Job.objects.all()) == [left]


@pytest.mark.parametrize("verb", VERBS)
def test_who_lacks_the_permission_of_the_verb_begins_and_stops_nothing(verb: str) -> None:
    state, _after, permission = VERBS[verb]
    _make(state)
    others = {*(known for _state, _after, known in VERBS.values()), "delete_job", "move_job"} - {permission}
    unable = operator("view_job", *others, username="unable")
    asked = {"verb": verb, "search": f"state:{state}"}

    assert permission in problem(ask(unable, "POST", "bulk/", asked), 403)["detail"]
    begun = post(operator("view_job", permission, username="able"), "bulk/", asked)
    assert "stop_bulkaction" in problem(ask(unable, "POST", f"bulk/{begun['id']}/stop/"), 403)["detail"]


def test_of_two_operators_at_once_each_begins_the_same_action() -> None:
    make_job("delayed")
    asked = {"verb": "cancel", "search": "state:delayed"}

    answers = [ask(full_operator(name), "POST", "bulk/", asked) for name in ("one", "two")]

    assert [answer.status_code for answer in answers] == [202, 200]
    assert BulkAction.objects.count() == AuditEntry.objects.count() == 1


def test_without_a_search_the_queue_and_the_processor_narrow_what_the_verb_takes() -> None:
    wanted = make_job()
    for fields in ({"queue": "reminders"}, {"processor": "sample.skip"}):
        make_job(**fields)

    post(full_operator(), "bulk/", {"verb": "hold", "queue": "email", "processor": "sample.succeed"})

    assert walk(BulkAction.objects.get()) == 1
    assert holding.held(Job.objects.all()).get() == wanted


def test_what_came_after_the_action_was_begun_is_not_meant() -> None:
    make_job("delayed")
    post(full_operator(), "bulk/", {"verb": "cancel", "search": "state:delayed"})
    later = make_job("delayed")
    assert walk(BulkAction.objects.get()) == 1
    assert Job.objects.get(pk=later.pk).state == "waiting"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"verb": "cancel", "search": "state:broken"}, "search", "unreadable_search"),
        ({"verb": "cancel", "cause": "OSError"}, "cause", "failed_jobs_only"),
        ({"verb": "retry", "search": "state:failed", "age": "hour"}, "age", "failed_jobs_only"),
        ({"verb": "explode"}, "verb", "invalid_choice"),
    ],
)
def test_what_narrows_nothing_is_refused_by_its_name(body: dict[str, Any], field: str, code: str) -> None:
    make_job("failed")

    refused = problem(ask(full_operator(), "POST", "bulk/", body), 422)

    assert [(error["field"], error["code"]) for error in refused["errors"]] == [(field, code)]
    assert not BulkAction.objects.exists()


def test_a_search_that_looks_into_payloads_takes_the_permission_to_read_them() -> None:
    problem(ask(full_operator(), "GET", "bulk/plan/?verb=cancel&search=email:a@example.com"), 403)


def test_many_take_their_number_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobqueue.operating.bulk_plans.TYPED_ABOVE", 1)
    for _ in range(2):
        make_job("delayed")
    asked, client = {"verb": "cancel", "search": "state:delayed"}, full_operator()

    refused = problem(ask(client, "POST", "bulk/", asked), 422)
    begun = ask(client, "POST", "bulk/", {**asked, "confirm": 2, "reason": "sent by hand"})

    assert [error["field"] for error in refused["errors"]] == ["confirm", "reason"]
    assert begun.status_code == 202


def test_an_address_that_was_searched_for_is_hidden_from_who_may_not_read_payloads() -> None:
    make_job("delayed", payload={"email": "pia@example.com"})
    reader = operator("view_job", "cancel_job", "view_payload", username="reader")
    begun = post(reader, "bulk/", {"verb": "cancel", "search": "email:pia@example.com"})

    text = ask(full_operator(), "GET", f"bulk/{begun['id']}/").content.decode()

    assert "pia@" not in text


# Without a filter -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["cancel", "hold", "run_now", "release"])
def test_without_a_filter_any_number_takes_itself_and_a_reason(verb: str) -> None:
    _make(VERBS[verb][0])
    client, asked = full_operator(), {"verb": verb}
    refused = problem(ask(client, "POST", "bulk/", asked), 422)
    assert [error["field"] for error in refused["errors"]] == ["confirm", "reason"]
    assert "without a search or a filter, 1, to begin" in refused["errors"][0]["detail"]
    assert get(client, f"bulk/plan/?verb={verb}")["must_be_confirmed"] is True
    assert not BulkAction.objects.exists()
    assert post(client, "bulk/", {**asked, "confirm": 1, "reason": "all of them"})["expected"] == 1


@pytest.mark.parametrize("narrowed", [{"search": "state:waiting"}, {"queue": "email"}])
def test_what_is_narrowed_needs_no_number(narrowed: dict[str, str]) -> None:
    make_job()
    client = full_operator()
    [(name, value)] = narrowed.items()
    assert get(client, f"bulk/plan/?verb=hold&{name}={value}")["must_be_confirmed"] is False
    assert post(client, "bulk/", {"verb": "hold", **narrowed})["expected"] == 1


@pytest.mark.parametrize("verb", ["retry", "discard"])
def test_of_all_failures_it_takes_their_number(verb: str) -> None:
    make_job("failed")
    client, asked = operator("view_job", "retry_job", "delete_job"), {"verb": verb}
    problem(ask(client, "POST", "bulk/", asked), 422)
    problem(ask(client, "POST", "bulk/", {**asked, "confirm": 2, "reason": "all of them"}), 422)
    assert post(client, "bulk/", {**asked, "confirm": 1, "reason": "all of them"})["expected"] == 1


@pytest.mark.parametrize("confirmed", [0, 1, 3])
def test_another_number_than_is_meant_begins_nothing_however_few_they_are(confirmed: int) -> None:
    for _ in range(2):
        make_job()
    asked = {"verb": "hold", "search": "state:waiting", "confirm": confirmed}
    refused = problem(ask(full_operator(), "POST", "bulk/", asked), 422)
    assert refused["errors"][0]["detail"] == "Give the number of jobs, 2, to begin."
    assert not BulkAction.objects.exists()
