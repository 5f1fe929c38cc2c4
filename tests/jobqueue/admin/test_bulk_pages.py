"""Bulk actions are begun from the page of failures by cause."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import BulkAction, Job
from jobqueue.operating import bulk_plans, consequences
from tests.jobqueue.admin.bulk_steps import BULK, SMTP, forms_on, start
from tests.jobqueue.admin.steps import (
    CAUSES,
    make_job,
    make_worker,
    text_of,
)
from tests.jobqueue.hostile import ODD_TEXTS, spoil
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _click(client: Client, verb: str = "retry", url: str = CAUSES, **fields: Any) -> HttpResponse:
    """The button of the first cause of the page."""
    form = forms_on(text_of(client.get(url)))[0]
    form.pop("csrfmiddlewaretoken", None)
    return client.post(f"{BULK}start/", {**form, "verb": verb, **fields})


def test_a_click_on_a_cause_begins_a_retry_of_that_cause_alone(admin_client: Client) -> None:
    wanted = [make_job("failed", cause=SMTP) for _ in range(2)]
    make_job("failed", cause="OSError 5")
    response = _click(admin_client)
    action = BulkAction.objects.get()
    assert response.headers["Location"] == f"{BULK}{action.pk}/change/"
    walk(action)
    assert set(Job.objects.waiting()) == set(wanted)


def test_what_failed_after_the_page_was_shown_is_asked_about_again(admin_client: Client) -> None:
    first = make_job("failed", cause=SMTP)
    form = forms_on(text_of(admin_client.get(CAUSES)))[0]
    make_job("failed", cause=SMTP)
    admin_client.post(f"{BULK}start/", {**form, "verb": "retry"})
    walk(BulkAction.objects.get())
    assert list(Job.objects.waiting()) == [first]


def test_a_number_that_is_not_the_one_that_was_shown_is_asked_about(admin_client: Client) -> None:
    jobs = [make_job("failed", cause=SMTP) for _ in range(2)]
    form = forms_on(text_of(admin_client.get(CAUSES)))[0]
    jobs[0].retry()
    response = admin_client.post(f"{BULK}start/", {**form, "verb": "retry"})
    assert "Retry: <strong>1 job</strong>" in text_of(response)
    assert not BulkAction.objects.exists()


def test_a_filter_that_nobody_knows_is_refused(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    page = text_of(admin_client.get(_click(admin_client, about="Rent").headers["Location"]))
    assert "Nothing was begun: unknown about. Failed jobs are meant by cause, queue, processor, age" in page
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize("is_alive", [False, True])
def test_the_question_says_that_no_worker_is_alive(admin_client: Client, is_alive: bool) -> None:
    make_job("failed", cause=SMTP)
    if is_alive:
        make_worker()
    text = text_of(_click(admin_client, "delete"))
    assert ("No worker is alive: it begins as soon as one starts." in text) is not is_alive


def test_discarding_always_asks_first(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    assert "Discard: <strong>1 job</strong>" in text_of(_click(admin_client, "delete"))
    assert not BulkAction.objects.exists()


def test_the_question_answered_with_its_own_form_begins(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    form = forms_on(text_of(_click(admin_client, "delete")))[0]
    admin_client.post(f"{BULK}start/", {**form, "reason": "of no use"})
    action = BulkAction.objects.get()
    assert (action.verb, action.reason, action.expected, action.asked_by) == (
        "delete",
        "of no use",
        1,
        "admin",
    )


def test_the_question_says_how_many_e_mails_will_go_out(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(consequences._emails_by_processor, "sample.succeed", 2)
    monkeypatch.setattr(bulk_plans, "TYPED_ABOVE", 1)
    for _ in range(3):
        make_job("failed", cause=SMTP)
    assert "Up to 6 e-mails will go out." in text_of(_click(admin_client))


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """More failed jobs than may be retried by a click."""
    monkeypatch.setattr(bulk_plans, "TYPED_ABOVE", 2)
    return [make_job("failed", cause=SMTP) for _ in range(3)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"typed": "3"}, "Say why"),
        ({"reason": "mended"}, "Type the number of jobs, 3"),
        ({"typed": "4", "reason": "mended"}, "Type the number of jobs, 3"),
        ({"typed": "3", "reason": "mended", "per_second": "fast"}, "a whole number from 1 to 100000"),
        ({"typed": "3", "reason": "mended", "per_second": "0"}, "a whole number from 1 to 100000"),
        ({"typed": "3", "reason": "x" * 501}, "A reason may have 500 characters."),
    ],
)
def test_above_the_limit_number_and_reason_are_asked_for(
    admin_client: Client, many: list[Job], answer: dict[str, str], said: str
) -> None:
    response = admin_client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry", **answer})
    assert said in text_of(response)
    assert not BulkAction.objects.exists()


def test_with_number_and_reason_it_begins(admin_client: Client, many: list[Job]) -> None:
    start(admin_client, typed="3", reason="mended", per_second="50")
    action = BulkAction.objects.get()
    assert (action.expected, action.reason, action.per_second) == (3, "mended", 50)


def test_a_filter_that_matches_nothing_says_so(admin_client: Client) -> None:
    make_job("failed")
    [message] = start(admin_client, queue="reminders")
    assert message == "Nothing was begun: no job matches (failed jobs, queue reminders)."
    assert not BulkAction.objects.exists()


def test_a_filter_that_cannot_be_read_begins_nothing(admin_client: Client) -> None:
    make_job("failed")
    [message] = start(admin_client, age="soon")
    assert message.startswith("Nothing was begun: age may be quarter, hour")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cause": "a\x00b"}, "cause cannot have the character U+0000"),
        ({"queue": "\x00"}, "queue cannot have the character U+0000"),
        ({"from": "9999-12-31T23:59:59-14:00"}, "from must be a time"),
        ({"to": "0001-01-01T00:00+14:00"}, "to must be a time"),
    ],
)
def test_words_that_no_database_takes_begin_nothing(
    admin_client: Client, fields: dict[str, str], said: str
) -> None:
    make_job("failed")
    [message] = start(admin_client, **fields)
    assert said in message


@pytest.mark.parametrize(
    "fields",
    [
        {"newest": "9" * 5_000},
        {"shown_at": "0001-01-01T00:00:00+00:00", "age": "month"},
        {"shown_at": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_a_form_that_no_page_had_means_what_can_be_read_of_it(
    admin_client: Client, fields: dict[str, str]
) -> None:
    make_job("failed")
    start(admin_client, **fields)
    assert BulkAction.objects.get().expected == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": "a\x00b"}, "A reason cannot have the character U+0000."),
        ({"per_second": "00000000199999999999"}, "a whole number from 1 to 100000"),
        ({"per_second": "9" * 5_000}, "a whole number from 1 to 100000"),
    ],
)
@pytest.mark.parametrize("way", [{"confirmed": "retry"}, {"shown": "1"}])
def test_an_answer_that_no_row_can_hold_is_asked_for_again(
    admin_client: Client, way: dict[str, str], fields: dict[str, str], said: str
) -> None:
    make_job("failed")
    assert said in text_of(admin_client.post(f"{BULK}start/", {"verb": "retry", **way, **fields}))
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize("column", ["processor", "subject"])
@pytest.mark.parametrize("value", ODD_TEXTS)
def test_jobs_with_anything_in_a_column_are_counted_and_asked_about(
    admin_client: Client, column: str, value: str
) -> None:
    for _ in range(2):
        spoil(make_job("failed"), column, value)
    make_job("failed")
    text_of(admin_client.get(CAUSES))
    assert "Discard: <strong>3 jobs</strong>" in text_of(
        admin_client.post(f"{BULK}start/", {"verb": "delete"})
    )


@pytest.mark.parametrize("verb", ["", "cancel", "nothing"])
def test_a_verb_that_is_none_is_a_bad_request(admin_client: Client, verb: str) -> None:
    assert admin_client.post(f"{BULK}start/", {"verb": verb}).status_code == 400


def test_beginning_takes_a_click(admin_client: Client) -> None:
    assert admin_client.get(f"{BULK}start/").status_code == 405
