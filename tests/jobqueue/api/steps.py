"""What the tests of the API do again and again: clients of operators, questions, refusals."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, NamedTuple

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
    asked = (request.method, request.path, status)
    if named is not None:
        assert body["code"] in named.of_all, (*asked, body["code"], named)
        unnamed = {one["code"] for one in body.get("errors", [])} - named.in_errors
        assert not unnamed, (*asked, unnamed, named)
    return body


class Named(NamedTuple):
    """The codes that the schema names of one refusal."""

    of_all: frozenset[str]
    in_errors: frozenset[str]


def codes_of(method: str, path: str, status: str) -> Named | None:
    """What the schema names of this refusal of an action; None where it has no such action."""
    for form, actions in _paths().items():
        if method in actions and form.fullmatch(path.rstrip("/") + "/"):
            told = actions[method]["responses"].get(status, {}).get("description", "")
            return Named(*(_codes_in(told, words) for words in ("`code` is ", "In `errors` it may be ")))
    return None


def _codes_in(text: str, words: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.partition(words)[2].partition(".")[0])) - {"or"}


@cache
def _paths() -> dict[re.Pattern[str], Any]:
    """The actions by the form of their address, those of one address before those of many."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    paths = sorted(document["paths"], key=lambda path: path.count("{"))
    return {re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): document["paths"][path] for path in paths}


def viewer() -> Client:
    """Who may look: a member of "Job viewer"."""
    return member_of("Job viewer", username="viewer")


def full_operator(username: str = "operator") -> Client:
    """A member of "Job operator": may do everything but delete jobs and read payloads."""
    return member_of("Job operator", username=username)


def deleter(username: str = "deleter") -> Client:
    """Who may delete jobs, which no group may."""
    return operator(*VIEWER, "delete_job", username=username)
