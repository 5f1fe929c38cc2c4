"""The page of failures by cause: all of them, filtered, and what can be done about each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.models import Cause, failures, muted_causes
from jobqueue.operating import consequences
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import CAUSES, FAILED, make_job, operator, text_of
from tests.jobqueue.admin.test_every_page import client_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
SMTP = "EmailNotSent: SMTPRecipientsRefused 550"
HOSTILE = "<script>alert(1)</script> {{ x }} \u202e"


def _shown(response: Any, kind: str = "causes") -> list[tuple[str, int]]:
    assert response.status_code == 200
    return [(cause.name, cause.number) for cause in response.context[kind]]


def test_all_failures_are_grouped_the_largest_group_first(admin_client: Client) -> None:
    for cause, number in (("OSError 5", 1), (SMTP, 3), ("", 2)):
        for _ in range(number):
            make_job("failed", cause=cause)
    make_job("waiting", cause=SMTP)
    assert _shown(admin_client.get(CAUSES)) == [(SMTP, 3), ("(unknown cause)", 2), ("OSError 5", 1)]


def test_a_group_has_its_first_and_last_failure(admin_client: Client) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for hours, processor in ((0, "sample.skip"), (3, "sample.succeed"), (1, "sample.succeed")):
        make_job("failed", cause=SMTP, processor=processor, finished_at=noon + timedelta(hours=hours))
    [cause] = admin_client.get(CAUSES).context["causes"]
    assert (cause.group.first, cause.group.last) == (noon, noon + timedelta(hours=3))


@pytest.mark.parametrize(
    ("age", "minutes"), [("quarter", 15), ("hour", 60), ("two_hours", 120), ("day", 1440)]
)
def test_groups_are_of_those_that_failed_within_the_last_while(
    admin_client: Client, age: str, minutes: int
) -> None:
    now = database_now("default")
    make_job("failed", cause=SMTP, finished_at=now - timedelta(minutes=minutes - 1))
    make_job("failed", cause=SMTP, created_at=now, finished_at=now - timedelta(minutes=minutes + 1))
    assert _shown(admin_client.get(CAUSES, {"age": age})) == [(SMTP, 1)]


@pytest.mark.parametrize(
    "asked",
    [
        {"queue": "reminders"},
        {"processor": "sample.skip"},
        {"from": "2026-11-20T12:00", "to": "2026-11-20T13:00"},
    ],
)
def test_groups_are_of_those_that_the_filters_choose(admin_client: Client, asked: dict[str, str]) -> None:
    at = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    make_job("failed", cause=SMTP, queue="reminders", processor="sample.skip", finished_at=at)
    make_job("failed", cause=SMTP, queue="email", processor="sample.succeed")
    assert _shown(admin_client.get(CAUSES, asked)) == [(SMTP, 1)]


def test_a_filter_that_matches_nothing_says_so(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    response = admin_client.get(CAUSES, {"queue": "reminders"})
    assert "No job that is still failed matches these filters." in text_of(response)


@pytest.mark.parametrize("asked", [{"from": "soon"}, {"age": "soon"}, {"queue": "soon\x00"}])
def test_a_filter_that_cannot_be_read_finds_nothing_and_says_why(
    admin_client: Client, asked: dict[str, str]
) -> None:
    make_job("failed", cause=SMTP)
    response = admin_client.get(CAUSES, asked)
    assert _shown(response) == []
    assert "Nothing was looked for" in text_of(response)
    assert "not soon" in text_of(response) or "queue cannot have" in text_of(response)


def test_more_causes_than_a_page_has_room_for_are_told_in_one_number(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_GROUPS", 2)
    for cause in (SMTP, SMTP, "OSError 5", "OSError 5", "TimeoutError", "KeyError"):
        make_job("failed", cause=cause)
    response = admin_client.get(CAUSES)
    assert (len(_shown(response)), response.context["total"]) == (2, 6)
    assert "2 more failed jobs are of rarer causes" in text_of(response)


def test_what_is_shown_of_a_cause_is_all_of_it_where_there_are_too_many(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_GROUPS", 2)
    for processor in ("sample.succeed", "sample.succeed", "sample.succeed", "sample.skip"):
        make_job("failed", cause=SMTP, processor=processor)
    for cause in ("OSError 5", "OSError 5", "KeyError"):
        make_job("failed", cause=cause)
    response = admin_client.get(CAUSES)
    assert _shown(response) == [(SMTP, 4), ("OSError 5", 2)]
    assert (response.context["others"], response.context["total"]) == (1, 7)


def test_a_cause_leads_to_its_jobs_with_the_same_filters(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    [cause] = admin_client.get(CAUSES, {"age": "hour", "queue": "email"}).context["causes"]
    response = admin_client.get(f"{FAILED}?{cause.query}")
    assert response.status_code == 200
    assert (response.context["cl"].result_count, cause.query.count("=")) == (1, 3)


def test_a_cause_says_how_many_e_mails_a_retry_sends(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(consequences._emails_by_processor, "sample.succeed", 2)
    for _ in range(3):
        make_job("failed", cause=SMTP)
    assert "A retry sends up to 6 e-mails." in text_of(admin_client.get(CAUSES))


def test_hostile_causes_are_shown_and_not_obeyed(admin_client: Client) -> None:
    make_job("failed", cause=HOSTILE)
    assert _shown(admin_client.get(CAUSES)) == [(HOSTILE, 1)]
    assert "<script>alert" not in text_of(admin_client.get(CAUSES))


# Muting -------------------------------------------------------------------------------------------


def _post(client: Client, action: str, cause: str = SMTP) -> list[str]:
    response = client.post(CAUSES, {"action": action, "cause": cause}, follow=True)
    return [str(message) for message in response.context["messages"]]


def test_a_muted_cause_is_listed_apart(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    assert _post(admin_client, "mute") == [f"{SMTP} is muted."]
    response = admin_client.get(CAUSES)
    assert (_shown(response), _shown(response, "muted")) == ([], [(SMTP, 1)])
    assert "muted by admin" in text_of(response)


def test_a_muted_cause_does_not_count_among_what_is_wrong(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    _post(admin_client, "mute")
    assert muted_causes("default") == {SMTP}
    assert admin_client.get(FAILED).context["causes"] == []


def test_a_cause_is_unmuted(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    _post(admin_client, "mute")
    assert _post(admin_client, "unmute") == [f"{SMTP} is not muted any more."]
    assert _shown(admin_client.get(CAUSES)) == [(SMTP, 1)]


def test_muting_is_written_down_once(admin_client: Client) -> None:
    _post(admin_client, "mute")
    assert _post(admin_client, "mute") == ["Nothing was changed: that was so already."]
    [entry] = LogEntry.objects.filter(content_type__model="cause")
    assert (entry.object_id, entry.change_message) == (SMTP, "Mute: its failures do not count")


@pytest.mark.parametrize(
    ("action", "cause"),
    [("mute", ""), ("mute", "(unknown cause)"), ("mute", "x" * 300), ("mute", "a\x00b"), ("x", SMTP)],
)
def test_what_cannot_be_muted_is_refused(admin_client: Client, action: str, cause: str) -> None:
    assert len(_post(admin_client, action, cause)) == 1
    assert not Cause.objects.filter(muted_at__isnull=False).exists()


def test_the_history_of_a_cause_that_no_database_holds_is_not_there(admin_client: Client) -> None:
    assert admin_client.get(f"{CAUSES}a_00b/history/").status_code == 404


def test_muting_takes_a_permission_of_its_own() -> None:
    client = operator("view_job", "retry_job")
    assert client.post(CAUSES, {"action": "mute", "cause": SMTP}).status_code == 403
    assert (
        operator("view_job", "mute_cause", username="other")
        .post(CAUSES, {"action": "mute", "cause": SMTP})
        .status_code
        == 302
    )


@pytest.mark.parametrize("is_muted", [False, True], ids=["mute", "unmute"])
@pytest.mark.parametrize(
    ("role", "status"),
    [("anonymous", 302), ("staff", 403), ("viewer", 403), ("operator", 302), ("superuser", 302)],
)
def test_who_mutes_a_cause_and_ends_that(role: str, status: int, is_muted: bool) -> None:
    Cause.objects.create(name=SMTP, muted_at=database_now("default") if is_muted else None)
    said = {"action": "unmute" if is_muted else "mute", "cause": SMTP}
    assert client_of(role).post(CAUSES, said).status_code == status
    is_changed = role in ("operator", "superuser")
    assert (SMTP in muted_causes("default")) == (is_muted != is_changed)
    assert LogEntry.objects.exists() == is_changed


def test_who_may_only_look_is_offered_nothing() -> None:
    make_job("failed", cause=SMTP)
    assert 'name="action"' not in text_of(operator("view_job").get(CAUSES))


def test_the_page_takes_a_bounded_number_of_queries(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        make_job("failed", cause=f"Error{number}")
    with django_assert_max_num_queries(15):
        admin_client.get(CAUSES)
