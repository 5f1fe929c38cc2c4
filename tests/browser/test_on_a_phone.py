"""What a phone leaves room for: the head of a page, what is searched, and what lines of a chart are."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobqueue.models import Queue
from settlements.models import Settlement
from tests.browser import looks
from tests.jobqueue.admin.steps import make_job

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
_MOST_OF_THE_HEAD = 130
"""Pixels that the name of the site, who is logged in and the ways out take of a page."""


@pytest.fixture
def phone(open_page: Any) -> Any:
    """Opens pages as a phone shows them."""
    return lambda address: open_page(address, width=looks.NARROW)


def _box(page: Page, selector: str) -> Any:
    return page.locator(selector).first.bounding_box()


def test_who_is_logged_in_and_the_ways_out_take_one_line(phone: Any) -> None:
    page = phone(reverse("admin:app_list", args=["jobqueue"]))
    assert _box(page, "#header")["height"] <= _MOST_OF_THE_HEAD
    assert looks.small(page, looks.NARROW) == []


def test_what_was_searched_for_keeps_its_room_beside_what_was_found(phone: Any) -> None:
    page = phone(f"{reverse('admin:jobqueue_job_changelist')}?q=error:refused")
    assert _box(page, "#searchbar")["width"] > looks.NARROW / 2


def test_the_lines_of_a_chart_have_their_values(phone: Any) -> None:
    page = phone(reverse("admin:jobqueue_charts_changelist"))
    for value in page.locator(".jq-chart").first.locator(".jq-chart-again").all():
        place = value.bounding_box()
        assert place is not None
        assert 0 < place["x"] < place["x"] + place["width"] < looks.NARROW


def test_a_queue_has_its_state_and_its_button_in_a_line_of_their_own(phone: Any) -> None:
    Queue.objects.create(name="email")
    page = phone(reverse("admin:jobqueue_queue_changelist"))
    state, name = (_box(page, f"#result_list .field-{each}") for each in ("switch", "name"))
    assert state["y"] >= name["y"] + name["height"] - 1


def test_the_number_of_an_attempt_is_told_as_one(phone: Any, settlement: Settlement) -> None:
    job = make_job("completed", subject=f"settlements.settlement:{settlement.pk}")
    page = phone(reverse("admin:settlements_settlement_change", args=[settlement.pk]))
    number = page.locator(".jq-panel tr", has_text=f"#{job.pk}").locator(".jq-attempt-number")
    expect(number).to_be_visible()
    assert number.evaluate("node => getComputedStyle(node, '::before').content") == '"attempt "'
