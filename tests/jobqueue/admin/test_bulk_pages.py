"""Bulk actions in the admin: begun from causes and lists, confirmed, watched, stopped, written down once."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import BulkAction, BulkChoice, Job, bulk
from jobqueue.operating import bulk_plans, consequences
from tests.jobqueue.admin.steps import (
    CAUSES,
    FAILED,
    JOBS,
    choose,
    confirm,
    make_job,
    make_worker,
    operator,
    page_of,
    text_of,
)
from tests.jobqueue.hostile import ODD_TEXTS, spoil
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])
BULK = "/admin/jobqueue/bulkaction/"
SMTP = "EmailNotSent: SMTPRecipientsRefused 550"


def _forms(text: str) -> list[dict[str, str]]:
    """The fields of each form of the page that begins an action."""
    forms = re.findall(rf'<form method="post" action="{BULK}start/">(.*?)</form>', text, re.DOTALL)
    return [dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)) for form in forms]


def _click(client: Client, verb: str = "retry", url: str = CAUSES, **fields: Any) -> HttpResponse:
    """The button of the first cause of the page."""
    form = _forms(text_of(client.get(url)))[0]
    form.pop("csrfmiddlewaretoken", None)
    return client.post(f"{BULK}start/", {**form, "verb": verb, **fields})


def _start(client: Client, **fields: Any) -> list[str]:
    response = client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry", **fields}, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


# Begun --------------------------------------------------------------------------------------------


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
    form = _forms(text_of(admin_client.get(CAUSES)))[0]
    make_job("failed", cause=SMTP)
    admin_client.post(f"{BULK}start/", {**form, "verb": "retry"})
    walk(BulkAction.objects.get())
    assert list(Job.objects.waiting()) == [first]


def test_a_number_that_is_not_the_one_that_was_shown_is_asked_about(admin_client: Client) -> None:
    jobs = [make_job("failed", cause=SMTP) for _ in range(2)]
    form = _forms(text_of(admin_client.get(CAUSES)))[0]
    jobs[0].retry()
    response = admin_client.post(f"{BULK}start/", {**form, "verb": "retry"})
    assert "Retry: <strong>1 job</strong>" in text_of(response)
    assert not BulkAction.objects.exists()


def test_discarding_always_asks_first(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    assert "Discard: <strong>1 job</strong>" in text_of(_click(admin_client, "delete"))
    assert not BulkAction.objects.exists()


def test_the_question_answered_with_its_own_form_begins(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    form = _forms(text_of(_click(admin_client, "delete")))[0]
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
    _start(admin_client, typed="3", reason="mended", per_second="50")
    action = BulkAction.objects.get()
    assert (action.expected, action.reason, action.per_second) == (3, "mended", 50)


def test_a_filter_that_matches_nothing_says_so(admin_client: Client) -> None:
    make_job("failed")
    [message] = _start(admin_client, queue="reminders")
    assert message == "Nothing was begun: no job matches (failed jobs, queue reminders)."
    assert not BulkAction.objects.exists()


def test_a_filter_that_cannot_be_read_begins_nothing(admin_client: Client) -> None:
    make_job("failed")
    [message] = _start(admin_client, age="soon")
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
    [message] = _start(admin_client, **fields)
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
    _start(admin_client, **fields)
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


# From the lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [f"{FAILED}?cause=OSError&age=hour", f"{JOBS}?state=failed&queue=email"])
def test_all_that_match_a_list_of_failed_jobs_go_to_the_background_above_one_batch(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    for _ in range(3):
        make_job("failed", cause="OSError")
    make_job("failed", cause="KeyError", queue="reminders")
    form = _forms(text_of(choose(admin_client, "retry", url=url, select_across="1")))[0]
    admin_client.post(f"{BULK}start/", form)
    action = BulkAction.objects.get()
    assert action.expected == 3
    assert walk(action) == 3


def test_a_yes_to_a_question_about_fewer_jobs_is_no_yes_to_more(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(2):
        make_job("failed")
    response = choose(admin_client, "retry", url=FAILED, select_across="1", confirmed="retry")
    assert "Retry: <strong>2 jobs</strong>" in text_of(response)
    assert not BulkAction.objects.exists()


def test_one_batch_is_done_at_once(admin_client: Client) -> None:
    make_job("failed")
    assert confirm(admin_client, "retry", url=FAILED, select_across="1") == ["1 job retried."]
    assert not BulkAction.objects.exists()


LISTS_OF_OTHER_WORDS = [
    f"{FAILED}?q=sample",
    f"{JOBS}?q=state:failed+since:2h",
    f"{FAILED}?error=OSError&age=hour",
    f"{JOBS}?state=cancelled",
    f"{JOBS}?queue=email",
]


@pytest.mark.parametrize("url", LISTS_OF_OTHER_WORDS)
def test_all_that_match_any_other_list_go_to_the_background_too(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    state = "cancelled" if "cancelled" in url else "failed"
    wanted = {make_job(state, cause="OSError", reason="OSError").pk for _ in range(3)}
    make_job("completed", queue="reminders", processor="other.one")
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    page = admin_client.post(address, form, follow=True)
    action = BulkAction.objects.get()
    assert page.redirect_chain[-1][0].endswith(f"{BULK}{action.pk}/change/")
    assert (action.expected, walk(action)) == (3, 3)
    assert set(Job.objects.waiting().values_list("pk", flat=True)) == wanted


def _form_of_list(response: HttpResponse) -> tuple[str, dict[str, str]]:
    """The address of the form that confirms an action on a list, and its fields."""
    [(address, form)] = re.findall(
        r'<form method="post" action="(/admin/[^"]*)">(.*?confirmed.*?)</form>', text_of(response), re.DOTALL
    )
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
    return unescape(address), fields


def test_an_action_on_a_search_means_what_was_there_when_its_number_was_told(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    told = {make_job("failed").pk for _ in range(2)}
    url = f"{FAILED}?q=sample"
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    make_job("failed")
    admin_client.post(address, form)
    action = BulkAction.objects.get()
    make_job("failed")
    walk(action)
    assert set(Job.objects.waiting().values_list("pk", flat=True)) == told


def test_a_search_that_finds_more_than_was_told_is_asked_again(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    jobs = [make_job("failed", queue=queue) for queue in ("email", "email", "reminders")]
    url = f"{FAILED}?q=queue:email"
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    Job.objects.filter(pk=jobs[2].pk).update(queue="email")
    text = text_of(admin_client.post(address, form))
    assert "Meanwhile more jobs match" in text
    assert "Retry: <strong>3 jobs</strong>" in text
    assert not BulkAction.objects.exists()


def test_the_ages_of_a_search_are_told_from_when_its_number_was_told(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(2):
        make_job("failed")
    url = f"{JOBS}?q=state:failed+since:2h&age=day"
    address, _form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    assert "since%3A2h" not in address
    assert re.search(r"since%3A\d{4}-\d\d-\d\dT", address)
    assert "from=" in address
    assert "age=" not in address


def test_what_a_list_showed_is_forgotten_once_it_is_done(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(3):
        make_job("failed")
    url = f"{FAILED}?q=sample"
    address, form = _form_of_list(choose(admin_client, "retry", url=url, select_across="1"))
    admin_client.post(address, form)
    assert BulkChoice.objects.get().ids == sorted(Job.objects.values_list("pk", flat=True))
    walk(BulkAction.objects.get())
    assert not BulkChoice.objects.exists()


def test_a_job_that_was_changed_meanwhile_is_left_out_of_what_a_list_showed(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    jobs = [make_job("failed") for _ in range(3)]
    url = f"{FAILED}?q=sample"
    address, form = _form_of_list(choose(admin_client, "delete", url=url, select_across="1"))
    admin_client.post(address, form)
    Job.objects.filter(pk=jobs[0].pk).update(state="active")
    Job.objects.filter(pk=jobs[1].pk).update(set_aside="kept")
    assert walk(BulkAction.objects.get()) == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {jobs[0].pk, jobs[1].pk}


# Written down -------------------------------------------------------------------------------------


def test_one_entry_says_who_did_what_and_why(admin_client: Client, admin_user: User) -> None:
    for _ in range(3):
        make_job("failed", cause=SMTP)
    _start(admin_client, cause=SMTP, reason="mail server is back")
    walk(BulkAction.objects.get())
    entry = LogEntry.objects.get()
    assert entry.user == admin_user
    assert entry.change_message.startswith(f"Retry: 3 jobs (failed jobs, cause {SMTP}")
    assert entry.change_message.endswith("Reason: mail server is back")


def test_a_job_names_the_action_that_retried_it(admin_client: Client) -> None:
    job = make_job("failed", cause=SMTP)
    _start(admin_client, cause=SMTP)
    action = BulkAction.objects.get()
    walk(action)
    assert f'<a href="{BULK}{action.pk}/change/">' in text_of(admin_client.get(page_of(job)))


def test_a_second_operator_is_led_to_the_action_that_is_under_way(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    _start(admin_client, cause=SMTP)
    other = operator("view_job", "retry_job")
    assert _start(other, cause=SMTP) == ["The same is under way already: admin began it."]
    assert (BulkAction.objects.count(), LogEntry.objects.count()) == (1, 1)


# Watched and stopped ------------------------------------------------------------------------------


def _begun(client: Client) -> BulkAction:
    for _ in range(2):
        make_job("failed", cause=SMTP)
    _start(client, cause=SMTP)
    return BulkAction.objects.get()


def test_the_page_shows_how_far_it_is(admin_client: Client) -> None:
    make_worker()
    action = _begun(admin_client)
    text = text_of(admin_client.get(f"{BULK}{action.pk}/change/"))
    assert '<progress class="jq-progress" value="0" max="2"' in text
    assert "0 of 2 jobs" in text
    assert "data-region-seconds" in text
    assert "No worker is alive" not in text


def test_the_page_says_that_no_worker_is_alive(admin_client: Client) -> None:
    make_worker(silent_for=600)
    action = _begun(admin_client)
    assert "No worker is alive" in text_of(admin_client.get(f"{BULK}{action.pk}/change/"))


def test_the_page_of_what_has_ended_is_not_asked_for_again_and_again(admin_client: Client) -> None:
    action = _begun(admin_client)
    walk(action)
    text = text_of(admin_client.get(f"{BULK}{action.pk}/change/"))
    assert "2 of 2 jobs" in text
    assert "data-region-seconds" not in text
    assert "Stop</button>" not in text


def test_it_is_stopped_by_a_click_that_is_written_down(admin_client: Client) -> None:
    action = _begun(admin_client)
    response = admin_client.post(f"{BULK}{action.pk}/stop/", follow=True)
    assert [str(message) for message in response.context["messages"]][-1] == "It is stopped."
    assert walk(action) == 0
    assert LogEntry.objects.first().change_message == "Stop: 0 of 2 jobs were changed"  # type: ignore[union-attr]


def test_what_has_ended_is_not_stopped(admin_client: Client) -> None:
    action = _begun(admin_client)
    walk(action)
    response = admin_client.post(f"{BULK}{action.pk}/stop/", follow=True)
    assert [str(message) for message in response.context["messages"]][-1] == "It had ended already."


def test_actions_are_listed(admin_client: Client) -> None:
    _begun(admin_client)
    text = text_of(admin_client.get(BULK))
    assert "0 / 2" in text
    assert "waits" in text


@pytest.mark.parametrize(
    "values",
    [
        {"verb": "postpone"},
        {"selection": []},
        {"selection": ["state"]},
        {"began_at": datetime(1900, 1, 1, tzinfo=UTC), "expected": 2**31 - 1, "changed": 1},
    ],
)
def test_an_action_that_nobody_here_asked_for_is_shown(admin_client: Client, values: dict[str, Any]) -> None:
    action = _begun(admin_client)
    BulkAction.objects.update(**values)
    for url in (BULK, f"{BULK}{action.pk}/change/"):
        text_of(admin_client.get(url))


@pytest.mark.parametrize("path", ["7/change/", "x/change/", "9" * 30 + "/change/"])
def test_an_action_that_there_is_not_is_not_found(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"{BULK}{path}").status_code == 404


# Who may ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "verb", "status"),
    [
        (("view_job",), "retry", 403),
        (("view_job", "delete_job"), "retry", 403),
        (("view_job", "retry_job"), "delete", 403),
        (("retry_job",), "retry", 403),
        (("view_job", "retry_job"), "retry", 302),
        (("view_job", "delete_job"), "delete", 302),
    ],
)
def test_beginning_takes_the_permission_of_the_verb(
    permissions: tuple[str, ...], verb: str, status: int
) -> None:
    make_job("failed")
    client = operator(*permissions)
    assert client.post(f"{BULK}start/", {"verb": verb, "confirmed": verb}).status_code == status


@pytest.mark.parametrize(
    ("permission", "status"), [("view_job", 403), ("delete_job", 403), ("retry_job", 302)]
)
def test_stopping_takes_the_permission_of_the_verb(
    admin_client: Client, permission: str, status: int
) -> None:
    action = _begun(admin_client)
    assert operator("view_job", permission).post(f"{BULK}{action.pk}/stop/").status_code == status


def test_a_click_without_a_token_is_refused(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    make_job("failed")
    assert client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_make_one_action(admin_user: User) -> None:
    make_job("failed")
    together = threading.Barrier(2)
    codes: list[int] = []

    def click() -> None:
        client = Client()
        client.force_login(admin_user)
        together.wait(10)
        codes.append(client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry"}).status_code)
        connection.close()

    operators = [threading.Thread(target=click) for _ in range(2)]
    for thread in operators:
        thread.start()
    for thread in operators:
        thread.join(30)
    assert codes == [302, 302]
    assert (BulkAction.objects.count(), LogEntry.objects.count()) == (1, 1)
