"""Every refusal of the API says what is allowed instead, in English, to whatever address it was sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from jobqueue.api.told import seconds_of
from tests.jobqueue.admin.steps import make_job, operator
from tests.jobqueue.api.steps import ask, problem

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]

PAUSE = "queues/email/pause/"


@pytest.fixture
def root() -> Client:
    """Who may do everything, by a session that has to prove its forms."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def trusted() -> Client:
    """Who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["nothing/", "jobs/5/retri/", "jobs/99999999999999999999/retry/", "queues/a/b/pause"]
)
def test_an_address_that_is_none_is_404_to_every_method(method: str, path: str) -> None:
    refused = problem(ask(Client(enforce_csrf_checks=True), method, path), 404)

    assert refused["code"] == "not_found"
    assert "/api/schema" in refused["detail"]


def test_a_method_that_is_none_is_405_whatever_the_query(trusted: Client) -> None:
    problem(ask(trusted, "DELETE", "jobs/?limit=5"), 405)


def test_the_pages_of_the_schema_refuse_what_changes_by_a_problem_document(root: Client) -> None:
    answer = ask(root, "POST", "docs/")

    assert problem(answer, 405)["code"] == "method_not_allowed"
    assert answer["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["docs", "docs/", "schema", "schema/"])
def test_the_pages_of_the_schema_are_found_with_and_without_a_slash(root: Client, path: str) -> None:
    assert ask(root, "GET", path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code", "allowed"),
    [
        ("PUT", "queues/", {}, 405, "method_not_allowed", "There is no PUT here; allowed: GET, HEAD."),
        (
            "OPTIONS",
            "schema/",
            {},
            405,
            "method_not_allowed",
            "There is no OPTIONS here; allowed: GET, HEAD.",
        ),
        ("GET", "queues/", {"Accept": "text/html"}, 406, "not_acceptable", "Accept: application/json"),
        ("GET", "queues/nope/", {}, 404, "not_found", "There is no queue nope; there are: email,"),
        ("GET", "jobs/5/", {}, 404, "not_found", "There is no job 5."),
        ("GET", "emails/5/", {}, 404, "not_found", "There is no e-mail 5."),
        ("GET", f"payments/{'0' * 32}/", {}, 404, "not_found", f"There is no payment {'0' * 32}."),
        ("GET", "jobs/5/", {}, 404, "not_found", "There is no job 5."),
        ("POST", "bulk/5/stop/", {}, 404, "not_found", "There is no bulk action 5."),
        ("POST", "queues/email/resume/", {}, 409, "not_paused", "the queue email is running already"),
    ],
)
def test_a_refusal_says_what_is_allowed(
    trusted: Client, method: str, path: str, headers: dict[str, str], status: int, code: str, allowed: str
) -> None:
    refused = problem(ask(trusted, method, path, **headers), status)

    assert refused["code"] == code
    assert allowed in refused["detail"]


def test_a_verb_on_a_job_in_another_state_says_which_it_takes(trusted: Client) -> None:
    refused = problem(ask(trusted, "POST", f"jobs/{make_job('completed').pk}/retry/"), 409)

    assert refused["code"] == "wrong_state"
    assert "is completed; retry takes a failed or cancelled job" in refused["detail"]


@pytest.mark.parametrize(("verb", "code"), [("mute", "already_muted"), ("unmute", "not_muted")])
def test_a_cause_that_is_so_already_is_no_change(trusted: Client, verb: str, code: str) -> None:
    make_job("failed", cause="ConnectionError")
    answers = [ask(trusted, "POST", f"causes/{one}/", {"cause": "ConnectionError"}) for one in ("mute", verb)]
    if verb == "unmute":
        answers.append(ask(trusted, "POST", "causes/unmute/", {"cause": "ConnectionError"}))

    assert problem(answers[-1], 409)["code"] == code


def test_a_session_without_the_token_of_the_form_is_told_which_header_it_lacks(root: Client) -> None:
    refused = problem(ask(root, "POST", PAUSE), 403)

    assert refused["code"] == "csrf_failed"
    assert "X-CSRFToken" in refused["detail"]


def test_who_is_not_logged_in_is_told_how_to_be() -> None:
    assert "Authorization: Token …" in problem(ask(Client(), "GET", "queues/"), 401)["detail"]


def test_a_token_that_is_none_is_told_where_one_comes_from() -> None:
    refused = problem(ask(Client(), "GET", "queues/", Authorization="Token nonsense"), 401)

    assert "has expired; `manage.py api_token` makes another" in refused["detail"]


def test_all_missing_permissions_are_named_at_once() -> None:
    refused = problem(ask(operator(), "POST", PAUSE), 403)

    assert refused["detail"] == "That takes the permissions jobqueue.view_queue and jobqueue.pause_queue."


def test_a_body_of_another_type_is_told_the_one_that_is_taken(trusted: Client) -> None:
    answer = trusted.generic("POST", f"/api/{PAUSE}", "<a/>", content_type="text/xml")

    assert "application/json" in problem(answer, 415)["detail"]


def _pause(client: Client, body: str) -> HttpResponse:
    return client.generic("POST", f"/api/{PAUSE}", body, content_type="application/json")


@pytest.mark.parametrize("body", ["null", "[]", "5", '"x"', "true"])
def test_a_body_that_is_no_object_is_told_that_it_must_be_one(trusted: Client, body: str) -> None:
    [error] = problem(_pause(trusted, body), 422)["errors"]

    assert (error["code"], "object of JSON" in error["detail"]) == ("no_object", True)


def test_a_field_that_is_given_twice_is_refused(trusted: Client) -> None:
    refused = problem(_pause(trusted, '{"reason": "a", "reason": "b"}'), 400)

    assert "the field 'reason' is given more than once" in refused["detail"]


@pytest.mark.parametrize(
    ("until", "code"),
    [
        ("2030-01-31T08:00:00", "naive"),
        ("2030-01-31", "naive"),
        ("9999-12-31T23:59:59-14:00", "overflow"),
        ("2020-01-31T08:00:00Z", "invalid_pause"),
        ("0000-01-01T00:00:00Z", "invalid"),
    ],
)
def test_the_end_of_a_pause_is_a_time_ahead_with_its_zone(trusted: Client, until: str, code: str) -> None:
    [error] = problem(ask(trusted, "POST", PAUSE, {"until": until}), 422)["errors"]

    assert (error["field"], error["code"]) == ("until", code)
    assert error["detail"][0].isupper()


@pytest.mark.parametrize(
    ("path", "field", "allowed"),
    [
        ("settlements/?status=nix", "status", "Allowed are: "),
        ("emails/?template=nix", "template", "Allowed are: "),
        ("payments/?settlement=5", "settlement", "no id such as "),
        ("causes/?since=yesterday", "since", "30s, 15min, 2h"),
        ("causes/?until=1000-01-01T00:00:00Z", "until", "between the years 1900 and 2200"),
        ("causes/?age=soon", "age", "Allowed are: quarter, "),
        ("bulk/plan/?verb=explode", "verb", "Allowed are: retry, "),
        ("schedule/?since=9999-12-31T23:59:59-14:00", "since", "outside of the calendar"),
        ("schedule/?until=2026-01-31T08:00:00", "until", "no time zone"),
    ],
)
def test_a_parameter_that_cannot_be_read_says_what_can(
    trusted: Client, path: str, field: str, allowed: str
) -> None:
    [error] = problem(ask(trusted, "GET", path), 400)["errors"]

    assert (error["field"], allowed in error["detail"]) == (field, True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "jobs/?limit=0", None),
        ("GET", "jobs/?search=state:nix", None),
        ("GET", "bulk/plan/?verb=retry", None),
        ("PATCH", "queues/email/limits/", {"rate_limit": 0}),
        ("DELETE", "jobs/", None),
    ],
)
def test_the_api_speaks_english_whatever_is_accepted(
    trusted: Client, method: str, path: str, body: Any
) -> None:
    german = ask(trusted, method, path, body, **{"Accept-Language": "de"})

    assert german.content == ask(trusted, method, path, body).content
    assert german["Content-Language"] == "en"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "jobs/5/"),
        ("POST", "jobs/5/stop/"),
        ("POST", PAUSE),
        ("GET", "queues/"),
        ("POST", "payments/"),
    ],
)
def test_what_an_address_is_not_asked_for_is_refused_by_its_name(
    trusted: Client, method: str, path: str
) -> None:
    [error] = problem(ask(trusted, method, f"{path}?reason=late"), 400)["errors"]

    assert (error["field"], error["code"]) == ("reason", "unknown_parameter")


@pytest.mark.parametrize(("wait", "seconds"), [(0.0, 1), (38.2, 39), (39.0, 39)])
def test_nobody_is_told_to_come_again_before_it_is_time(wait: float, seconds: int) -> None:
    assert seconds_of(wait) == seconds
