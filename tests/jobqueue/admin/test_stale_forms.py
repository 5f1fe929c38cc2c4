"""A form that was open while others changed its row writes only what its operator changed there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.core import signing
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import pause_changes
from jobqueue.models import AuditEntry, ProcessorLimits, Queue
from jobqueue.models import pauses as verbs
from tests.jobqueue.admin.open_forms import (
    PAUSE,
    opened,
    opened_change_of_the_pause,
    opened_on,
    said_on,
)
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.steps import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])

QUEUES = "/admin/jobqueue/queue/"
OF_QUEUE = "/admin/jobqueue/queue/reminders/change/"
OF_PROCESSOR = "/admin/jobqueue/processorlimits/reminders.send/change/"
ROWS: dict[str, Callable[[], Any]] = {
    OF_QUEUE: lambda: Queue.objects.get(pk="reminders"),
    OF_PROCESSOR: lambda: ProcessorLimits.objects.get(pk="reminders.send"),
}
both_forms = pytest.mark.parametrize("url", ROWS)
MOST = 15
"""Statements that a page may ask."""
EIGHT, NINE = (datetime(2035, 1, 31, hour, tzinfo=UTC) for hour in (20, 21))


@pytest.fixture
def ben() -> Client:
    """Another operator."""
    return operator(
        "view_queue", "limit_queue", "limit_processor", "pause_queue", "resume_queue", username="ben"
    )


def _limits(url: str) -> tuple[int | None, int | None]:
    row = ROWS[url]()
    return row.rate_limit, row.concurrency_limit


def _texts() -> list[str]:
    return [f"{entry.who}: {entry.text}" for entry in AuditEntry.objects.order_by("pk")]


# Limits ---------------------------------------------------------------------------------------------


@both_forms
def test_of_two_who_limit_what_had_no_limits_each_writes_its_own(
    admin_client: Client, ben: Client, url: str
) -> None:
    mine, others = opened(admin_client, url), opened(ben, url)
    others.send(rate_limit=10)
    mine.send(concurrency_limit=5)
    assert _limits(url) == (10, 5)
    assert _texts() == ["ben: Rate limit: none → 10", "admin: Concurrency limit: none → 5"]


@both_forms
def test_a_limit_that_both_changed_is_asked_again(admin_client: Client, ben: Client, url: str) -> None:
    mine = opened(admin_client, url)
    opened(ben, url).send(rate_limit=10)
    page = said_on(mine.send(rate_limit=7, concurrency_limit=5))
    assert "While this form was open, ben changed this: none → 10. You entered 7. Nothing was saved" in page
    assert _limits(url) == (10, None)
    assert len(_texts()) == 1


@both_forms
def test_sent_again_it_is_written_from_the_value_that_was_there(
    admin_client: Client, ben: Client, url: str
) -> None:
    mine = opened(admin_client, url)
    opened(ben, url).send(rate_limit=10, concurrency_limit=3)
    again = mine.again(rate_limit=7)
    assert (again.fields["rate_limit"], again.fields["concurrency_limit"]) == ("7", "3")
    again.send()
    assert _limits(url) == (7, 3)
    assert _texts()[1:] == ["admin: Rate limit: 10 → 7"]


@both_forms
def test_a_limit_that_both_took_away_is_no_quarrel(admin_client: Client, ben: Client, url: str) -> None:
    opened(ben, url).send(rate_limit=10)
    mine = opened(admin_client, url)
    opened(ben, url).send(rate_limit="")
    mine.send(rate_limit="", concurrency_limit=5)
    assert _limits(url) == (None, 5)
    assert _texts()[2:] == ["admin: Concurrency limit: none → 5"]


@both_forms
def test_what_cannot_be_does_not_hide_that_another_changed_it(
    admin_client: Client, ben: Client, url: str
) -> None:
    mine = opened(admin_client, url)
    opened(ben, url).send(rate_limit=10)
    assert "ben changed this: none → 10. You entered ten." in said_on(mine.send(rate_limit="ten"))


@both_forms
def test_the_page_that_comes_back_asks_for_no_more_than_others(
    admin_client: Client, ben: Client, url: str
) -> None:
    mine = opened(admin_client, url)
    opened(ben, url).send(rate_limit=10, concurrency_limit=3, late_after=60)
    data = {**mine.fields, "rate_limit": "7", "concurrency_limit": "7", "late_after": "70"}
    with CaptureQueriesContext(connection) as asked:
        page = admin_client.post(url, data)
    assert "You entered 7." in said_on(page)
    assert len(asked) <= MOST, [one["sql"][:90] for one in asked]


@both_forms
def test_what_no_operator_changed_was_a_program(admin_client: Client, ben: Client, url: str) -> None:
    opened(ben, url).send(rate_limit=10)
    mine, row = opened(admin_client, url), ROWS[url]()
    row.rate_limit = 20
    row.save()
    assert "a program changed this: 10 → 20. You entered none." in said_on(mine.send(rate_limit=""))


@both_forms
@pytest.mark.parametrize("text", ["", "x", "a:b:c"])
def test_limits_that_do_not_say_what_was_shown_are_refused(
    admin_client: Client, ben: Client, url: str, text: str
) -> None:
    opened(ben, url).send(rate_limit=10)
    mine = opened(admin_client, url)
    assert "does not say what it showed" in said_on(mine.send(shown_values=text, rate_limit="7"))
    assert mine.again(shown_values=text, rate_limit="7").fields["rate_limit"] == "10"
    assert _limits(url) == (10, None)


@both_forms
def test_a_program_that_sends_no_such_field_changes_what_it_sends(admin_client: Client, url: str) -> None:
    admin_client.post(url, {"rate_limit": "10", "concurrency_limit": "3"})
    admin_client.post(url, {"rate_limit": "20", "concurrency_limit": ""})
    assert _limits(url) == (20, None)


def test_what_the_form_of_another_row_showed_is_refused(admin_client: Client) -> None:
    text = opened(admin_client, "/admin/jobqueue/queue/email/change/").fields["shown_values"]
    page = opened(admin_client, OF_QUEUE).send(shown_values=text, rate_limit=7)
    assert "does not say what it showed" in said_on(page)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@both_forms
def test_a_change_that_commits_between_the_look_and_the_lock_is_seen(
    admin_client: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(admin_client, url).send(rate_limit=8)
    mine, model, found = opened(admin_client, url), type(ROWS[url]()), admin.ModelAdmin.get_object
    changes = [lambda: model._default_manager.update(rate_limit=10)]

    def change_after_reading(self: Any, request: Any, *args: Any) -> Any:
        row = found(self, request, *args)
        if connection.vendor == "postgresql" and request.method == "POST" and changes:
            at_once(changes.pop())
        return row

    if connection.vendor != "postgresql":
        changes[0]()  # SQLite has one writer: nobody else writes once this one has begun
    monkeypatch.setattr(admin.ModelAdmin, "get_object", change_after_reading)
    assert "changed this: 8 → 10. You entered 7." in said_on(mine.send(rate_limit=7))
    assert _limits(url) == (10, None)


# The change of a pause ------------------------------------------------------------------------------


def _pause() -> tuple[str, datetime | None]:
    row = Queue.objects.get(pk="email")
    return row.pause_reason, row.paused_until


def _messages(page: HttpResponse) -> str:
    return " ".join(str(message) for message in page.context["messages"])


def test_who_corrects_the_reason_leaves_the_end_that_another_gave(admin_client: Client, ben: Client) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(until="2035-01-31T20:00")
    mine.send(reason="mail server")
    assert _pause() == ("mail server", EIGHT)
    assert _texts()[-1] == (
        "admin: Pause: paused until 2035-01-31 20:00:00 UTC (“mail”) → paused until 2035-01-31 20:00:00 UTC."
    )


def test_who_gives_another_end_leaves_the_reason_that_another_gave(admin_client: Client, ben: Client) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(reason="new disk")
    mine.send(until="2035-01-31T21:00")
    assert _pause() == ("new disk", NINE)


def test_an_end_that_both_changed_is_asked_again(admin_client: Client, ben: Client) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(until="2035-01-31T20:00")
    page = mine.send(until="2035-01-31T21:00", reason="mail server")
    assert _messages(page) == (
        "While this form was open, ben changed the pause of email. End of the pause: until somebody resumes "
        "it → 2035-01-31 20:00:00 UTC, and you entered 2035-01-31 21:00. Nothing was saved: look at what is "
        "there now, then send it again if it is to be so all the same."
    )
    assert _pause() == ("mail", EIGHT)


def test_a_length_is_asked_again_where_another_gave_another_end(admin_client: Client, ben: Client) -> None:
    verbs.pause("email", by="zoe", until=NINE)
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(until="2035-01-31T20:00")
    page = mine.send(**{"for": "15"})
    assert "and you entered for 15 minutes." in _messages(page)
    opened_on(admin_client, PAUSE, page).send(**{"for": "15"})
    until = _pause()[1]
    assert until is not None and until < EIGHT


def test_a_reason_that_both_changed_is_asked_again(admin_client: Client, ben: Client) -> None:
    verbs.pause("email", by="zoe")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(reason="new disk")
    assert "Reason: – → “new disk”, and you entered “mail”." in _messages(mine.send(reason="mail"))
    assert _pause() == ("new disk", None)


def test_a_change_of_a_pause_sent_again_is_written_over_what_was_seen(
    admin_client: Client, ben: Client
) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(until="2035-01-31T20:00", reason="new disk")
    again = mine.again(until="2035-01-31T21:00")
    assert (again.fields["reason"], again.fields["until"]) == ("new disk", "2035-01-31T21:00")
    again.send()
    assert _pause() == ("new disk", NINE)


@pytest.mark.parametrize("entered", [{"until": "2035-01-31T20:00"}, {"reason": "new disk"}])
def test_the_same_change_by_both_is_made_once(
    admin_client: Client, ben: Client, entered: dict[str, str]
) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(**entered)
    assert _messages(mine.send(**entered)) == "email is paused already."
    assert len(_texts()) == 1


def test_an_end_that_cannot_be_is_asked_again_over_what_another_changed(
    admin_client: Client, ben: Client
) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    opened_change_of_the_pause(ben).send(reason="new disk")
    again = mine.again(until="2001-01-01T08:00")
    assert (again.fields["reason"], again.fields["until"]) == ("new disk", "2001-01-01T08:00")


def test_the_change_of_a_pause_that_a_colleague_ended_begins_none(admin_client: Client, ben: Client) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine = opened_change_of_the_pause(admin_client)
    ben.post("/admin/jobqueue/queue/resume/", {"queue": "email"})
    page = mine.send(reason="mail server")
    assert "ben resumed email. Nothing was changed, and it is not paused." in _messages(page)
    assert "<h1>Pause email</h1>" in said_on(page) and 'value="mail server"' in said_on(page)
    assert not Queue.objects.get(pk="email").paused


def test_the_change_of_a_pause_that_came_to_its_end_begins_none(admin_client: Client) -> None:
    verbs.pause("email", by="zoe", until=EIGHT)
    mine = opened_change_of_the_pause(admin_client)
    Queue.objects.update(paused_until=datetime(2001, 1, 1, tzinfo=UTC))
    assert "the pause of email came to its end" in _messages(mine.send(reason="mail server"))
    assert verbs.resume("email") is False


def test_change_the_pause_on_a_page_that_is_old_begins_none(admin_client: Client) -> None:
    page = admin_client.post(PAUSE, {"queue": "email", "change": "1"}, follow=True)
    assert _messages(page) == "email is not paused."
    assert not Queue.objects.filter(paused=True).exists()


def test_a_program_that_sends_no_such_field_changes_the_pause(admin_client: Client) -> None:
    verbs.pause("email", by="zoe", reason="mail", until=EIGHT)
    admin_client.post(PAUSE, {"queue": "email", "changed": "1", "reason": "mail server", "until": ""})
    assert _pause() == ("mail server", None)


def test_a_change_of_a_pause_that_does_not_say_what_was_shown_is_refused(admin_client: Client) -> None:
    verbs.pause("email", by="zoe", reason="mail", until=EIGHT)
    mine = opened_change_of_the_pause(admin_client)
    page = mine.send(shown_values="x", reason="mail server", until="")
    assert "does not say what it showed" in _messages(page)
    assert _pause() == ("mail", EIGHT)


def test_what_the_form_says_that_it_showed_has_no_masked_address() -> None:
    verbs.pause("email", reason="anna@example.com is full")
    text = opened_change_of_the_pause(operator("view_queue", "pause_queue")).fields["shown_values"]
    payload = text.rsplit(":", 2)[0]
    assert "anna@example.com" not in str(signing.b64_decode(payload.encode()))
    _at, values = signing.loads(text, salt="jobqueue.admin.shown:jobqueue.queue:email")
    assert "anna@" not in values["reason"]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_change_of_the_pause_between_the_look_and_the_lock_is_seen(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs.pause("email", by="zoe", reason="mail")
    mine, write = opened_change_of_the_pause(admin_client), pause_changes.change_pause_and_log
    changes = [lambda: verbs.change_pause("email", by="ben", until=EIGHT)]

    def change_after_the_look(*args: Any, **fields: Any) -> Any:
        if changes:
            changes.pop()()
        return write(*args, **fields)

    monkeypatch.setattr(pause_changes, "change_pause_and_log", change_after_the_look)
    page = mine.send(until="2035-01-31T21:00")
    assert "ben changed the pause of email" in _messages(page)
    assert _pause() == ("mail", EIGHT)


BEGAN = re.compile(r'name="seen" value="([^"]*)"')
both_pages = pytest.mark.parametrize("page_of_button", [QUEUES, "/admin/jobqueue/"])


@both_pages
def test_resume_on_a_page_that_is_old_ends_no_other_pause(admin_client: Client, page_of_button: str) -> None:
    verbs.pause("email", by="ben", reason="mail")
    [seen] = BEGAN.findall(text_of(admin_client.get(page_of_button)))
    verbs.resume("email")
    verbs.pause("email", by="zoe", reason="the bank settles")
    page = admin_client.post(f"{QUEUES}resume/", {"queue": "email", "seen": seen}, follow=True)
    assert _messages(page) == "email was paused anew meanwhile, by zoe, and stays so: nothing was resumed."
    assert Queue.objects.get(pk="email").pause_reason == "the bank settles"


@pytest.mark.parametrize(
    "seen",
    [
        "x",
        "2035-01-31T08:00:00",
        "2035-01-31T08:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_no_pause_is_ended_that_began_at_no_such_time(admin_client: Client, seen: str) -> None:
    verbs.pause("email", by="ben", reason="mail")
    page = admin_client.post(f"{QUEUES}resume/", {"queue": "email", "seen": seen}, follow=True)
    assert "was paused anew meanwhile, by ben" in _messages(page)
    assert verbs.is_paused("email")


@both_pages
def test_resume_ends_the_pause_that_the_page_showed(admin_client: Client, page_of_button: str) -> None:
    verbs.pause("email", by="ben", reason="mail")
    [seen] = BEGAN.findall(text_of(admin_client.get(page_of_button)))
    assert datetime.fromisoformat(seen) == Queue.objects.get(pk="email").paused_at
    page = admin_client.post(f"{QUEUES}resume/", {"queue": "email", "seen": seen}, follow=True)
    assert _messages(page) == "email is resumed."
