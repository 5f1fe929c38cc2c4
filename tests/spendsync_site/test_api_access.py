"""Every address of the API by method and by who asks; tokens, rates, and what nobody should send."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from knox.models import AuthToken

from jobqueue.models import Job
from settlements.models import EmailDelivery, Payment
from tests.jobqueue.admin.steps import make_job, make_worker, operator
from tests.jobqueue.api.steps import ask, problem
from tests.jobqueue.groups import OPERATORS, VIEWERS, member_of
from tests.jobqueue.models.test_bulk import ask as begin_in_bulk
from tests.spendsync_site.api_rows import LETTERS

pytestmark = pytest.mark.django_db(databases=["default", "other"])

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
READ = {
    "",
    *("processors/", "processors/email.notification/"),
    *("queues/", "queues/email/", "jobs/", "jobs/{id}/", "causes/", "bulk/", "workers/", "schedule/"),
    "workers/{worker}/",
    "schedule/days/",
    *(
        "settlements/",
        "settlements/{uuid}/",
        "payments/",
        "payments/{payment}/",
        "emails/",
        "emails/{email}/",
    ),
    "bulk/{bulk}/",
    "people/{user}/",
    "simulation/",
}
# What each change answers to who may, one after the other: a job that waits is cancelled, then retried;
# a worker is quieted, resumed, stopped. The job is of a processor that this site does not know.
CHANGES = {
    ("POST", "queues/email/pause/"): 200,
    ("POST", "queues/email/resume/"): 200,
    ("PATCH", "queues/email/limits/"): 422,
    ("PATCH", "processors/email.notification/limits/"): 422,
    ("POST", "jobs/{id}/retry/"): 200,
    ("POST", "jobs/{id}/cancel/"): 200,
    ("POST", "jobs/{id}/run-now/"): 409,
    ("POST", "jobs/{id}/put-back/"): 409,
    ("POST", "jobs/{id}/hold/"): 409,
    ("POST", "jobs/{id}/release/"): 409,
    ("POST", "jobs/{id}/fail/"): 409,
    ("POST", "jobs/{id}/stop/"): 409,
    ("POST", "jobs/{done}/discard/"): 204,
    **{("POST", f"schedule/days/{{day}}/{verb}/"): 422 for verb in ("move", "cancel", "hold", "release")},
    ("POST", "jobs/{id}/move/"): 422,
    ("POST", "jobs/{id}/copy/"): 400,
    ("POST", "workers/{worker}/quiet/"): 202,
    ("POST", "workers/{worker}/resume/"): 202,
    ("POST", "workers/{worker}/stop/"): 202,
    ("POST", "causes/retry/"): 422,
    ("POST", "causes/discard/"): 422,
    ("POST", "causes/mute/"): 422,
    ("POST", "causes/unmute/"): 422,
    ("POST", "payments/"): 422,
    ("POST", "bulk/{bulk}/stop/"): 200,
    ("GET", "audit/"): 200,  # who changes things sees who did
    **{
        ("POST", f"{address}/{verb}/"): 422
        for address, verbs in {
            "settlements/{uuid}": (
                "complete",
                "cancel",
                "reopen",
                "send-reminder",
                "pause-reminders",
                "resume-reminders",
                "check-payments",
            ),
            "payments/{payment}": ("start", "complete", "fail", "refund", "take-refund-back"),
            "people/{user}": ("pause-letters", "resume-letters"),
        }.items()
        for verb in verbs
    },  # fmt: skip
}
# Who may look may try these; a verb of the body decides what else it takes.
OF_VIEWERS = {("POST", "bulk/"): 422, ("GET", "bulk/plan/"): 400, ("GET", "causes/concerned/"): 400}
# To read payloads, as letters take it, is in no group.
OF_READERS = {("GET", "jobs/{letter}/preview/"): 200}
# To delete jobs, and to add payments by hand, is in no group.
OF_NO_GROUP = {("POST", "causes/discard/"), ("POST", "payments/"), ("POST", "jobs/{done}/discard/")}
# "Job viewer" looks after jobs alone.
OF_MONEY = ("settlements/", "payments/", "emails/", "people/", "simulation/")
PATHS = sorted({*READ, *(path for _method, path in [*CHANGES, *OF_VIEWERS, *OF_READERS])})
WHO: dict[str, Callable[[], Client]] = {
    "anonymous": Client,
    "staff without": operator,
    "viewer": lambda: member_of(*VIEWERS),
    "operator": lambda: member_of(*OPERATORS),
    "superuser": lambda: _superuser(),
}


def _superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def _expected(who: str, method: str, path: str) -> int:
    if who == "anonymous":
        return 401
    row = ("GET" if method == "HEAD" else method, path)
    known = CHANGES | OF_VIEWERS | OF_READERS
    if row not in known and not (row[0] == "GET" and path in READ):
        return 405
    if path == "":
        return 200  # the root says to each what each may
    is_for_viewers = row not in CHANGES and not path.startswith(OF_MONEY)
    if who == "staff without" or (who == "viewer" and not is_for_viewers):
        return 403
    if who != "superuser" and (row in OF_READERS or row in OF_NO_GROUP):
        return 403
    return known.get(row, 200)


@pytest.mark.parametrize("who", WHO)
def test_every_address_and_method_answers_who_asks_as_it_should(
    who: str, make_payment: Callable[..., Payment], settings: LazySettings
) -> None:
    rates = {"api-read": "9999/min", "api-change": "9999/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    client, payment, sent = WHO[who](), make_payment(), make_job("completed")
    email = EmailDelivery.objects.create(job=sent, message_id="<1@a.example>", template_type="reminder")
    rows = {
        "id": make_job(),
        "worker": make_worker(silent_for=-3600, takes_orders=True),
        "bulk": begin_in_bulk(),
    }
    rows |= {"uuid": payment.settlement, "payment": payment, "email": email}
    letter = Job.objects.about(payment.settlement).filter(processor=LETTERS)[0]
    rows |= {"user": payment.settlement.payer, "done": make_job("completed"), "letter": letter}
    keys = {"day": "2030-01-31", **{name: row.pk for name, row in rows.items()}}
    found, expected = {}, {}
    for path in PATHS:
        for method in METHODS:
            filled = path.format(**keys)
            answer = ask(client, method, filled, {} if method == "PATCH" else None)
            expected[method, path] = _expected(who, method, path)
            found[method, path] = answer.status_code
            if method == "HEAD":
                assert answer.content == b""
            elif answer.status_code >= 400:
                problem(answer, answer.status_code)

    assert found == expected


def test_the_table_has_every_address_of_the_schema() -> None:
    document = SchemaGenerator().get_schema(request=None, public=True)
    names = ("id", "uuid", "worker", "payment", "email", "bulk", "user", "done", "letter", "day")
    filled = {path.format(**dict.fromkeys(names, 1)) for path in PATHS}

    for path in document["paths"]:
        name = "email" if "queues" in path else "email.notification" if "processors" in path else 1
        assert path.removeprefix("/api/").format(id=1, name=name, day=1) in filled


def test_a_payment_is_looked_at_by_its_key(make_payment: Callable[..., Any]) -> None:
    payment = make_payment()

    assert ask(_superuser(), "GET", f"payments/{payment.pk}/").status_code == 200


# Refusals ------------------------------------------------------------------------------------------


def _raw(client: Client, body: bytes | str, kind: str = "application/json", **headers: str) -> HttpResponse:
    return client.generic("POST", "/api/causes/mute/", body, content_type=kind, headers=headers)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"cause": NaN}', "application/json", 400),
        (b'{"cause": "\xff"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"1" * 5_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"cause": 1}', "application/json", 422),
        (b'{"cause": "\\u0000"}', "application/json", 422),
        (b'{"cause": "\\ud800"}', "application/json", 422),
        (b'{"cause": "x", "\\ud800": 1}', "application/json", 422),
        (b'{"cause": "' + b"x" * 1_000_000 + b'"}', "application/json", 413),
        (b"cause=x", "application/x-www-form-urlencoded", 415),
        (b"<cause/>", "text/xml", 415),
    ],
)
def test_a_body_that_cannot_be_taken_is_a_problem_document(body: bytes, kind: str, status: int) -> None:
    problem(_raw(_superuser(), body, kind), status)


def test_what_is_not_json_cannot_be_had() -> None:
    problem(ask(_superuser(), "GET", "queues/", Accept="text/html"), 406)


@pytest.mark.parametrize("path", ["nothing/", "jobs/x/", "jobs/99999999999999999999/", "jobs/5/explode/"])
def test_what_is_not_there_is_a_problem_document(path: str) -> None:
    problem(ask(_superuser(), "GET", path), 404)


def test_a_missing_slash_is_no_redirect() -> None:
    assert ask(_superuser(), "GET", "queues").status_code == 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=9999", "page=2", "cursor=x", "limit=1&limit=2"]
)
def test_a_query_that_cannot_be_read_names_the_parameter(query: str) -> None:
    refused = problem(ask(_superuser(), "GET", f"jobs/?{query}"), 400)

    assert refused["errors"][0]["field"] == query.partition("=")[0]


def test_an_outage_of_the_database_is_503_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    def away(*_: object) -> None:
        driver = sqlite3.OperationalError("unable to open database file")
        driver.sqlite_errorcode = 14
        raise OperationalError("unable to open database file") from driver

    client = _superuser()
    monkeypatch.setattr("jobqueue.api.queues.queue_counts", away)

    answer = ask(client, "GET", "queues/")

    assert problem(answer, 503)["code"] == "unavailable"
    assert int(answer["Retry-After"]) > 0


HOSTILE = [
    "<script>alert(1)</script>",
    "{{ 7*7 }}{% debug %}",
    "\x1b[31mred",
    "\u202egnp.exe",
    "nul\x00",
    "x" * 1_000_000,
    "word " * 1_900,
    "\ud800",
    "' OR 1=1 --",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_text_breaks_nothing(text: str) -> None:
    stored = text.replace("\x00", "").replace("\ud800", "")
    job = make_job("failed", payload={"text": stored}, reason=stored[:500], cause=stored[:200])
    client = _superuser()
    query = text.encode("utf-8", "surrogatepass")

    answers = [
        ask(client, "GET", f"jobs/{job.pk}/"),
        ask(client, "GET", "causes/"),
        *(client.get(f"/api/{path}", {name: query}) for path, name in (
            ("jobs/", "search"), ("schedule/", "queue"), ("causes/", "processor"), ("emails/", "about"),
        )),
        ask(client, "POST", "causes/retry/", {"cause": text}),
        ask(client, "POST", "bulk/", {"verb": "retry", "queue": text, "reason": text}),
        ask(client, "GET", "queues/", Authorization=f"Token {text[:50]}".encode("ascii", "replace").decode()),
    ]  # fmt: skip

    for answer in answers:
        assert answer.status_code < 500
        json.loads(answer.content)
        assert "html" not in answer["Content-Type"]
    assert json.loads(answers[0].content)["payload"] == {"text": stored}


# Tokens, sessions, rates ---------------------------------------------------------------------------


def _token(*arguments: str) -> str:
    output = StringIO()
    call_command("api_token", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue().strip()


def test_a_token_made_by_the_command_is_kept_as_a_hash_and_opens_the_api() -> None:
    User.objects.create_superuser("machine")
    token = _token("machine")

    assert ask(Client(), "GET", "queues/", Authorization=f"Token {token}").status_code == 200
    row = AuthToken.objects.get()
    assert token not in str(vars(row))
    assert row.expiry is not None


def test_a_token_that_expired_or_was_revoked_opens_nothing() -> None:
    User.objects.create_superuser("machine")
    expired, revoked = _token("machine", "--days", "0.0000001"), ""
    revoked = _token("machine")
    _token("machine", "--revoke")

    for token in (expired, revoked, "nonsense", ""):
        answer = ask(Client(), "GET", "queues/", Authorization=f"Token {token}")
        assert problem(answer, 401)["code"] == "not_authenticated"
        assert answer["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("arguments", [("nobody",), ("customer",), ("machine", "--days", "0")])
def test_the_command_makes_no_token_that_the_api_would_refuse(arguments: tuple[str, ...]) -> None:
    User.objects.create_superuser("machine")
    User.objects.create_user("customer")

    with pytest.raises(CommandError):
        _token(*arguments)


def test_a_token_in_the_address_opens_nothing() -> None:
    User.objects.create_superuser("machine")

    problem(ask(Client(), "GET", f"queues/?token={_token('machine')}"), 401)


def test_a_session_changes_nothing_without_the_token_of_the_form() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))

    assert ask(client, "GET", "queues/").status_code == 200
    problem(ask(client, "POST", "queues/email/pause/"), 403)


def test_too_many_requests_are_429_with_retry_after(settings: LazySettings) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"api-read": "2/min", "api-change": "1/min"},
    }
    client = _superuser()

    statuses = [ask(client, "GET", "queues/").status_code for _ in range(3)]
    answer = ask(client, "GET", "queues/")

    assert statuses == [200, 200, 429]
    assert problem(answer, 429)["code"] == "throttled"
    assert 0 < int(answer["Retry-After"]) <= 60
    assert ask(client, "POST", "queues/email/pause/").status_code == 200, "changes are counted apart"


def test_nobody_tries_tokens_without_end(settings: LazySettings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"api-read": "2/min"}}

    def tried(n: int) -> int:
        headers = {"Authorization": f"Token {n}", "X-Forwarded-For": f"10.0.0.{n}"}
        return ask(Client(), "GET", "queues/", **headers).status_code

    assert [tried(n) for n in range(3)] == [401, 401, 429]
