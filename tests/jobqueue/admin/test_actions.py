"""Actions on jobs: the question, the effect, the audit, and what is refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from jobqueue.admin import actions
from jobqueue.models import Attempt, Job
from jobqueue.operating import consequences
from tests.jobqueue.admin.steps import (
    FAILED,
    JOBS,
    STUCK,
    choose,
    confirm,
    entries_of,
    ids_of,
    make_job,
    page_of,
    text_of,
)

pytestmark = pytest.mark.django_db

# What each action takes, and what becomes of it.
EFFECTS = [
    ("retry", "failed", "waiting", "Retry: failed → waiting"),
    ("retry", "cancelled", "waiting", "Retry: cancelled → waiting"),
    ("cancel", "waiting", "cancelled", "Cancel: waiting → cancelled"),
    ("cancel", "delayed", "cancelled", "Cancel: waiting → cancelled"),
    ("release", "stuck", "waiting", "Put back on the road: active → waiting"),
    ("fail", "stuck", "failed", "Fail: active → failed"),
]
REFUSED = [
    ("retry", "completed"),
    ("retry", "waiting"),
    ("retry", "active"),
    ("cancel", "completed"),
    ("cancel", "active"),
    ("cancel", "failed"),
    ("run_now", "waiting"),
    ("run_now", "completed"),
    ("release", "active"),
    ("release", "waiting"),
    ("fail", "active"),
    ("fail", "failed"),
    ("delete", "active"),
    ("delete", "stuck"),
]


# The effect ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "before", "after", "entry"), EFFECTS)
def test_an_action_has_its_effect(
    admin_client: Client, action: str, before: str, after: str, entry: str
) -> None:
    job = make_job(before)
    confirm(admin_client, action, job)
    job.refresh_from_db()
    assert job.state == after


@pytest.mark.parametrize(("action", "before", "after", "entry"), EFFECTS)
def test_an_action_is_written_down_with_before_and_after(
    admin_client: Client, action: str, before: str, after: str, entry: str
) -> None:
    job = make_job(before)
    confirm(admin_client, action, job)
    assert entries_of(job) == [entry]


def test_the_audit_knows_who_and_when(admin_client: Client, admin_user: User) -> None:
    confirm(admin_client, "retry", make_job("failed"))
    entry = LogEntry.objects.get()
    assert (entry.user, entry.action_time is not None) == (admin_user, True)


def test_run_now_makes_a_delayed_job_due(admin_client: Client) -> None:
    job = make_job("delayed")
    confirm(admin_client, "run_now", job)
    assert Job.objects.due().filter(pk=job.pk).exists()
    assert re.fullmatch(r"Run now: delayed until .* UTC → due now", entries_of(job)[0])


def test_retry_gives_a_full_budget_of_retries(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "retry", job)
    job.refresh_from_db()
    assert (job.attempt, job.failures, job.reason) == (5, 0, "")


def test_fail_leaves_an_attempt_that_says_why(admin_client: Client) -> None:
    job = make_job("stuck")
    confirm(admin_client, "fail", job)
    assert Attempt.objects.get(job=job).message == "failed by admin"


@pytest.mark.parametrize("state", ["waiting", "delayed", "completed", "failed", "cancelled"])
def test_delete_removes_a_job_that_does_not_run(admin_client: Client, state: str) -> None:
    job = make_job(state)
    confirm(admin_client, "delete", job)
    assert not Job.objects.filter(pk=job.pk).exists()


def test_a_deleted_job_stays_in_the_audit(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "delete", job)
    entry = LogEntry.objects.get(object_id=str(job.pk))
    assert (entry.action_flag, entry.object_repr) == (DELETION, f"sample.succeed #{job.pk}")


def test_several_jobs_are_changed_and_counted(admin_client: Client) -> None:
    jobs = [make_job("failed") for _ in range(3)]
    assert confirm(admin_client, "retry", *jobs) == ["3 jobs retried."]
    assert Job.objects.failed().count() == 0


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "state"), REFUSED)
def test_what_the_state_does_not_allow_changes_nothing_and_says_so(
    admin_client: Client, action: str, state: str
) -> None:
    job = make_job(state)
    before = Job.objects.filter(pk=job.pk).values().get()
    [message] = confirm(admin_client, action, job)
    assert message.startswith("1 job left alone: ")
    assert Job.objects.filter(pk=job.pk).values().get() == before
    assert entries_of(job) == []


@pytest.mark.parametrize(("action", "state"), REFUSED)
def test_there_is_no_question_when_nothing_can_be_done(admin_client: Client, action: str, state: str) -> None:
    response = choose(admin_client, action, make_job(state))
    assert (response.status_code, response.headers["Location"]) == (302, JOBS)


def test_of_several_jobs_those_that_are_refused_are_counted(admin_client: Client) -> None:
    messages = confirm(admin_client, "retry", make_job("failed"), make_job("completed"), make_job())
    assert messages == ["1 job retried.", "2 jobs left alone: retry takes a failed or cancelled job."]


def test_a_second_click_has_no_second_effect(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "retry", job)
    assert confirm(admin_client, "retry", job)[0].startswith("1 job left alone")
    job.refresh_from_db()
    assert job.attempt == 5
    assert len(entries_of(job)) == 1


def test_a_job_that_was_deleted_meanwhile_does_no_harm(admin_client: Client) -> None:
    job = make_job("failed")
    Job.objects.all().delete()
    assert confirm(admin_client, "retry", Job(pk=1_000_000)) == [
        "Nothing was retried: that takes a failed or cancelled job."
    ]
    assert entries_of(job) == []


@pytest.mark.parametrize("key", ["x", "1; drop table", "9" * 19, "9" * 30, "--1", "²"])
def test_a_job_id_that_is_none_is_named_and_nothing_is_done(admin_client: Client, key: str) -> None:
    job = make_job("failed")
    data = {"action": "retry", "confirmed": "retry", "_selected_action": [key, str(job.pk)]}
    page = admin_client.post(JOBS, data, follow=True)
    assert f"Nothing was done: no job can have the key “{key}”." in text_of(page)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED


@pytest.mark.parametrize("newest", ["", "x", "9" * 19, "9" * 5000, "²"], ids=len)
def test_a_strange_bound_does_no_harm(admin_client: Client, newest: str) -> None:
    assert confirm(admin_client, "retry", make_job("failed"), newest=newest)


@pytest.mark.parametrize("action", ["delete_selected", "nothing", ""])
def test_an_unknown_action_changes_nothing(admin_client: Client, action: str) -> None:
    job = make_job("failed")
    confirm(admin_client, action, job)
    assert Job.objects.get(pk=job.pk).state == "failed"


# The question -------------------------------------------------------------------------------------


def test_an_action_asks_first_and_changes_nothing(admin_client: Client) -> None:
    job = make_job("failed")
    text = text_of(choose(admin_client, "retry", job))
    assert "Retry: <strong>1 job</strong>" in text
    assert Job.objects.get(pk=job.pk).state == "failed"


def test_the_question_says_how_many_jobs_of_which_kind(admin_client: Client) -> None:
    jobs = [make_job("failed"), make_job("failed"), make_job("failed", processor="sample.skip")]
    planned = choose(admin_client, "retry", *jobs).context["plan"]
    assert planned.by_processor == {"sample.succeed": 2, "sample.skip": 1}


def test_the_question_says_how_many_are_left_alone(admin_client: Client) -> None:
    text = text_of(choose(admin_client, "retry", make_job("failed"), make_job(), make_job()))
    assert "2 of the 3 chosen are left alone: this takes a failed or cancelled job." in text


@pytest.mark.parametrize(
    ("action", "state", "text"),
    [
        ("retry", "failed", "Up to 6 e-mails will go out."),
        ("run_now", "delayed", "Up to 6 e-mails will go out."),
        ("release", "stuck", "Up to 6 e-mails will go out."),
        ("cancel", "waiting", "Up to 6 e-mails will not go out."),
        ("fail", "stuck", "Up to 6 e-mails will not go out."),
        ("delete", "waiting", "Up to 6 e-mails will not go out."),
    ],
)
def test_the_question_says_how_many_e_mails_it_is_about(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, action: str, state: str, text: str
) -> None:
    monkeypatch.setitem(consequences._emails_by_processor, "sample.succeed", 3)
    assert text in text_of(choose(admin_client, action, make_job(state), make_job(state)))


def test_deleting_what_is_done_holds_back_no_e_mail(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(consequences._emails_by_processor, "sample.succeed", 3)
    assert "e-mail" not in text_of(choose(admin_client, "delete", make_job("completed")))


def test_the_question_answered_with_its_own_form_has_the_effect(admin_client: Client) -> None:
    job = make_job("failed")
    text = text_of(choose(admin_client, "retry", job))
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
    admin_client.post(JOBS, {name: value for name, value in fields if name != "csrfmiddlewaretoken"})
    assert Job.objects.get(pk=job.pk).state == "waiting"


@pytest.mark.parametrize("action", ["retry", "cancel", "delete"])
def test_a_click_without_a_token_is_refused(admin_user: User, action: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    job = make_job("failed")
    data = {"action": action, "confirmed": action, "_selected_action": [str(job.pk)]}
    assert client.post(JOBS, data).status_code == 403
    assert Job.objects.get(pk=job.pk).state == "failed"


def test_reading_a_page_changes_nothing_whatever_its_address_says(admin_client: Client) -> None:
    job = make_job("failed")
    query = {"action": "retry", "confirmed": "retry", "_selected_action": str(job.pk)}
    admin_client.get(JOBS, query, follow=True)
    assert Job.objects.get(pk=job.pk).state == "failed"


# Everything that matches --------------------------------------------------------------------------


def test_everything_that_matches_the_filter_is_changed_not_only_the_page(admin_client: Client) -> None:
    jobs = [make_job("failed", queue="reminders") for _ in range(60)]
    other = make_job("failed")
    messages = confirm(admin_client, "retry", url=f"{JOBS}?queue=reminders", select_across="1")
    assert messages == ["60 jobs retried."]
    assert set(Job.objects.waiting().values_list("pk", flat=True)) == {job.pk for job in jobs}
    assert Job.objects.get(pk=other.pk).state == "failed"


def test_every_job_of_a_bulk_action_has_its_entry(admin_client: Client) -> None:
    jobs = [make_job("failed") for _ in range(3)]
    confirm(admin_client, "retry", url=FAILED, select_across="1")
    assert [entries_of(job) for job in jobs] == [["Retry: failed → waiting"]] * 3


def test_one_cause_of_failures_can_be_retried_alone(admin_client: Client) -> None:
    wanted, other = make_job("failed"), make_job("failed")
    Attempt.objects.create(job=wanted, number=1, error_class="TimeoutError")
    Attempt.objects.create(job=other, number=1, error_class="ValueError")
    confirm(admin_client, "retry", url=f"{FAILED}?error=TimeoutError", select_across="1")
    assert [Job.objects.get(pk=job.pk).state for job in (wanted, other)] == ["waiting", "failed"]


@pytest.mark.parametrize("action", ["release", "fail"])
def test_all_stuck_jobs_are_cleared_at_once(admin_client: Client, action: str) -> None:
    for _ in range(3):
        make_job("stuck")
    running = make_job("active")
    confirm(admin_client, action, url=STUCK, select_across="1")
    assert set(Job.objects.active().values_list("pk", flat=True)) == {running.pk}


def test_one_request_takes_a_bounded_number_and_tells_what_is_left(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MOST_PER_REQUEST", 4)
    monkeypatch.setattr(actions, "BATCH", 2)
    jobs = [make_job("failed") for _ in range(7)]
    question = text_of(choose(admin_client, "retry", url=FAILED, select_across="1"))
    assert "3 more match. One request takes at most 4: repeat the action to go on." in question
    messages = confirm(admin_client, "retry", url=FAILED, select_across="1")
    assert messages == [
        "4 jobs retried.",
        "3 more match: one request takes at most 4. Repeat the action to go on.",
    ]
    assert set(Job.objects.failed().values_list("pk", flat=True)) == {job.pk for job in jobs[4:]}


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ({"state": "failed"}, {"retry", "delete"}),
        ({"state": "delayed"}, {"run_now", "cancel", "delete", "hold"}),
        ({"state": "stuck"}, {"release", "fail"}),
        ({"state": "completed"}, {"delete"}),
    ],
)
def test_the_list_offers_what_its_state_allows(
    admin_client: Client, query: dict[str, str], offered: set[str]
) -> None:
    context = admin_client.get(JOBS, query).context
    assert {verb.name for verb in context["all_matching"]["verbs"]} == offered


# From the page of a job ---------------------------------------------------------------------------


def test_an_action_from_the_page_of_a_job_leads_back_there(admin_client: Client) -> None:
    job = make_job("failed")
    data = {"action": "retry", "confirmed": "retry", "_selected_action": str(job.pk), "back": "1"}
    response = admin_client.post(JOBS, data)
    assert (response.status_code, response.headers["Location"]) == (302, page_of(job))


def test_deleting_from_the_page_of_a_job_leads_to_the_list(admin_client: Client) -> None:
    job = make_job("failed")
    data = {"action": "delete", "confirmed": "delete", "_selected_action": str(job.pk), "back": "1"}
    response = admin_client.post(JOBS, data)
    assert (response.status_code, response.headers["Location"]) == (302, JOBS)


def test_after_an_action_the_list_keeps_its_filter(admin_client: Client) -> None:
    job = make_job("failed")
    url = f"{JOBS}?queue=email"
    response = admin_client.post(url, {"action": "retry", "confirmed": "retry", "_selected_action": [job.pk]})
    assert response.headers["Location"] == url


# Two operators ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("action", "state", "count"),
    [
        ("retry", "failed", lambda job: job.attempt - 4),
        ("release", "stuck", lambda job: job.attempt - 1),
        ("fail", "stuck", lambda job: job.failures),
    ],
)
def test_two_operators_who_click_at_once_have_one_effect(
    admin_user: User, action: str, state: str, count: Callable[[Job], int]
) -> None:
    job = make_job(state)
    together = threading.Barrier(2)
    messages: list[str] = []

    def click() -> None:
        client = Client()
        client.force_login(admin_user)
        together.wait(10)
        messages.extend(confirm(client, action, job))
        connection.close()

    operators = [threading.Thread(target=click) for _ in range(2)]
    for thread in operators:
        thread.start()
    for thread in operators:
        thread.join(30)
    job.refresh_from_db()
    assert (count(job), len(entries_of(job))) == (1, 1)
    assert len(messages) == 3  # one did it, the other is told that it was done, and by whom
    assert sum("left alone" in text for text in messages) == 1


def test_the_list_shows_the_effect(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "retry", job, url=FAILED)
    assert ids_of(admin_client.get(FAILED)) == set()
