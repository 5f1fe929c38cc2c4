"""Pages of the site that are kept up to date, in a real browser: lists, their actions, who is logged out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from jobqueue.models import Job
from jobqueue.models.pauses import pause, resume
from jobqueue.sql.clock import database_now
from settlements.addresses import bar
from settlements.models import BarredAddress, Settlement
from tests.jobqueue.admin.steps import make_job
from tests.jobqueue.models.test_bulk import ask, walk

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
NOW = "() => document.dispatchEvent(new Event('visibilitychange'))"


def _look(page: Page) -> None:
    """As when the tab is shown again: nobody waits for four seconds."""
    with page.expect_response(lambda answer: "x-jobqueue-live" in answer.request.headers):
        page.evaluate(NOW)


def test_a_new_row_can_be_chosen_and_counted_like_those_that_were_there(open_page: Any) -> None:
    make_job("failed")
    page = open_page("/admin/jobqueue/job/?state=failed")
    make_job("failed")
    _look(page)
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    expect(page.locator("[data-live-said]")).to_have_text("2 jobs")
    expect(page).to_have_title(re.compile(r"^\(2\+\) "))
    expect(page.locator("#toolbar")).to_contain_text("2 results")
    page.locator("#action-toggle").check()
    expect(page.locator(".action-select:checked")).to_have_count(2)
    expect(page.locator(".action-counter")).to_have_text("2 of 2 selected")
    Job.objects.all().delete()
    page.evaluate(NOW)
    expect(page.locator("[data-live-state]")).to_contain_text("waits while")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)


def test_an_empty_list_gets_rows_with_actions(open_page: Any) -> None:
    page = open_page("/admin/jobqueue/job/")
    expect(page.locator(".jq-none")).to_be_visible()
    make_job()
    _look(page)
    page.locator(".action-select").check()
    expect(page.locator(".action-counter")).to_have_text("1 of 1 selected")


def test_a_pause_by_somebody_else_and_its_end_are_shown_on_an_open_page(open_page: Any) -> None:
    page = open_page("/admin/jobqueue/job/")
    pause("email", by="alice", reason="mail server")
    _look(page)
    expect(page.locator("#jq-banner")).to_contain_text("email is paused by alice")
    expect(page.locator("[data-live-said]")).to_contain_text("email is paused.")
    resume("email")
    _look(page)
    expect(page.locator("#jq-banner")).to_have_count(0)
    expect(page.locator("[data-live-said]")).to_contain_text("Nothing is paused.")


def test_a_bulk_action_that_has_ended_is_looked_at_until_its_jobs_have(open_page: Any) -> None:
    make_job("failed")
    action = ask()
    walk(action)
    page = open_page(f"/admin/jobqueue/bulkaction/{action.pk}/change/")
    expect(page.locator("#jq-bulk-progress")).to_contain_text("1 waiting")
    Job.objects.update(state="failed", finished_at=database_now("default"))
    _look(page)
    expect(page.locator("#jq-bulk-progress")).to_contain_text("1 failed again")
    expect(page.locator("[data-live-state]")).to_have_text("Nothing changes here any more.")
    expect(page.locator("[data-live-said]")).to_have_text("It has ended. 1 failed again")


def test_who_is_logged_out_sees_what_was_there_and_is_told(open_page: Any) -> None:
    make_job()
    page = open_page("/admin/jobqueue/job/")
    Session.objects.all().delete()
    page.evaluate(NOW)
    expect(page.locator("[data-live-state]")).to_contain_text("you are logged out")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.locator("#id_username")).to_have_count(0)


def test_the_letters_of_a_user_go_on_beside_a_form_that_is_filled_in(
    open_page: Any, settlement: Settlement
) -> None:
    payer = settlement.payer
    page = open_page(f"/admin/auth/user/{payer.pk}/change/")
    page.fill("#id_first_name", "half a na")
    page.locator("h1").click()
    page.evaluate("() => document.activeElement.blur()")
    bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")
    expect(page.locator(".jq-letters")).to_contain_text("Letters go out to")
    _look(page)
    expect(page.locator(".jq-letters")).to_contain_text("paused since")
    expect(page.locator("#id_first_name")).to_have_value("half a na")


def test_head_and_timeline_of_a_settlement_go_on_beside_a_form_that_is_filled_in(
    open_page: Any, settlement: Settlement
) -> None:
    page = open_page(f"/admin/settlements/settlement/{settlement.pk}/change/")
    page.fill("#id_description", "half a sent")
    page.locator("h1").click()
    page.evaluate("() => document.activeElement.blur()")
    make_job("failed", subject=f"settlements.settlement:{settlement.pk}", processor="sample.marked")
    Settlement.objects.update(status="completed", decided_status="completed")
    expect(page.locator("#jq-move-cancel")).to_be_visible()
    _look(page)
    expect(page.locator("#timeline")).to_contain_text("sample.marked")
    expect(page.locator("#jq-record-now .jq-standing")).to_contain_text("completed")
    expect(page.locator("#jq-move-cancel")).to_have_count(0)
    expect(page.locator("#id_description")).to_have_value("half a sent")
