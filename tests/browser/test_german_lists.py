"""Every list in both languages, for German has longer words: nothing is cut, or scrolled to sideways."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser, Page

from jobqueue.models import Worker
from settlements.models import Settlement
from tests.browser import looks, scene
from tests.jobqueue.admin.every_page import STATUSES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
# The page, and what of it scrolls by itself.
_CUT = """() => [document.documentElement, ...document.querySelectorAll("#changelist .results, .jq-scroll")]
  .filter(each => !each.querySelector(".jq-chart-table") || each === document.documentElement)
  .filter(each => each.scrollWidth > each.clientWidth)
  .map(each => `${each.className || each.tagName} ${each.scrollWidth} > ${each.clientWidth}`)"""


@pytest.fixture
def busy_worker(settlement: Settlement, payer: User) -> None:
    """Something in every list, and a worker of five queues whose version has a name."""
    scene.build(settlement, payer)
    queues = ["email", "reminders", "settlement", "notifications", "default"]
    Worker.objects.update(
        queues=queues, version="2026-11-28-release-candidate", hostname="worker-7.example.com"
    )
    worker = Worker.objects.filter(takes_orders=True).values().get()
    Worker.objects.create(**worker | {"id": uuid.uuid4(), "pid": 4712, "memory": 234 * 2**20})


@pytest.mark.parametrize("locale", ["de-DE", "en-GB"])
def test_lists_fit_their_window(
    browser: Browser, live_server: Any, client: Any, admin_user: User, busy_worker: None, locale: str
) -> None:
    client.force_login(admin_user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    context = browser.new_context(base_url=live_server.url, locale=locale)
    context.add_cookies([cookie])
    page = context.new_page()
    lists = [f"{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry]
    lists.append("jobqueue_job_running")
    faults = [fault for name in lists if STATUSES.get(name) for fault in _faults(page, name)]
    context.close()
    assert faults == []


def _faults(page: Page, name: str) -> list[str]:
    page.goto(reverse(f"admin:{name}"))
    found = []
    for width in (looks.WIDE, looks.NARROW):
        page.set_viewport_size({"width": width, "height": looks.HEIGHT})
        found += [f"{name} at {width} px: {fault}" for fault in page.evaluate(_CUT)]
    return found
