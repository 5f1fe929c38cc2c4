"""A pause that is there is given another end or reason, and the queue never opens in between."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.models import Queue
from jobqueue.models.pauses import pause
from tests.jobqueue.admin.open_forms import opened_change_of_the_pause
from tests.jobqueue.admin.steps import operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
PAUSE = "/admin/jobqueue/queue/pause/"
THREE, SIX = (datetime(2035, 1, 31, hour, 0, 33, tzinfo=UTC) for hour in (15, 18))


def _send(client: Client, **fields: str) -> list[str]:
    response = opened_change_of_the_pause(client).send(**fields)
    return [str(message) for message in response.context["messages"]]


def _row() -> Queue:
    return Queue.objects.get(pk="email")


def test_the_row_of_a_paused_queue_offers_to_change_its_pause_to_who_may_pause() -> None:
    pause("email")
    page = "/admin/jobqueue/queue/"
    assert "Change the pause of email" in text_of(operator("view_queue", "pause_queue").get(page))
    other = operator("view_queue", "resume_queue", username="other")
    assert "Change the pause of email" not in text_of(other.get(page))


def test_the_form_is_filled_with_the_pause_that_there_is(admin_client: Client) -> None:
    pause("email", by="alice", reason="mail server", until=THREE)
    text = text_of(admin_client.post(PAUSE, {"queue": "email", "change": "1", "reason": ""}))
    assert 'value="mail server"' in text and 'name="until" value="2035-01-31T15:00"' in text
    assert "Change the pause of email" in text
    assert _row().pause_reason == "mail server"


def test_another_end_changes_the_pause_and_says_what_it_was(admin_client: Client) -> None:
    pause("email", by="alice", reason="mail server", until=THREE)
    since = _row().paused_at
    [message] = _send(admin_client, reason="mail server", until="2035-01-31T18:00")
    assert message == (
        "The pause of email is changed. Before, by alice: 2035-01-31 15:00:33 UTC, “mail server”."
    )
    row = _row()
    assert (row.paused, row.paused_at, row.paused_by) == (True, since, "admin")
    assert row.paused_until == datetime(2035, 1, 31, 18, tzinfo=UTC)


def test_the_history_has_old_and_new(admin_client: Client) -> None:
    pause("email", by="alice", reason="mail server", until=THREE)
    _send(admin_client, reason="new disk", until="2035-01-31T18:00")
    [entry] = LogEntry.objects.all()
    assert entry.get_change_message() == (
        "Pause: paused until 2035-01-31 15:00:33 UTC (“mail server”) → paused until 2035-01-31 18:00:00 UTC."
        " Reason: new disk"
    )


def test_the_filled_form_as_it_was_changes_nothing(admin_client: Client) -> None:
    pause("email", by="alice", reason="mail server", until=THREE)
    assert _send(admin_client, reason="mail server", until="2035-01-31T15:00") == ["email is paused already."]
    assert _row().paused_until == THREE
    assert not LogEntry.objects.exists()


def test_a_length_counts_more_than_the_end_that_stood_there(admin_client: Client) -> None:
    pause("email", reason="mail server", until=THREE)
    _send(admin_client, **{"reason": "mail server", "until": "2035-01-31T15:00", "for": "15"})
    until = _row().paused_until
    assert until is not None and until < THREE


def test_a_reason_that_is_masked_for_the_operator_stays_as_it_was() -> None:
    pause("email", reason="anna@example.com is full", until=THREE)
    client = operator("view_queue", "pause_queue")
    text = text_of(client.post(PAUSE, {"queue": "email", "change": "1"}))
    masked = text.partition('name="reason" maxlength="500" value="')[2].partition('"')[0]
    assert "anna@" not in masked
    _send(client, reason=masked, until="2035-01-31T18:00")
    assert _row().pause_reason == "anna@example.com is full"


def test_a_page_on_which_the_queue_still_ran_does_not_overwrite_the_pause_of_a_colleague(
    admin_client: Client,
) -> None:
    pause("email", by="alice", reason="mail server", until=SIX)
    response = admin_client.post(PAUSE, {"queue": "email", "for": "15", "reason": ""}, follow=True)
    assert [str(one) for one in response.context["messages"]] == ["email is paused already."]
    assert (_row().paused_by, _row().paused_until) == ("alice", SIX)


def test_a_change_that_cannot_be_is_asked_again_as_a_change(admin_client: Client) -> None:
    pause("email", by="alice", until=SIX)
    text = text_of(opened_change_of_the_pause(admin_client).send(until="2001-01-01T08:00"))
    assert 'name="changed" value="1"' in text and "Change the pause of email" in text
