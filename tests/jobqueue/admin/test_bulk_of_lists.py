"""Bulk actions on all that a list shows: what it showed when its number was told, whatever narrowed it."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client

from jobqueue.models import AuditEntry, BulkAction, BulkChoice, Job, Worker, bulk, holding
from jobqueue.operating import consequences
from tests.jobqueue.admin.bulk_steps import BULK
from tests.jobqueue.admin.steps import (
    FAILED,
    JOBS,
    STUCK,
    choose,
    confirm,
    make_job,
    make_worker,
    operator,
    text_of,
)
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])

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


# What each verb takes, the list that shows it, and how the jobs are afterwards.
VERBS_OF_LISTS = {
    "retry": ("cancelled", f"{JOBS}?state=cancelled", "waiting"),
    "run_now": ("delayed", f"{JOBS}?state=delayed", "waiting"),
    "cancel": ("delayed", f"{JOBS}?q=state:delayed", "cancelled"),
    "release": ("stuck", STUCK, "waiting"),
    "fail": ("stuck", f"{JOBS}?state=stuck", "failed"),
    "hold": ("delayed", f"{JOBS}?state=delayed", "waiting"),
    "let_go": ("held", f"{JOBS}?state=held", "waiting"),
}


def _make(state: str) -> Job:
    job = make_job("delayed" if state == "held" else state)
    if state == "held":
        holding.hold(job, "pia", "", "default")
    return job


@pytest.fixture
def _one_is_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)


@pytest.mark.usefixtures("_one_is_many")
@pytest.mark.parametrize("verb", VERBS_OF_LISTS)
def test_every_verb_on_all_of_a_list_goes_to_the_background(admin_client: Client, verb: str) -> None:
    state, url, after = VERBS_OF_LISTS[verb]
    wanted = {_make(state).pk for _ in range(3)}
    other = make_job("completed", queue="reminders")
    address, form = _form_of_list(choose(admin_client, verb, url=url, select_across="1"))
    page = admin_client.post(address, {**form, "reason": "told to"}, follow=True)
    action = BulkAction.objects.get()
    assert page.redirect_chain[-1][0].endswith(f"{BULK}{action.pk}/change/")
    assert not Job.objects.filter(pk__in=wanted, state=after, run_at__lte=Now()).exists()

    assert (action.verb, action.expected, walk(action)) == (verb, 3, 3)

    changed = Job.objects.filter(bulk_action=action.pk, state=after)
    assert set(changed.values_list("pk", flat=True)) == wanted
    assert Job.objects.get(pk=other.pk).state == "completed"
    [entry] = AuditEntry.objects.all()
    assert (entry.who, entry.reason, entry.jobs) == ("admin", "told to", 3)


@pytest.mark.usefixtures("_one_is_many")
@pytest.mark.parametrize("verb", VERBS_OF_LISTS)
def test_of_two_operators_at_once_each_begins_the_same_action(admin_client: Client, verb: str) -> None:
    state, url, _after = VERBS_OF_LISTS[verb]
    for _ in range(2):
        _make(state)
    address, form = _form_of_list(choose(admin_client, verb, url=url, select_across="1"))
    pages = [admin_client.post(address, form, follow=True) for _ in range(2)]
    assert "The same is under way already" in text_of(pages[1])
    assert walk(BulkAction.objects.get()) == 2


@pytest.mark.usefixtures("_one_is_many")
def test_two_verbs_at_once_change_each_job_once(admin_client: Client) -> None:
    url = f"{JOBS}?state=delayed"
    for _ in range(2):
        make_job("delayed")
    forms = [
        _form_of_list(choose(admin_client, verb, url=url, select_across="1"))
        for verb in ("run_now", "cancel")
    ]
    for address, form in forms:
        admin_client.post(address, form)
    cancelled, due = BulkAction.objects.order_by("verb")
    assert (walk(cancelled), walk(due)) == (2, 0)
    assert due.left_out == {"changed": {"number": 2, "ids": sorted(Job.objects.values_list("pk", flat=True))}}


@pytest.mark.usefixtures("_one_is_many")
@pytest.mark.parametrize("verb", ["release", "fail"])
def test_a_job_whose_worker_is_back_is_not_cleared(admin_client: Client, verb: str) -> None:
    worker = make_worker(silent_for=600)
    jobs = [make_job("active", worker_id=worker.pk) for _ in range(2)]
    address, form = _form_of_list(choose(admin_client, verb, url=STUCK, select_across="1"))
    admin_client.post(address, form)
    Worker.objects.update(heartbeat_at=Now())
    assert walk(BulkAction.objects.get()) == 0
    assert Job.objects.active().count() == len(jobs)


@pytest.mark.usefixtures("_one_is_many")
def test_a_job_that_ran_since_is_not_made_due_again(admin_client: Client) -> None:
    ran, waits = make_job("delayed"), make_job("delayed")
    address, form = _form_of_list(
        choose(admin_client, "run_now", url=f"{JOBS}?state=delayed", select_across="1")
    )
    admin_client.post(address, form)
    Job.objects.filter(pk=ran.pk).update(started_at=Now() + timedelta(seconds=1))
    assert walk(BulkAction.objects.get()) == 1
    assert set(Job.objects.due().values_list("pk", flat=True)) == {waits.pk}


@pytest.mark.usefixtures("_one_is_many")
def test_of_those_that_were_confirmed_the_ones_that_are_gone_are_told_as_left_out(
    admin_client: Client,
) -> None:
    gone, *_others = [make_job("delayed") for _ in range(3)]
    address, form = _form_of_list(
        choose(admin_client, "cancel", url=f"{JOBS}?state=delayed", select_across="1")
    )
    gone.cancel("by a colleague")
    admin_client.post(address, form)
    action = BulkAction.objects.get()
    walk(action)
    action.refresh_from_db()
    assert (action.changed, action.expected) == (2, 3)
    page = text_of(admin_client.get(f"{BULK}{action.pk}/change/"))
    assert "1 job was changed by somebody else" in page
    assert AuditEntry.objects.get(object_id=str(action.pk)).text.startswith("Cancel: 3 jobs")


@pytest.mark.usefixtures("_one_is_many")
def test_the_question_says_which_e_mails_will_not_go_out(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(consequences._emails_by_processor, "sample.succeed", 1)
    for state in ("delayed", "delayed", "failed"):
        make_job(state)
    for verb in ("cancel", "delete"):
        text = text_of(choose(admin_client, verb, url=f"{JOBS}?queue=email", select_across="1"))
        assert "Up to 2 e-mails will not go out." in text


@pytest.mark.usefixtures("_one_is_many")
def test_who_may_not_cancel_begins_nothing() -> None:
    for _ in range(2):
        make_job("delayed")
    form = {"confirmed": "cancel", "select_across": "1", "seen": "2"}
    client = operator("view_job", "run_job", "delete_job")
    assert choose(client, "cancel", url=f"{JOBS}?state=delayed", **form).status_code == 403
    assert not BulkAction.objects.exists()


def test_a_few_are_held_and_released_at_once(admin_client: Client) -> None:
    jobs = [make_job("delayed") for _ in range(2)]
    assert confirm(admin_client, "hold", *jobs) == ["2 jobs held."]
    assert holding.held(Job.objects.all()).count() == 2
    assert confirm(admin_client, "let_go", url=f"{JOBS}?q=state:held", select_across="1") == [
        "2 jobs released."
    ]
    assert [Job.objects.get(pk=job.pk).run_at for job in jobs] == [job.run_at for job in jobs]
    [released, held] = [entry.verb for entry in AuditEntry.objects.all()]
    assert (held, released) == ("Hold", "Release")


def test_who_may_not_move_jobs_is_offered_neither_hold_nor_release() -> None:
    offered = operator("view_job", "cancel_job").get(JOBS).context["all_matching"]["verbs"]
    assert [verb.name for verb in offered] == ["cancel"]


def test_the_list_of_what_is_held_offers_its_release(admin_client: Client) -> None:
    offered = admin_client.get(f"{JOBS}?state=held").context["all_matching"]["verbs"]
    assert {verb.name for verb in offered} == {"let_go", "cancel", "delete"}


def test_all_of_a_list_that_nothing_narrows_is_kept_in_english_and_told_in_the_readers_language(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    for _ in range(2):
        make_job()
    german = {"Accept-Language": "de"}
    url = JOBS
    asked = {"action": "cancel", "_selected_action": "0", "index": "0", "select_across": "1"}
    address, form = _form_of_list(admin_client.post(url, asked, headers=german))
    admin_client.post(address, form, headers=german)
    action = BulkAction.objects.get()
    assert action.selection["listed"] == "of all"
    assert AuditEntry.objects.get().text == "Cancel: 2 jobs (jobs of the list of all)"
    for page in (f"{BULK}{action.pk}/change/", "/admin/jobqueue/auditentry/"):
        assert "von allen" in text_of(admin_client.get(page, headers=german))
        assert "of all" in text_of(admin_client.get(page, headers={"Accept-Language": "en"}))
