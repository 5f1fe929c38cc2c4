"""What operators did: one entry an action, found by person, verb, day and object."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.test import Client
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries

from jobqueue.admin import audit_rows
from jobqueue.models import AuditEntry, Job, Queue
from jobqueue.operating.audit_questions import ASKED
from jobqueue.operating.retelling import retold_verb
from tests.jobqueue.admin.steps import JOBS, QUEUES, choose, confirm, ids_of, make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
AUDIT = "/admin/jobqueue/auditentry/"


def _rows(client: Client, **asked: Any) -> list[Any]:
    response = client.get(AUDIT, asked)
    assert response.status_code == 200
    return list(response.context["rows"])


def _entry(who: str = "ada", verb: str = "Retry", **fields: Any) -> AuditEntry:
    return AuditEntry.objects.create(who=who, verb=verb, **fields)


def _logged(job: Job, message: str = "Retry: failed → waiting", days_ago: float = 1) -> LogEntry:
    """An entry as it was written before there was an audit."""
    user, _is_new = User.objects.get_or_create(username="veteran")
    entry = LogEntry(
        user=user,
        content_type=ContentType.objects.get_for_model(Job),
        object_id=str(job.pk),
        object_repr=str(job),
        action_flag=CHANGE,
        change_message=message,
        action_time=timezone.now() - timedelta(days=days_ago),
    )
    LogEntry.objects.bulk_create([entry])
    return LogEntry.objects.latest("pk")


def test_a_bulk_action_is_called_so_in_the_language_of_its_reader_and_found_by_its_key(
    admin_client: Client,
) -> None:
    for number in ("1", "2"):
        _entry(object_type="jobqueue.bulkaction", object_id=number, object_name=f"retry #{number}")
    with translation.override("de"):
        word = retold_verb("retry")
        admin_client.cookies["django_language"] = "de"
        [row] = _rows(admin_client, type="jobqueue.bulkaction", object="2")
    assert word != "retry"
    assert row.about == f"{word} #2"


# What is written ----------------------------------------------------------------------------------


def test_an_action_on_many_jobs_is_one_entry_with_their_number(admin_client: Client) -> None:
    confirm(admin_client, "retry", *(make_job("failed") for _number in range(3)))
    [row] = _rows(admin_client)
    assert (row.who, row.verb, row.jobs, row.text) == ("admin", "Retry", "3", "failed → waiting")


VERBS_AND_TEXTS = [
    ("Run now", "Run now: delayed until 2026-11-28 09:00:00 UTC → due now"),
    ("Run now", "Run now"),
    ("Retry", "Retry: failed → waiting."),
    ("Delete", "Delete: ina, otto"),
    ("Limits", "Rate limit: none → 5"),
    ("Change", "Pause letters."),
]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("verb", "text"), VERBS_AND_TEXTS)
def test_a_row_says_its_verb_once(admin_client: Client, language: str, verb: str, text: str) -> None:
    _entry("ada", verb, text=text)
    page = text_of(admin_client.get(AUDIT, headers={"accept-language": language}))
    [cell] = re.findall(r'<td class="jq-audit-what">(.*?)</td>', page)
    with translation.override(language):
        said = str(retold_verb(verb))
    assert cell.count(said) == 1 and f"<strong>{said}</strong>" in cell
    assert ("<small>" in cell) == (text != verb)


def test_jobs_of_different_times_that_are_run_now_are_a_row_that_says_so_once(admin_client: Client) -> None:
    now = timezone.now()
    jobs = (make_job("delayed", run_at=now + timedelta(hours=hours)) for hours in (1, 2))
    confirm(admin_client, "run_now", *jobs)
    [row] = _rows(admin_client)
    assert (row.verb, row.text, row.jobs) == ("Run now", "", "2")


def test_the_number_leads_to_the_jobs(admin_client: Client) -> None:
    jobs = [make_job("failed") for _number in range(3)]
    make_job("failed")
    confirm(admin_client, "retry", *jobs)
    [row] = _rows(admin_client)
    assert ids_of(admin_client.get(row.jobs_url)) == {job.pk for job in jobs}


def test_an_action_on_one_job_leads_to_its_page(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "retry", job)
    assert _rows(admin_client)[0].jobs_url == f"{JOBS}{job.pk}/change/"


@pytest.mark.parametrize(("number", "said"), [(1, "job"), (2, "jobs")])
def test_the_number_is_read_out_as_one_or_many(admin_client: Client, number: int, said: str) -> None:
    confirm(admin_client, "retry", *(make_job("failed") for _ in range(number)))
    assert f'{number} <span class="visually-hidden">{said}</span>' in text_of(admin_client.get(AUDIT))


def test_each_job_keeps_its_own_history(admin_client: Client) -> None:
    confirm(admin_client, "retry", *(make_job("failed") for _number in range(3)))
    assert LogEntry.objects.count() == 3


def test_a_bulk_action_is_one_entry_that_leads_to_its_page(admin_client: Client) -> None:
    for _number in range(2):
        make_job("failed", cause="ValueError", queue="email")
    words = {"verb": "retry", "cause": "ValueError", "queue": "email", "confirmed": "retry"}
    admin_client.post("/admin/jobqueue/bulkaction/start/", {**words, "reason": "mended"})
    [row] = _rows(admin_client, queue="email")
    assert (row.verb, row.jobs, row.reason) == ("Retry", "0 of 2", "mended")
    assert row.jobs_url.startswith("/admin/jobqueue/bulkaction/")


def test_a_pause_stands_with_its_queue(admin_client: Client) -> None:
    Queue.objects.create(name="email")
    admin_client.post(QUEUES, {"action": "pause", "_selected_action": ["email"]})
    [row] = _rows(admin_client, queue="email", type="jobqueue.queue", object="email")
    assert (row.verb, row.about) == ("Pause", "email")


def test_what_another_page_of_the_admin_writes_down_stands_there_too(admin_client: Client) -> None:
    admin_client.post("/admin/auth/group/add/", {"name": "night shift"})
    assert [row.about for row in _rows(admin_client, verb="Add")] == ["night shift"]
    assert Group.objects.filter(name="night shift").exists()


USERS = "/admin/auth/user/"


def _delete_selected(client: Client, address: str, *records: Any) -> None:
    keys = [str(record.pk) for record in records]
    data = {"action": "delete_selected", "_selected_action": keys, "post": "yes"}
    assert client.post(address, data).status_code == 302


def test_to_delete_several_records_of_any_app_is_one_entry_that_names_them(admin_client: Client) -> None:
    leavers = [User.objects.create_user(name) for name in ("ina", "otto")]
    _delete_selected(admin_client, USERS, *leavers)
    [row] = _rows(admin_client, verb="Delete")
    assert (row.who, row.kind, row.about, row.jobs) == ("admin", "user", "", "")
    assert row.text in ("ina, otto", "otto, ina")
    assert '<small class="quiet">user</small>' in text_of(admin_client.get(AUDIT))


def test_what_is_kept_of_another_app_is_not_in_the_language_of_who_did_it(admin_client: Client) -> None:
    group = Group.objects.create(name="night")
    with translation.override("de"):
        headers = {"accept-language": "de"}
        admin_client.post(f"/admin/auth/group/{group.pk}/change/", {"name": "day"}, headers=headers)
    assert [row.text for row in _rows(admin_client)] == ["Changed Name."]


def test_to_delete_one_record_is_one_entry_about_it(admin_client: Client) -> None:
    _delete_selected(admin_client, USERS, User.objects.create_user("ina"))
    assert [row.about for row in _rows(admin_client, verb="Delete")] == ["ina"]


def test_of_many_deleted_records_the_first_are_named_and_the_others_counted(admin_client: Client) -> None:
    _delete_selected(
        admin_client, "/admin/auth/group/", *(Group.objects.create(name=f"g{n}") for n in range(23))
    )
    [row] = _rows(admin_client, verb="Delete")
    assert row.text.startswith("g")
    assert row.text.endswith(" and 3 more")


@pytest.mark.parametrize("number", [0, 22])
def test_each_of_several_deleted_records_finds_the_entry(admin_client: Client, number: int) -> None:
    groups = [Group.objects.create(name=f"g{n}") for n in range(23)]
    keys = [group.pk for group in groups]
    _delete_selected(admin_client, "/admin/auth/group/", *groups)
    confirm(admin_client, "retry", make_job("failed"))
    for asked in ({}, {"type": "auth.group"}):
        assert [row.verb for row in _rows(admin_client, object=keys[number], **asked)] == ["Delete"]
    assert _rows(admin_client, object=keys[number], type="auth.user") == []


def test_each_of_several_jobs_finds_the_action_on_them(admin_client: Client) -> None:
    jobs = [make_job("failed") for _number in range(2)]
    confirm(admin_client, "retry", *jobs)
    confirm(admin_client, "retry", make_job("failed"))
    for job in jobs:
        found = _rows(admin_client, object=job.pk, type="jobqueue.job")
        assert [row.number for row in found] == [2]


def test_to_find_an_object_among_several_takes_no_further_question(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        _entry("bob", object_type="auth.group", job_ids=[str(number), "7"])
    with django_assert_max_num_queries(15):
        assert len(_rows(admin_client, object="7")) == 30


def test_what_was_refused_is_no_entry(admin_client: Client) -> None:
    choose(admin_client, "retry", make_job("failed"))
    confirm(admin_client, "retry", make_job("completed"))
    assert _rows(admin_client) == []


# What is asked for --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [{"who": "bob"}, {"verb": "Pause"}, {"queue": "email"}, {"type": "jobqueue.queue"}, {"object": "email"}],
)
def test_a_filter_finds_what_it_says(admin_client: Client, asked: dict[str, str]) -> None:
    _entry()
    wanted = {"queue": "email", "object_type": "jobqueue.queue", "object_id": "email"}
    _entry("bob", "Pause", **wanted)
    assert [row.who for row in _rows(admin_client, **asked)] == ["bob"]


def test_a_day_is_one_of_the_calendar(admin_client: Client) -> None:
    _entry("yesterday", at=timezone.now() - timedelta(days=1))
    _entry("today")
    assert [row.who for row in _rows(admin_client, day=timezone.localdate().isoformat())] == ["today"]


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "0001-01-01", "9999-12-31", "<script>"])
def test_a_day_that_is_none_finds_nothing_and_says_what_is_allowed(admin_client: Client, day: str) -> None:
    _entry()
    page = text_of(admin_client.get(AUDIT, {"day": day}))
    assert "day must be one such as 2026-11-26" in page
    assert "<script>" not in page


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("text", ["\x00", "x" * 10_000, "%", "\u202e", "é", "."])
def test_a_filter_takes_any_text(admin_client: Client, name: str, text: str) -> None:
    assert _rows(admin_client, **{name: text}) == []


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("text", ["x", "-1", "9" * 30, "log-x", "\x00"])
def test_a_place_that_is_none_is_no_error(admin_client: Client, place: str, text: str) -> None:
    assert admin_client.get(AUDIT, {place: text}).status_code == 200


def test_pages_follow_each_other_by_key_and_keep_the_filters(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_rows, "PAGE", 2)
    for number in range(5):
        _entry("ada", text=str(number))
        _entry("bob")
    seen, query = [], "who=ada"
    while query:
        response = admin_client.get(f"{AUDIT}?{query}")
        seen += [row.text for row in response.context["rows"]]
        query = response.context["older"]
    assert seen == ["4", "3", "2", "1", "0"]
    back = admin_client.get(f"{AUDIT}?{response.context['newer']}")
    assert [row.text for row in back.context["rows"]] == ["2", "1"] or back.context["newer"] == ""


# What was written before --------------------------------------------------------------------------


def test_what_is_older_than_the_audit_follows_it(admin_client: Client) -> None:
    old = make_job("failed")
    _logged(old, "Retry: failed → waiting")
    confirm(admin_client, "retry", make_job("failed"))
    assert [(row.who, row.verb) for row in _rows(admin_client)] == [("admin", "Retry"), ("veteran", "Retry")]


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ({"who": "veteran"}, True),
        ({"who": "ada"}, False),
        ({"verb": "Retry"}, True),
        ({"verb": "Cancel"}, False),
        ({"type": "jobqueue.job"}, True),
        ({"type": "jobqueue.queue"}, False),
        ({"queue": "email"}, False),
    ],
)
def test_filters_hold_for_what_is_older_too(
    admin_client: Client, asked: dict[str, str], is_found: bool
) -> None:
    _logged(make_job("failed"))
    assert bool(_rows(admin_client, **asked)) == is_found


def test_pages_go_on_into_what_is_older(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_rows, "PAGE", 2)
    for _number in range(3):
        _logged(make_job("failed"))
    confirm(admin_client, "retry", make_job("failed"))
    seen, query = [], "verb=Retry"
    while query:
        response = admin_client.get(f"{AUDIT}?{query}")
        seen += [row.who for row in response.context["rows"]]
        query = response.context["older"]
    assert seen == ["admin", "veteran", "veteran", "veteran"]


# Who may see it, and for how long -----------------------------------------------------------------


def test_it_takes_a_permission_of_its_own() -> None:
    assert operator("view_job").get(AUDIT).status_code == 403
    assert operator("view_audit", username="auditor").get(AUDIT).status_code == 200


def test_addresses_are_masked_for_who_may_not_read_payloads() -> None:
    _entry(text="Put back: mail to pia@example.com", reason="pia@example.com asked")
    assert "pia@" not in text_of(operator("view_audit").get(AUDIT))


def test_hostile_texts_are_shown_as_texts(admin_client: Client) -> None:
    evil = "<script>alert(1)</script>{{ 7 }}\u202e"
    _entry(evil, evil[:60], text=evil, reason=evil, object_name=evil, object_type="no.such", object_id=evil)
    assert "<script>alert" not in text_of(admin_client.get(AUDIT))


def test_the_page_of_the_admin_shows_an_action_once(admin_client: Client) -> None:
    confirm(admin_client, "retry", *(make_job("failed") for _number in range(10)))
    page = text_of(admin_client.get("/admin/"))
    assert page.count("Retry: 10 jobs") == 1


def test_to_prune_drops_what_is_too_old_and_nothing_that_is_not_ours(settings: Any) -> None:
    settings.JOBQUEUE = {**settings.JOBQUEUE, "KEEP_AUDIT": timedelta(days=10)}
    job = make_job("failed")
    _logged(job, days_ago=11)
    kept = _logged(job, days_ago=9)
    other = _logged(job, days_ago=11)
    LogEntry.objects.filter(pk=other.pk).update(content_type=ContentType.objects.get_for_model(Group))
    _entry(at=timezone.now() - timedelta(days=11))
    young = _entry(at=timezone.now() - timedelta(days=9))
    call_command("jobqueue_prune")
    assert set(LogEntry.objects.values_list("pk", flat=True)) == {kept.pk, other.pk}
    assert list(AuditEntry.objects.values_list("pk", flat=True)) == [young.pk]
