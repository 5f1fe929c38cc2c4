"""Pause and resume by one button, and the banner that says on every page what is paused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Queue
from jobqueue.models.pauses import pause, resume
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
PAUSE = "/admin/jobqueue/queue/pause/"
RESUME = "/admin/jobqueue/queue/resume/"


def _messages(client: Client, url: str, **fields: str) -> list[str]:
    response = client.post(url, {"queue": "email", **fields}, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def _banner_of(response: HttpResponse) -> str:
    return text_of(response).partition('id="jq-banner"')[2].partition("</div>")[0]


def _row() -> Queue:
    return Queue.objects.get(pk="email")


def test_one_button_pauses_with_a_reason_and_an_end(admin_client: Client) -> None:
    fields = {"reason": "mail server", "for": "60"}
    assert _messages(admin_client, PAUSE, **fields) == ["email is paused."]
    row = _row()
    assert (row.paused, row.paused_by, row.pause_reason) == (True, "admin", "mail server")
    assert row.paused_until is not None
    assert timedelta(minutes=59) < row.paused_until - database_now("default") <= timedelta(hours=1)


def test_a_time_that_was_typed_is_the_end(admin_client: Client) -> None:
    _messages(admin_client, PAUSE, until="2035-01-31T08:00")
    until = _row().paused_until
    assert until is not None and f"{until:%Y-%m-%d %H:%M}" == "2035-01-31 08:00"


def test_until_tomorrow_is_ahead(admin_client: Client) -> None:
    _messages(admin_client, PAUSE, **{"for": "tomorrow"})
    until = _row().paused_until
    assert until is not None and until > database_now("default")


@pytest.mark.parametrize(
    "fields",
    [
        {"for": "9"},
        {"for": "15", "until": "2035-12-25T08:00"},
        {"until": "soon"},
        {"until": "2001-01-01T08:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"until": "9999-01-01T00:00"},
        {"reason": "x" * 501},
        {"queue": "none"},
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(admin_client: Client, fields: dict[str, str]) -> None:
    [message] = _messages(admin_client, PAUSE, **fields)
    assert message.startswith("Nothing was paused: ")
    assert not Queue.objects.filter(paused=True).exists()


def test_of_two_ends_none_is_taken(admin_client: Client) -> None:
    [message] = _messages(admin_client, PAUSE, **{"for": "15", "until": "2035-12-25T08:00"})
    assert "a pause has one end: choose how long it lasts, or until when, not both" in message


def test_a_refused_pause_brings_its_form_back_as_it_was_filled_in(admin_client: Client) -> None:
    typed = {"queue": "email", "reason": "mail <server>", "for": "240", "until": "2035-12-25T08:00"}
    text = text_of(admin_client.post(PAUSE, typed | {"back": "overview"}))
    assert 'name="reason" maxlength="500" value="mail &lt;server&gt;"' in text
    assert '<option value="240" selected>' in text
    assert 'name="until" value="2035-12-25T08:00"' in text
    assert '<input type="hidden" name="queue" value="email">' in text
    assert '<a href="/admin/jobqueue/" class="jq-button">' in text


def test_of_a_year_that_is_too_far_it_says_what_is_allowed(admin_client: Client) -> None:
    [message] = _messages(admin_client, PAUSE, until="9999-01-01T00:00")
    assert "before the year 9000" in message


def test_of_two_operators_one_pauses_and_the_other_is_told(admin_client: Client) -> None:
    other = operator("pause_queue", "view_queue")
    _messages(admin_client, PAUSE, reason="first")
    assert _messages(other, PAUSE, reason="second") == ["email is paused already."]
    assert _row().pause_reason == "first"
    assert LogEntry.objects.count() == 1


def test_resume_says_whether_it_did_anything(admin_client: Client) -> None:
    pause("email")
    assert _messages(admin_client, RESUME) == ["email is resumed."]
    assert _messages(admin_client, RESUME) == ["email is not paused."]
    assert not _row().paused


def test_the_history_says_until_when_and_why(admin_client: Client) -> None:
    _messages(admin_client, PAUSE, until="2035-01-31T08:00", reason="mail server")
    _messages(admin_client, RESUME)
    texts = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert texts == [
        "Pause: running → paused until 2035-01-31 08:00:00 UTC. Reason: mail server",
        "Resume: paused → running",
    ]


@pytest.mark.parametrize("url", [PAUSE, RESUME])
def test_only_who_may_pause_does(url: str) -> None:
    assert operator("view_queue", "change_queue").post(url, {"queue": "email"}).status_code == 403
    assert Client().post(url, {"queue": "email"}).status_code == 302


@pytest.mark.parametrize("url", [PAUSE, RESUME])
def test_looking_at_the_address_changes_nothing(admin_client: Client, url: str) -> None:
    assert admin_client.get(url).status_code == 405


@pytest.mark.parametrize("page", ["/admin/", "/admin/jobqueue/", "/admin/auth/user/", "/admin/jobqueue/job/"])
def test_every_page_says_what_is_paused_why_until_when_and_how_many_wait(
    admin_client: Client, page: str, settings: LazySettings
) -> None:
    """How many is told where the one database that knows is here: pages wait for no other."""
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    assert "jq-banner" not in text_of(admin_client.get(page))
    pause("email", by="alice", reason="<mail> server", until=database_now("default") + timedelta(hours=1))
    make_job()
    make_job()
    banner = _banner_of(admin_client.get(page))
    assert "email is paused" in banner
    assert "by alice" in banner
    assert "“&lt;mail&gt; server”" in banner
    assert "Until " in banner
    assert "2 jobs wait." in banner


def test_the_banner_is_gone_when_the_pause_has_ended(admin_client: Client) -> None:
    now = database_now("default")
    Queue.objects.create(name="email", paused=True, paused_until=now - timedelta(seconds=1))
    assert "jq-banner" not in text_of(admin_client.get("/admin/auth/user/"))


@pytest.mark.parametrize("permission", ["view_job", "view_queue", "settlements.view_settlement"])
def test_whoever_may_see_anything_of_jobs_or_of_the_apps_they_are_of_sees_the_banner(permission: str) -> None:
    pause("email", by="alice@example.com", reason="anna@example.com is full")
    banner = _banner_of(operator(permission).get("/admin/"))
    assert "email is paused" in banner
    may_look = permission == "view_queue"
    assert ("alice@example.com" in banner, "anna@example.com" in banner) == (may_look, False)
    assert ('href="/admin/jobqueue/queue/"' in banner) == may_look


def test_an_address_in_the_reason_of_a_pause_is_for_who_may_read_payloads() -> None:
    pause("email", by="alice", reason="anna@example.com is full")
    for page in ("/admin/", "/admin/jobqueue/", "/admin/jobqueue/queue/"):
        read = text_of(operator("view_queue", "view_payload", username=f"reader of {page}").get(page))
        masked = text_of(operator("view_queue", username=f"viewer of {page}").get(page))
        assert ("anna@example.com" in read, "anna@example.com" in masked) == (True, False), page
        assert "is full" in masked, page


def test_who_may_see_nothing_of_them_sees_no_banner() -> None:
    pause("email")
    text = text_of(operator("auth.view_user").get("/admin/auth/user/"))
    assert "jq-banner" not in text and "jq-paused-now" not in text


@pytest.mark.parametrize(
    "page", ["/admin/jobqueue/job/", "/admin/jobqueue/queue/", "/admin/jobqueue/queue/overview/"]
)
def test_every_answer_to_a_page_that_is_kept_up_to_date_says_what_is_paused(
    admin_client: Client, page: str
) -> None:
    asked = {"X-Jobqueue-Live": "1"}
    before = admin_client.get(page, headers=asked)
    assert 'data-region-aside="Nothing is paused."' in text_of(before)
    pause("email", reason="mail server")
    again = admin_client.get(page, headers=asked | {"If-None-Match": before.headers["ETag"]})
    assert 'data-region-aside="email is paused."' in text_of(again)
    assert "mail server" in _banner_of(again)
    resume("email")
    over = admin_client.get(page, headers=asked | {"If-None-Match": again.headers["ETag"]})
    assert 'data-region-aside="Nothing is paused."' in text_of(over)


def test_the_banner_in_an_answer_takes_no_further_question(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    pause("email")
    with CaptureQueriesContext(connection) as captured:
        admin_client.get("/admin/jobqueue/job/", headers={"X-Jobqueue-Live": "1"})
    about = [query["sql"] for query in captured.captured_queries if "jobqueue_queue" in query["sql"]]
    assert len(about) == 1, about  # what is paused, with what is failed


def test_the_row_of_a_queue_has_the_button_for_who_may_use_it(admin_client: Client) -> None:
    Queue.objects.create(name="reminders", paused=True)
    text = text_of(admin_client.get("/admin/jobqueue/queue/"))
    assert 'aria-label="Pause email"' in text
    assert 'aria-label="Resume reminders"' in text
    assert "Resume reminders" not in text_of(operator("view_queue").get("/admin/jobqueue/queue/"))
