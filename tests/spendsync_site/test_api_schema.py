"""The schema of the API is complete, and every answer is as it says: no 5xx, nothing off the schema."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jobqueue.models import holding
from jobqueue.searching import LONGEST_SEARCH, NAMES
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "other"])

EXAMPLES = 5
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip


DOCUMENT = SchemaGenerator().get_schema(request=None, public=True)


def _operations() -> list[Any]:
    loaded = schemathesis.openapi.from_dict(DOCUMENT)
    loaded.app = WSGIHandler()
    return [found.ok() for found in loaded.get_all_operations()]


OPERATIONS = _operations()


def test_the_schema_is_complete_and_valid() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def test_the_schema_is_served_as_openapi_3_1(admin_client: Client) -> None:
    document = admin_client.get("/api/schema/").json()

    assert document["openapi"] == "3.1.0"
    named = (
        *("queues", "processors", "jobs", "causes", "bulk", "workers", "schedule"),
        *("settlements", "payments", "emails"),
    )
    assert {f"/api/{name}/" for name in named} <= set(document["paths"])


@pytest.fixture
def _one_connection() -> Iterator[None]:
    """The requests run in the transaction of the test: what ends a request must not close its connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.usefixtures("_one_connection")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_every_answer_is_as_the_schema_says(operation: Any) -> None:
    worker = str(make_worker(takes_orders=True).pk)
    ids = _rows()
    user = User.objects.create_superuser("machine")
    _row, token = AuthToken.objects.create(user)
    headers = {"Authorization": f"Token {token}"}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), existing=st.sampled_from(ids))
    def ask(case: Any, existing: int) -> None:
        if "id" in case.path_parameters:
            case.path_parameters["id"] = worker if "/workers/" in operation.path else existing
        if "name" in case.path_parameters:
            case.path_parameters["name"] = "email"
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    ask()


def _rows() -> list[Any]:
    """Jobs in every state, with what hangs on them; their ids, and one that nothing has."""
    make_worker()
    states = ("waiting", "delayed", "active", "stuck", "completed", "skipped", "cancelled")
    jobs = [make_job(state) for state in states]
    holding.hold(jobs[1], "pia", "", "default")
    failed = make_job("failed", cause="ConnectionError", payload={"text": "<script>\u202e{{ \x1b[31m"})
    add_attempt(failed, message="<script>alert(1)</script>")
    return [failed.pk, *(job.pk for job in jobs), 2**62]


# What it says --------------------------------------------------------------------------------------


def _actions() -> list[tuple[str, str, Any]]:
    return [
        (path, method, one) for path, methods in DOCUMENT["paths"].items() for method, one in methods.items()
    ]


def test_every_action_names_the_permissions_that_it_takes() -> None:
    silent = [path for path, _method, one in _actions() if "Permission" not in one["description"]]

    assert silent == []
    limits = DOCUMENT["paths"]["/api/queues/{name}/limits/"]["patch"]["description"]
    assert limits.endswith("`jobqueue.view_queue`, `jobqueue.limit_queue`.")


def test_every_verb_takes_a_reason_in_its_body() -> None:
    """A payment is no verb: it is made, and says itself what it is."""
    forms = DOCUMENT["components"]["schemas"]
    bodies = {path: one.get("requestBody") for path, method, one in _actions() if method != "get"}
    del bodies["/api/payments/"]
    without = []
    for path, body in bodies.items():
        content = body["content"]["application/json"]["schema"] if body else {}
        if "reason" not in forms.get(content.get("$ref", "").rpartition("/")[2], {}).get("properties", {}):
            without.append(path)
    assert without == []


def test_an_action_that_only_reads_has_no_refusals_of_changes() -> None:
    for path, method, one in _actions():
        of_changes = {"409", "413", "415", "422"} & set(one["responses"])
        assert bool(of_changes) == (method != "get"), path


def test_the_form_of_a_body_refuses_what_it_does_not_know() -> None:
    forms = DOCUMENT["components"]["schemas"]
    open_ones = [
        name
        for name, form in forms.items()
        if name.endswith("Request") and "additionalProperties" not in form
    ]

    assert open_ones == []
    assert forms["PatchedLimitsRequest"]["minProperties"] == 1


def test_refusals_that_ask_for_patience_say_by_which_header() -> None:
    for path, _method, one in _actions():
        for status in ("429", "503"):
            assert "Retry-After" in one["responses"][status]["headers"], path


def test_the_search_language_stands_in_the_schema() -> None:
    [search] = [
        one for one in DOCUMENT["paths"]["/api/jobs/"]["get"]["parameters"] if one["name"] == "search"
    ]

    assert search["schema"]["maxLength"] == LONGEST_SEARCH
    for name in NAMES:
        assert f"`{name}" in search["description"]


def test_the_resources_stand_in_the_order_and_with_the_words_of_the_site() -> None:
    used = {tag for _path, _method, one in _actions() for tag in one["tags"]}

    assert used == {tag["name"] for tag in DOCUMENT["tags"]}
    assert DOCUMENT["tags"][0]["name"] == "queues"
    assert "RFC 9457" in DOCUMENT["info"]["description"]
