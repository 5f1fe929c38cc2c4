"""Bodies that come in parts, without a length, are read as any other, or refused: never taken for empty."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest

from jobqueue.api.bodies import LARGEST_BODY
from jobqueue.api.streamed import give_length
from jobqueue.models import AuditEntry, Job
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.api.steps import full_operator, problem, read

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _in_parts(
    path: str, raw: bytes | BytesIO, kind: str = "application/json", *, is_ended: bool = True
) -> Any:
    """What a server hands on of a request with `Transfer-Encoding: chunked`."""
    environ: dict[str, Any] = {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": "",
        "wsgi.input": BytesIO(raw) if isinstance(raw, bytes) else raw,
    }
    if is_ended:
        environ["wsgi.input_terminated"] = True
    return full_operator().post(f"/api/{path}", **environ)


def test_what_is_said_in_parts_is_heard() -> None:
    body = {"until": "2100-01-31T08:00:00Z", "reason": "the provider asked us to"}
    shown = read(_in_parts("queues/email/pause/", json.dumps(body).encode()))
    assert (shown["paused_until"], shown["pause_reason"]) == (body["until"], body["reason"])
    assert AuditEntry.objects.get(verb="Pause").reason == body["reason"]


def test_a_body_in_parts_that_is_empty_says_nothing() -> None:
    assert read(_in_parts("queues/email/pause/", b""))["paused_until"] is None


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (b'{"reasn": "typo"}', "application/json", 422),
        (b"{", "application/json", 400),
        (b"reason=x", "text/plain", 415),
        (b'{"reason": "' + LARGEST_BODY * b"x" + b'"}', "application/json", 413),
    ],
)
def test_what_cannot_be_taken_is_refused_in_parts_too(raw: bytes, kind: str, status: int) -> None:
    job = make_job("delayed")
    problem(_in_parts(f"jobs/{job.pk}/cancel/", raw, kind), status)
    assert Job.objects.get(pk=job.pk).state == "waiting"


def test_where_no_server_tells_the_end_a_length_is_asked_for() -> None:
    job = make_job("delayed")
    refused = problem(_in_parts(f"jobs/{job.pk}/cancel/", b'{"reason": "x"}', is_ended=False), 411)
    assert refused["code"] == "length_required"
    assert "Content-Length" in refused["detail"]
    assert Job.objects.get(pk=job.pk).state == "waiting"


def test_a_body_that_is_too_large_is_read_to_its_end() -> None:
    """What stays unread would be taken for the next request on the same connection."""
    body = BytesIO(3 * LARGEST_BODY * b"x")
    problem(_in_parts("queues/email/pause/", body), 413)
    assert body.read() == b""


def test_under_asgi_it_has_been_read_by_then() -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"transfer-encoding", b"chunked"), (b"content-type", b"application/json")],
    }
    request = ASGIRequest(scope, BytesIO(b'{"a": 1}'))
    give_length(request, LARGEST_BODY)
    assert (request.META["CONTENT_LENGTH"], request.body) == ("8", b'{"a": 1}')
