"""Every page that is kept up to date answers with its regions alone, and not again where nothing changed."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobqueue.admin import listing
from jobqueue.models import BulkAction, Job
from jobqueue.sql.clock import database_now
from settlements.models import Payment, Settlement
from tests.browser import scene
from tests.jobqueue.admin.steps import JOBS, STUCK, make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
ASKED = {"X-Jobqueue-Live": "1"}
REGION = re.compile(r"<(?P<element>\w+) id=\"(?P<id>[\w-]+)\"[^>]* data-region-seconds=\"\d+\"[^>]*>")
URL = re.compile(r'data-region-url="([^"]+)"')
# Forms, questions, what is over, and what takes long to add up.
NOT_LIVE = re.compile(
    r"_(add|delete|copy|move|preview|stop|history|change|simulation|concerned)$|"
    r"^(index|move of one|hold of a day|settlements_simulation|jobqueue_job_calendar_change)$"
)
_RECORDS = ("settlement", "payment", "discrepancy", "barredaddress", "emaildelivery", "reminderdelivery")
LIVE_THOUGH = {
    "jobqueue_bulkaction_change",
    *(f"settlements_{model}_change" for model in _RECORDS),
}
MOVES = {"jobqueue_job_running", "job that is active"}  # how long a job runs is told to the tenth


@pytest.fixture
def pages(settlement: Settlement, payer: User) -> dict[str, str]:
    """The addresses of all pages, by their names."""
    return scene.pages_of(scene.build(settlement, payer))


def regions_of(text: str) -> list[str]:
    """The ids of the regions of a page."""
    return [found["id"] for found in REGION.finditer(text)]


def _by_address(text: str, own: str) -> dict[str, list[str]]:
    """The ids of the regions of a page, by where each is asked for."""
    found: dict[str, list[str]] = {}
    for region in REGION.finditer(text):
        url = URL.search(region[0])
        found.setdefault(url[1] if url else own, []).append(region["id"])
    return found


@pytest.mark.one_database
def test_each_page_that_is_no_form_is_live_and_asks_for_its_regions_alone(
    admin_client: Client, pages: dict[str, str]
) -> None:
    # Waits are told to the second in their first minute, and a busy machine takes one for each answer.
    Job.objects.due().update(run_at=F("run_at") - timedelta(minutes=10))
    wrong = {}
    for name, address in pages.items():
        page = admin_client.get(address, follow=True)
        text = page.content.decode()
        regions = regions_of(text)
        if not regions:
            if not NOT_LIVE.search(name) or name in LIVE_THOUGH:
                wrong[name] = "is not live"
            continue
        own = page.request["PATH_INFO"] + "?" + page.request["QUERY_STRING"]
        for asked, parts in _by_address(text, own).items():
            get = partial(admin_client.get, asked)
            wrong[f"{name}: {asked}"] = _fault_of(get, parts, may_move=name in MOVES)
    assert {name: fault for name, fault in wrong.items() if fault} == {}


def _fault_of(ask: partial[Any], regions: list[str], *, may_move: bool) -> str:
    first = ask(headers=ASKED)
    text = first.content.decode()
    again = ask(headers=ASKED | {"If-None-Match": first.headers.get("ETag", "none")})
    if again.status_code == 200:  # a sentence may have told the minute between the two
        again = ask(headers=ASKED | {"If-None-Match": again.headers.get("ETag", "none")})
    if regions_of(text) != regions:
        return f"answers with {regions_of(text)} in place of {regions}"
    if "<html" in text or "nav-sidebar" in text or "messagelist" in text:
        return "answers with the whole page"
    if ASKED.items() - dict(first.headers).items() or "X-Jobqueue-Live" not in first.headers["Vary"]:
        return "does not say that it is no page"
    if "ETag" not in first.headers:
        return "has no ETag"
    if (again.status_code, again.content) != (304, b"") and not may_move:
        return f"answers again with {again.status_code}"
    return ""


def test_to_ask_for_a_region_writes_nothing(admin_client: Client, pages: dict[str, str]) -> None:
    written = {}
    for name, address in pages.items():
        with CaptureQueriesContext(connections["default"]) as first:
            admin_client.get(address, headers=ASKED)
        written[name] = [each["sql"] for each in first if _writes(each["sql"])]
    assert {name: statements for name, statements in written.items() if statements} == {}


def _writes(sql: str) -> bool:
    return sql.lstrip().split(" ", 1)[0] in ("INSERT", "UPDATE", "DELETE")


@pytest.mark.one_database
def test_a_region_needs_the_same_permission_as_its_page(client: Client, pages: dict[str, str]) -> None:
    for role in (client, operator()):
        other = {
            name: (role.get(address, headers=ASKED).status_code, role.get(address).status_code)
            for name, address in pages.items()
        }
        assert {name: both for name, both in other.items() if both[0] != both[1]} == {}


def test_the_timeline_of_a_settlement_needs_the_permission_to_see_settlements(
    settlement: Settlement,
) -> None:
    address = f"/admin/settlements/settlement/{settlement.pk}/timeline/"
    assert operator("view_job").get(address, headers=ASKED).status_code == 403
    reader = operator("settlements.view_settlement", username="reader")
    assert "jq-timeline-now" in text_of(reader.get(address, headers=ASKED))


def test_the_head_of_a_settlement_follows_its_record(admin_client: Client, settlement: Settlement) -> None:
    page = text_of(admin_client.get(f"/admin/settlements/settlement/{settlement.pk}/change/"))
    head = re.search(r'<div id="jq-record-now"[^>]* data-region-url="([^"]+)"', page)
    assert head is not None and "jq-move-cancel" in page
    Settlement.objects.update(status="completed", decided_status="completed", decision_reason="paid in cash")
    now = text_of(admin_client.get(head[1], headers=ASKED)).partition('id="jq-timeline-now"')[0]
    assert "jq-badge jq-completed" in now and "paid in cash" in now
    assert "jq-jobs-now" in page.partition("jq-timeline-now")[2]
    assert "jq-move-cancel" not in now and "jq-move-reopen" in now and "settlement_form" not in now


def test_the_page_of_a_payment_renews_what_stands_around_its_form(
    admin_client: Client, pages: dict[str, str]
) -> None:
    address = pages["settlements_payment_change"]
    assert "payment_form" in text_of(admin_client.get(address))
    Payment.objects.update(status="failed")
    now = text_of(admin_client.get(address, headers=ASKED))
    assert regions_of(now) == ["jq-record-now", "jq-jobs-now"]
    assert "jq-badge jq-failed" in now and "payment_form" not in now


@pytest.mark.parametrize("name", ["settlements_payment_change", "jobqueue_queue_change"])
def test_who_may_change_nothing_of_a_record_sees_its_fields_as_they_are_now(
    pages: dict[str, str], name: str
) -> None:
    viewer = operator("view_queue", "settlements.view_payment")
    assert "jq-fields-now" in regions_of(text_of(viewer.get(pages[name], headers=ASKED)))


@pytest.mark.parametrize("state", ["failed", "active", "delayed", "stuck"])
def test_that_time_passes_is_no_change(
    admin_client: Client, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(state, timeout=600)
    address = f"{JOBS}?state={state}" if state != "stuck" else STUCK
    first = admin_client.get(address, headers=ASKED)
    later = database_now("default") + timedelta(seconds=25)
    monkeypatch.setattr(listing, "database_now", lambda using: later)
    assert admin_client.get(address).content != first.content
    again = admin_client.get(address, headers=ASKED | {"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_a_row_that_changes_is_a_change(admin_client: Client) -> None:
    job = make_job()
    first = admin_client.get(JOBS, headers=ASKED)
    Job.objects.filter(pk=job.pk).update(state="failed", reason="no route")
    again = admin_client.get(JOBS, headers=ASKED | {"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    assert again.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("state", ["failed", "cancelled", "completed"])
def test_the_page_of_a_job_that_has_ended_shows_that_somebody_retried_it(
    admin_client: Client, state: str
) -> None:
    job = make_job(state)
    address = f"{JOBS}{job.pk}/change/"
    first = admin_client.get(address, headers=ASKED)
    Job.objects.filter(pk=job.pk).update(state="active", started_at=Now(), reason="")
    again = admin_client.get(address, headers=ASKED | {"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    assert regions_of(text_of(first)) == regions_of(text_of(again))
    assert regions_of(text_of(first))[:2] == ["jq-job-state", "jq-job-now"]


def test_a_page_behind_the_first_stays_where_it_is_and_one_with_a_number_is_not_live(
    admin_client: Client,
) -> None:
    for _ in range(53):
        make_job()
    ways = admin_client.get(JOBS).context["cl"].ways
    older = f"{JOBS}{next(way.url for way in ways if way.label == 'Older')}"
    first = admin_client.get(older, headers=ASKED)
    make_job()
    again = admin_client.get(older, headers=ASKED)
    assert [job.pk for job in again.context["cl"].result_list] == [
        job.pk for job in first.context["cl"].result_list
    ]
    assert regions_of(text_of(again))
    assert regions_of(text_of(admin_client.get(f"{JOBS}?p=2"))) == []


def test_the_messages_wait_for_the_next_page(admin_client: Client) -> None:
    job = make_job()
    data = {"action": "cancel", "confirmed": "cancel", "_selected_action": [str(job.pk)]}
    admin_client.post(JOBS, data)
    admin_client.get(JOBS, headers=ASKED)
    assert "1 job cancelled." in text_of(admin_client.get(JOBS))


def test_a_bulk_action_that_has_ended_is_not_asked_for_again(
    admin_client: Client, pages: dict[str, str]
) -> None:
    assert regions_of(text_of(admin_client.get(pages["jobqueue_bulkaction_change"])))
    BulkAction.objects.update(ended_at=timezone.now())
    assert regions_of(text_of(admin_client.get(pages["jobqueue_bulkaction_change"]))) == []
