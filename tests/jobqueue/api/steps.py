"""What the tests of the API do again and again: clients of operators, questions, refusals."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.jobqueue.admin.steps import operator

API = "/api/"
PROBLEM = "application/problem+json"

VIEWER = ("view_job", "view_queue", "view_worker")
OPERATOR = (*VIEWER, "retry_job", "cancel_job", "run_job", "put_back_job", "fail_job", "delete_job",
            "pause_queue", "resume_queue", "limit_queue", "mute_cause", "unmute_cause", "stop_job",
            "move_job", "hold_job", "release_job", "copy_job", "quiet_worker", "resume_worker", "stop_worker",
            "stop_bulkaction")  # fmt: skip


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
    """The problem document of a refusal."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    body = json.loads(response.content)
    assert body["status"] == status
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    return body


def viewer() -> Client:
    """Who may look."""
    return operator(*VIEWER, username="viewer")


def full_operator(username: str = "operator") -> Client:
    """Who may do everything but read payloads."""
    return operator(*OPERATOR, username=username)
