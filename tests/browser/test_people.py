"""Letters, people and the calendar in a real browser: what an operator is asked on the telephone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import MovedReminder, Settlement
from tests.browser.keyboard import go, press, skip, write, write_moment
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
CALENDAR = "/admin/jobqueue/job/calendar/"


@pytest.fixture(autouse=True)
def _no_night(settings: DjangoSettings) -> None:
    """Whatever the hour, the initial reminder goes out at once."""
    settings.SETTLEMENTS = domain_settings()


def _fits(page: Page, name: str) -> bool:
    """Whether nothing has to be scrolled sideways; PICTURES names a folder for pictures of the pages."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def _next_reminder(settlement: Settlement) -> Job:
    run_soon()
    return min(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)


def test_preview_an_e_mail_before_it_goes(open_page: Any, settlement: Settlement) -> None:
    job = _next_reminder(settlement)
    page = open_page(f"/admin/jobqueue/job/{job.pk}/change/")
    skip(page)
    press(page, page.get_by_role("link", name="Preview of the letter"))
    expect(page.locator("#content-main")).to_contain_text("Would be sent")
    expect(page.frame_locator("iframe").locator("body")).to_contain_text("Dinner in Lisbon")


def test_what_goes_out_tomorrow(open_page: Any, settlement: Settlement) -> None:
    job = _next_reminder(settlement)
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now() + timedelta(days=1))
    page = open_page("/admin/jobqueue/")
    skip(page)
    go(page, page.locator("#content").get_by_role("link", name="Calendar", exact=True))
    tomorrow = page.locator(".jq-day").nth(1)
    expect(tomorrow).to_contain_text("Reminder: follow-up")
    skip(page)
    press(page, tomorrow.get_by_role("link", name="Reminder: follow-up"))
    expect(page.locator("#content-main tbody tr")).to_have_count(1)
    expect(page.locator("#content-main tbody")).to_contain_text("Dinner in Lisbon")


@pytest.mark.parametrize("known", ["Alice", "Alice Weber", "alice@home.example"])
def test_why_did_alice_get_no_reminder(open_page: Any, settlement: Settlement, known: str) -> None:
    alice = {"first_name": "Alice", "last_name": "Weber", "email": "alice@home.example"}
    User.objects.filter(pk=settlement.payer_id).update(**alice)
    settlement.reminders_paused = True
    settlement.save()
    run_soon()
    page = open_page("/admin/auth/user/")
    skip(page)
    write(page, page.locator("#searchbar"), known)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    go(page, page.get_by_role("link", name="payer"))
    skip(page)
    press(page, page.get_by_role("link", name="why something was not sent"))
    expect(page.locator("#content-main")).to_contain_text("skipped: reminders are paused")


def test_pause_the_letters_to_a_user(open_page: Any, settlement: Settlement) -> None:
    page = open_page(f"/admin/auth/user/{settlement.payer_id}/change/")
    skip(page)
    go(page, page.get_by_role("link", name="Pause letters …"))
    write(page, page.locator("#hold").get_by_label("Reason"), "on holiday")
    go(page, page.get_by_role("button", name="Pause letters to this person"))
    expect(page.locator(".messagelist .success")).to_contain_text("Letters to this address are paused.")


def test_the_icons_of_the_boxes_for_groups_have_a_role(open_page: Any, settlement: Settlement) -> None:
    page = open_page(f"/admin/auth/user/{settlement.payer_id}/change/")
    expect(
        page.get_by_role("img", name=re.compile("filter down the list of available groups"))
    ).to_be_visible()


def test_a_long_name_is_not_cut_on_a_phone(
    open_page: Any, make_settlement: Callable[..., Settlement]
) -> None:
    settlement = make_settlement(description="The rent of March for the flat " * 3)
    run_soon()
    page = open_page(f"/admin/auth/user/{settlement.payer_id}/letters/", width=390)
    name = page.locator(".jq-scroll td a").filter(has_text=settlement.description.strip()).first
    expect(name).to_be_visible()
    assert name.evaluate("node => node.getBoundingClientRect().right <= innerWidth")


def _move(page: Page, job: Job, target: datetime) -> None:
    """From the day of the reminder, by the question that it leads to."""
    page.goto(f"{CALENDAR}{timezone.localtime(job.run_at):%Y-%m-%d}/")
    skip(page)
    go(page, page.get_by_role("row", name=f"#{job.pk}").get_by_role("link", name="Move …"))
    skip(page)
    write_moment(page, page.get_by_label("To, in the zone"), target)
    write(page, page.get_by_label("Reason"), "she asked for it")
    go(page, page.get_by_role("button", name="Move: yes, 1 job"))


def _steps(settlement: Settlement) -> list[tuple[str, int]]:
    """The reminders that wait, in the order in which they go out."""
    jobs = sorted(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    return [(job.payload["reminder_type"], job.payload["step"]) for job in jobs]


def test_move_a_reminder_to_next_week(
    open_page: Any, make_settlement: Callable[..., Settlement], settings: DjangoSettings
) -> None:
    follow_ups = {"FOLLOW_UP_AFTER": [timedelta(days=1), timedelta(days=9)]}
    settings.SETTLEMENTS = domain_settings(reminders=follow_ups)
    settlement = make_settlement()
    job = _next_reminder(settlement)
    before, steps = job.run_at, _steps(settlement)
    page = open_page(CALENDAR)

    _move(page, job, timezone.localtime(before) + timedelta(days=9))
    expect(page.get_by_role("alert")).to_contain_text("moves between its neighbours only")
    job.refresh_from_db()
    assert job.run_at == before

    next_week = timezone.localtime(before) + timedelta(days=7)
    _move(page, job, next_week)
    expect(page.locator(".messagelist .success")).to_contain_text("1 job moved.")
    job.refresh_from_db()
    assert job.run_at == next_week.replace(microsecond=0)
    assert MovedReminder.objects.get().run_at == job.run_at
    assert _steps(settlement) == steps


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_fit_their_width(
    open_page: Any,
    settlement: Settlement,
    width: int,
    scheme: str,
) -> None:
    job = _next_reminder(settlement)
    day = f"{CALENDAR}{timezone.localtime(job.run_at):%Y-%m-%d}/"
    page = open_page(CALENDAR, width=width, scheme=scheme)
    for name, url in (
        ("calendar", CALENDAR),
        ("day", day),
        ("move", f"{day}move/?job={job.pk}"),
        ("preview", f"/admin/jobqueue/job/{job.pk}/preview/"),
        ("person", f"/admin/auth/user/{settlement.payer_id}/letters/"),
        ("settlement", f"/admin/settlements/settlement/{settlement.pk}/change/"),
        ("simulation", "/admin/settlements/settlement/simulate/"),
    ):
        page.goto(url)
        assert _fits(page, f"{name}-{width}-{scheme}"), name
