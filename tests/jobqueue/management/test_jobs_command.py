"""`manage.py jobqueue_jobs`: what a search finds, and the bulk actions of the pages, by the same rules."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue.models import AuditEntry, BulkAction, Job
from jobqueue.models.holding import hold
from jobqueue.operating import bulk_plans
from jobqueue.searching import FoundRecords, RecordSource, register_source, unregister_source
from tests.jobqueue.admin.steps import make_job, make_worker, operator
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _call(*arguments: str) -> str:
    output = StringIO()
    call_command("jobqueue_jobs", *arguments, stdout=output)
    return output.getvalue()


def _refused(*arguments: str) -> tuple[str, int]:
    with pytest.raises(CommandError) as caught:
        _call(*arguments)
    assert not BulkAction.objects.exists()
    return str(caught.value), caught.value.returncode


@pytest.fixture
def able() -> str:
    """The name of somebody who may see and retry jobs."""
    operator("view_job", "retry_job", username="able")
    return "able"


# Listing ------------------------------------------------------------------------------------------


def test_what_a_search_finds_is_listed_the_newest_first() -> None:
    first, second = (make_job("failed") for _number in range(2))
    make_job("completed")
    lines = _call("state:failed queue:email").splitlines()
    assert [line.split()[:4] for line in lines[:2]] == [
        [f"#{job.pk}", "failed", "email", "sample.succeed"] for job in (second, first)
    ]
    assert lines[2:] == ["2 jobs."]


def test_what_is_held_is_listed_as_held_and_the_word_for_it_is_in_the_help() -> None:
    held = make_job("delayed")
    make_job("delayed")
    hold(held, "pia", "wrong text", "default")
    assert [line.split()[:2] for line in _call("state:held").splitlines()[:-1]] == [[f"#{held.pk}", "held"]]
    assert "held" in load_command_class("jobqueue", "jobqueue_jobs").create_parser("", "").format_help()


def test_more_than_the_limit_are_named_as_more() -> None:
    for _number in range(3):
        make_job("failed")
    assert _call("state:failed", "--limit", "2").splitlines()[2:] == [
        "These are the newest 2; there are more."
    ]


@pytest.mark.parametrize("limit", ["0", "-1", "100000"])
def test_a_limit_that_cannot_be_is_refused(limit: str) -> None:
    assert _refused("state:failed", "--limit", limit)[0].startswith("--limit must be 1 to 1000")


def test_payloads_are_not_shown_and_addresses_only_to_who_may_read_payloads() -> None:
    make_job("failed", payload={"note": "secret"}, reason="no route to pia@example.com")
    operator("view_job", username="looks")
    operator("view_job", "view_payload", username="reads")
    seen = {name: _call("state:failed", "--as", name) for name in ("looks", "reads")}
    assert "secret" not in "".join(seen.values())
    assert ("pia@" in seen["looks"], "pia@" in seen["reads"]) == (False, True)
    assert "pia@" not in _call("state:failed")


def test_hostile_texts_move_no_cursor() -> None:
    make_job("failed", reason="\x1b[31mred\nsecond line", subject="x\x1b]0;title\x07")
    assert "\x1b" not in (text := _call("state:failed"))
    assert len(text.splitlines()) == 2


def test_a_search_that_cannot_be_read_is_refused_by_its_word_and_what_is_allowed() -> None:
    message, code = _refused("state:wating")
    assert "state:wating" in message
    assert "state:waiting" in message
    assert code == 2


def test_a_search_in_payloads_takes_the_permission_to_read_them() -> None:
    message, code = _refused("args.user_id:5")
    assert "jobqueue.view_payload" in message
    assert code == 4


def test_who_may_not_see_jobs_sees_none() -> None:
    User.objects.create_user("staff", is_staff=True)
    assert _refused("state:failed", "--as", "staff") == ("That takes the permission jobqueue.view_job.", 4)


# Verbs --------------------------------------------------------------------------------------------


def test_a_verb_begins_the_bulk_action_of_the_pages_with_one_entry_in_the_audit(able: str) -> None:
    jobs = [make_job("failed") for _number in range(2)]
    other = make_job("failed", queue="settlement")
    search = "state:failed queue:email"
    told = _call(search, "--verb", "retry", "--as", able, "--reason", "mended", "--yes")
    action = BulkAction.objects.get()
    assert (action.verb, action.expected, action.asked_by, action.reason) == ("retry", 2, able, "mended")
    assert told.splitlines()[0] == f"Retry: 2 jobs (jobs of the list search={search})."
    assert f"Bulk action {action.pk} begins" in told
    [entry] = AuditEntry.objects.all()
    assert (entry.who, entry.verb, entry.jobs, entry.reason) == (able, "Retry", 2, "mended")
    assert walk(action) == 2
    assert set(Job.objects.waiting()) == set(jobs)
    assert Job.objects.get(pk=other.pk).state == "failed"


@pytest.mark.parametrize(("typed", "begins"), [("2", True), ("3", False), ("", False), (None, False)])
def test_without_yes_the_number_of_jobs_is_typed(
    typed: str | None, begins: bool, able: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _number in range(2):
        make_job("failed")
    monkeypatch.setattr("sys.stdin", StringIO("" if typed is None else f"{typed}\n"))
    asked = ("state:failed", "--verb", "retry", "--as", able)
    if begins:
        _call(*asked)
        assert BulkAction.objects.get().expected == 2
    else:
        message, code = _refused(*asked)
        assert message.startswith("Nothing was begun")
        assert code == 1


def test_nothing_is_begun_where_more_jobs_match_than_were_told(
    able: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job("failed")
    late = make_job("waiting")

    def typed(prompt: str) -> str:
        # Its end was written by a clock that was behind.
        Job.objects.filter(pk=late.pk).update(state="failed", finished_at=Now() - timedelta(minutes=1))
        return "1"

    monkeypatch.setattr("builtins.input", typed)
    text, code = _refused("state:failed", "--verb", "retry", "--as", able)
    assert (text, code) == ("Nothing was begun: 2 jobs match by now, more than were told.", 1)


def test_what_fails_after_the_number_was_told_is_not_meant(
    able: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, told = make_job("waiting"), make_job("failed", finished_at=timezone.now() - timedelta(minutes=1))

    def typed(prompt: str) -> str:
        Job.objects.filter(pk=late.pk).update(state="failed", finished_at=Now())
        return "1"

    monkeypatch.setattr("builtins.input", typed)
    _call("state:failed", "--verb", "retry", "--as", able)
    walk(BulkAction.objects.get())
    assert list(Job.objects.filter(state="waiting").values_list("pk", flat=True)) == [told.pk]


def test_that_a_search_did_not_look_at_all_records_is_said(able: str) -> None:
    def find(searches: Any, most: int) -> list[FoundRecords]:
        return [FoundRecords([], is_cut=True) for _words in searches]

    register_source(RecordSource("shop.parcels", "Parcels", "jobqueue.view_job", find))
    try:
        assert "More records match than were looked at" in _call("parcel", "--as", able)
    finally:
        unregister_source("shop.parcels")


def test_where_no_job_matches_nothing_is_begun_and_the_exit_code_says_it(able: str) -> None:
    message, code = _refused("state:failed", "--verb", "retry", "--as", able, "--yes")
    assert message == "Nothing was begun: no job matches (jobs of the list search=state:failed)."
    assert code == 3


def test_a_verb_takes_its_permission(able: str) -> None:
    make_job("waiting")
    refused = _refused("state:waiting", "--verb", "cancel", "--as", able, "--yes")
    assert refused == ("That takes the permission jobqueue.cancel_job.", 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "A verb takes --as"),
        (("--as", "nobody"), "There is no user 'nobody'."),
        (("--as", "guest"), "guest is not an active user of the staff."),
        (("--as", "able", "--reason", "r" * 501), "A --reason has at most 500 characters"),
        (("--as", "able", "--per-second", "0"), "--per-second must be 1 to"),
    ],
)
def test_what_a_verb_lacks_is_named(arguments: tuple[str, ...], said: str, able: str) -> None:
    make_job("failed")
    User.objects.create_user("guest")
    assert _refused("state:failed", "--verb", "retry", "--yes", *arguments)[0].startswith(said)


def test_a_verb_on_everything_has_to_say_so(able: str) -> None:
    make_job("failed")
    assert _refused(" ", "--verb", "retry", "--as", able, "--yes")[0].startswith("A verb takes a search")


def test_of_very_many_jobs_a_reason_is_asked_for(able: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_plans, "TYPED_ABOVE", 1)
    for _number in range(2):
        make_job("failed")
    message, _code = _refused("state:failed", "--verb", "retry", "--as", able, "--yes")
    assert "takes a --reason" in message


def test_the_same_is_not_begun_twice(able: str) -> None:
    make_worker()
    make_job("failed")
    asked = ("state:failed", "--verb", "retry", "--as", able, "--yes")
    _call(*asked)
    assert _call(*asked).splitlines()[-1].startswith("The same is under way already: bulk action")
    assert BulkAction.objects.count() == AuditEntry.objects.count() == 1


def test_without_a_worker_that_would_walk_it_it_says_so(able: str) -> None:
    make_job("failed")
    told = _call("state:failed", "--verb", "retry", "--as", able, "--yes")
    assert told.splitlines()[-1] == "No worker is alive: it begins as soon as one starts."
