"""The schema of the API is complete, and every answer is as it says: no 5xx, nothing off the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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

from jobqueue.searching import LONGEST_SEARCH, NAMES
from settlements.models import Payment, Settlement
from tests.spendsync_site.api_rows import (
    OF_SETTLEMENTS,
    good,
    key_of,
    of_a_settlement,
    of_everything,
    of_jobs,
    resource_of,
)

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
        *("queues", "processors", "jobs", "causes", "bulk", "workers", "schedule", "audit"),
        *("settlements", "payments", "emails", "simulation"),
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


@pytest.fixture
def _token(_one_connection: None) -> dict[str, str]:
    """The header of a superuser."""
    _row, token = AuthToken.objects.create(User.objects.create_superuser("machine"))
    return {"Authorization": f"Token {token}"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_every_answer_is_as_the_schema_says(
    operation: Any, _token: dict[str, str], make_payment: Callable[..., Payment]
) -> None:
    resource = resource_of(operation.path)
    keys = of_a_settlement(make_payment()) if resource in OF_SETTLEMENTS else of_jobs()
    existing = list(keys.get(resource, {"none": ""}).values())

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), key=st.sampled_from(existing))
    def ask(case: Any, key: Any) -> None:
        for name in case.path_parameters:
            case.path_parameters[name] = key
        case.validate_response(case.call(headers=_token), checks=CHECKS)

    ask()


def test_every_operation_has_a_good_answer_that_is_as_the_schema_says(
    _token: dict[str, str],
    make_settlement: Callable[..., Settlement],
    make_payment: Callable[..., Payment],
) -> None:
    keys, refused = of_everything(make_settlement, make_payment), {}
    for operation in OPERATIONS:
        asked = good(operation.label, keys)
        names = re.findall(r"{(\w+)}", operation.path)
        case = operation.Case(
            path_parameters={name: key_of(operation.label, asked, keys) for name in names},
            query=asked.query or {},
            **({} if asked.body is None else {"body": asked.body, "media_type": "application/json"}),
        )
        response = case.call(headers={**_token, **(asked.headers or {})})
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            refused[operation.label] = response.text
    assert refused == {}


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
    forms = DOCUMENT["components"]["schemas"]
    bodies = {path: one.get("requestBody") for path, method, one in _actions() if method != "get"}
    without = []
    for path, body in bodies.items():
        content = body["content"]["application/json"]["schema"] if body else {}
        if "reason" not in forms.get(content.get("$ref", "").rpartition("/")[2], {}).get("properties", {}):
            without.append(path)
    assert without == []


def test_an_action_that_only_reads_has_no_refusals_of_changes() -> None:
    for path, method, one in _actions():
        of_changes = {"409", "411", "413", "415", "422"} & set(one["responses"])
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
