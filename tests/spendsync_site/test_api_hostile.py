"""Hostile text in rows, searches, bodies, reasons, keys and paths of the API: JSON stays JSON, and no 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from settlements.models import EmailDelivery, Payment
from tests.hostile_texts import TEXTS, name_of, stored
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.api.steps import PROBLEM, ask, problem

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LISTS = {
    path.removeprefix("/api/"): tuple(one["name"] for one in asked["get"].get("parameters", ()))
    for path, asked in SchemaGenerator().get_schema(request=None, public=True)["paths"].items()
    if "get" in asked and "{" not in path
}
"""The lists, and all that each can be asked for."""
TAKE_A_PARAMETER = {"bulk/plan/", "causes/concerned/"}
KEYED = ("jobs", "queues", "processors", "workers", "bulk", "settlements", "payments", "emails")
REASONED = ("jobs/{id}/retry/", "jobs/{id}/cancel/", "jobs/{id}/hold/", "queues/email/pause/")


def _rows(text: str, make_payment: Callable[..., Payment]) -> Iterator[str]:
    """Rows that have the text wherever texts are kept; the addresses of them."""
    job = make_job(
        "failed", payload={"text": stored(text, 10**6)}, reason=stored(text, 500), cause=stored(text, 200)
    )
    add_attempt(job, error=stored(text, 200), message=stored(text, 10**6), traceback=stored(text, 10**6))
    payment = make_payment(failure_reason=stored(text, 200))
    payment.settlement.description = stored(text, 200)
    payment.settlement.save()
    User.objects.filter(pk=payment.settlement.payer_id).update(username=stored(text, 150))
    email = EmailDelivery.objects.create(
        message_id="<1@a.example>",
        template_type=stored(text, 50),
        subject=stored(text, 250),
        error=stored(text, 10**6),
        recipient=stored(text, 250),
    )
    worker = make_worker(name=stored(text, 100), hostname=stored(text, 100))
    yield from (f"jobs/{job.pk}/", f"settlements/{payment.settlement_id}/", f"payments/{payment.pk}/")
    yield from (f"emails/{email.pk}/", f"workers/{worker.pk}/", *LISTS)


def _bytes(text: str) -> str:
    """A header as a server hands it on: bytes, each as a character."""
    return text.encode().decode("latin-1")


def _told(client: Client, text: str, job: int) -> Iterator[HttpResponse]:
    """The text in searches, in paths, in bodies, in reasons and as keys."""
    for path, names in LISTS.items():
        yield from (client.get(f"/api/{path}", {name: text}) for name in names)
    key = quote(text[:2_000], safe="")
    yield from (ask(client, "GET", f"{name}/{key}/") for name in KEYED)
    yield ask(client, "POST", f"queues/{key}/pause/", {"reason": text})
    yield ask(client, "PATCH", f"processors/{key}/limits/", {"rate_limit": 5})
    yield from (ask(client, "POST", path.format(id=job), {"reason": text}) for path in REASONED)
    yield ask(client, "POST", "causes/mute/", {"cause": text, "reason": text})
    yield ask(client, "POST", "bulk/", {"verb": "retry", "queue": text, "reason": text, text: text})
    payment = {"settlement": text, "amount": text, "currency": text}
    yield ask(client, "POST", "payments/", payment, **{"Idempotency-Key": _bytes(text)})
    yield ask(client, "GET", "jobs/", **{"Accept": _bytes(text[:8_000])})


def _assert_json(answer: HttpResponse) -> None:
    assert answer.status_code < 500, answer.content[:200]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Type"] in ("application/json", PROBLEM)
    json.loads(answer.content)
    if answer.status_code >= 400:
        problem(answer, answer.status_code)


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_hostile_text_stays_text_in_json(
    admin_client: Client, make_payment: Callable[..., Payment], text: str
) -> None:
    answers = {path: ask(admin_client, "GET", path) for path in _rows(text, make_payment)}

    assert {path for path, answer in answers.items() if answer.status_code != 200} == TAKE_A_PARAMETER
    [of_job, of_settlement, *_] = (json.loads(answer.content) for answer in answers.values())
    assert of_job["payload"] == {"text": stored(text, 10**6)}
    assert of_settlement["description"] == stored(text, 200)
    for answer in (*answers.values(), *_told(admin_client, text, of_job["id"])):
        _assert_json(answer)
