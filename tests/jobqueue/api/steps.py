"""What the tests of the API do again and again: clients of operators, questions, refusals."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from django.http import HttpResponse
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from tests.jobqueue.admin.steps import operator
from tests.jobqueue.groups import GROUPS, member_of

API = "/api/"
PROBLEM = "application/problem+json"

VIEWER = tuple(GROUPS["Job viewer"])
"""What a viewer holds, for who holds something besides."""


def ask(client: Client, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
    """One request with a body of JSON, if there is one."""
    data = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    return client.generic(method, f"{API}{path}", **data, headers=headers)


def get(client: Client, path: str) -> Any:
    """What is answered, which must be there."""
    return read(ask(client, "GET", path))


def post(client: Client, path: str, body: Any = None, method: str = "POST") -> Any:
    """What is answered, which must be there."""
    return read(ask(client, method, path, body))


def read(response: HttpResponse) -> Any:
    """The body of an answer that is no refusal."""
    assert response.status_code < 300, response.content
    assert response["Content-Type"] == "application/json"
    return json.loads(response.content)


def problem(response: HttpResponse, status: int) -> Any:
    """The problem document of a refusal, whose code the schema must name for what was asked."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    body = json.loads(response.content)
    assert body["status"] == status
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    request = response.wsgi_request  # type: ignore[attr-defined]
    named = codes_of(request.method.lower(), request.path, str(status))
    assert named is None or body["code"] in named, (request.method, request.path, body["code"], named)
    return body


def codes_of(method: str, path: str, status: str) -> set[str] | None:
    """The words of the schema on this refusal; None where it has no such action."""
    for form, actions in _paths().items():
        answer = actions.get(method, {}).get("responses", {}).get(status)
        if answer and form.fullmatch(path.rstrip("/") + "/"):
            return set(re.findall(r"\w+", answer["description"]))
    return None


@cache
def _paths() -> dict[re.Pattern[str], Any]:
    document = SchemaGenerator().get_schema(request=None, public=True)
    return {
        re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): actions for path, actions in document["paths"].items()
    }


def viewer() -> Client:
    """Who may look: a member of "Job viewer"."""
    return member_of("Job viewer", username="viewer")


def full_operator(username: str = "operator") -> Client:
    """A member of "Job operator": may do everything but delete jobs and read payloads."""
    return member_of("Job operator", username=username)


def deleter(username: str = "deleter") -> Client:
    """Who may delete jobs, which no group may."""
    return operator(*VIEWER, "delete_job", username=username)
