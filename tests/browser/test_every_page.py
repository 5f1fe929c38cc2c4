"""Every page of the console as a person sees it: one walk over the table of pages.

Each is loaded once and looked at light and dark, 1280 and 390 px wide: nothing serious for axe, nothing wider
than the window, nothing too small for a finger, no error in the console, nothing asked of other hosts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.urls import reverse
from playwright.sync_api import Browser, Page

from settlements.models import Settlement
from tests.browser import looks, scene
from tests.browser.heard import Heard
from tests.jobqueue.admin.every_page import STATUSES

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
OK = 200
LEADING_ELSEWHERE = {
    *(f"jobqueue_{model}_change" for model in ("cause", "failedjob")),
    *(f"jobqueue_{model}_change" for model in ("setasidejob", "stuckjob")),
}
"""What the table names and is no page: it leads to one that is looked at under another name."""


@pytest.fixture
def site(settlement: Settlement, payer: User) -> scene.Scene:
    """Something on every page."""
    return scene.build(settlement, payer)


@pytest.fixture
def walk(
    browser: Browser,
    live_server: Any,
    admin_user: User,
    client: Any,
    settings: LazySettings,
    heard: Heard,
) -> Iterator[Walk]:
    """Who walks, logged in as a superuser, where the name of the environment is at the head of each page."""
    settings.JOBQUEUE = settings.JOBQUEUE | {"ENVIRONMENT": "production"}
    client.force_login(admin_user)
    size: Any = {"width": looks.WIDE, "height": 900}
    context = browser.new_context(base_url=live_server.url, viewport=size, locale="en-GB")
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    context.add_cookies([cookie])
    walk = Walk(context.new_page(), heard)
    yield walk
    context.close()


class Walk:
    """A look at one page after the other; what was wrong is said at the end."""

    def __init__(self, page: Page, heard: Heard) -> None:
        self.page = page
        self.faults: list[str] = []
        self._heard = heard

    def go(self, name: str, address: str, *, status: int = OK) -> None:
        """Open the page and look at it; one that leads elsewhere is not looked at."""
        if status != OK:
            self._heard.allow(f"status of {status}")
        answer = self.page.goto(address)
        assert answer is not None
        if answer.request.redirected_from is not None and name in LEADING_ELSEWHERE:
            return
        if answer.status != status:
            self.faults.append(f"{name}: {address} answered {answer.status}")
        self.look(name)

    def small(self, name: str, address: str) -> None:
        """Open the page as a phone shows it, and look for what a thumb would miss."""
        self.page.set_viewport_size({"width": looks.NARROW, "height": looks.HEIGHT})
        self.page.goto(address)
        self.faults += [f"{name}: {fault}" for fault in looks.small(self.page, looks.NARROW)]

    def look(self, name: str) -> None:
        """Look at what is shown."""
        self.faults += [f"{name}: {fault}" for fault in [*self._heard.take(), *looks.faults(self.page)]]


@pytest.mark.parametrize("part", range(scene.PARTS))
def test_every_page(walk: Walk, site: scene.Scene, part: int) -> None:
    for name, address in scene.part_of(scene.pages_of(site), part):
        walk.go(name, address)
    assert not walk.faults, "\n".join(walk.faults)


def test_every_list_of_more_than_one_page(
    walk: Walk, site: scene.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged = set()
    for model, model_admin in admin.site._registry.items():
        monkeypatch.setattr(model_admin, "list_per_page", 1)
        name = f"{model._meta.app_label}_{model._meta.model_name}_changelist"
        if STATUSES.get(name, ())[4:5] == (200,):
            walk.small(name, reverse(f"admin:{name}"))
            paged |= {name} if walk.page.locator(".paginator a").count() else set()
    walk.small("search", f"{reverse('admin:jobqueue_job_changelist')}?q=state:failed")
    assert walk.page.locator(".paginator a").count()
    assert {f"jobqueue_{name}_changelist" for name in ("job", "failedjob")} <= paged
    assert not walk.faults, "\n".join(walk.faults)


def test_every_list_with_nothing_to_show(walk: Walk, admin_user: User) -> None:
    for name in STATUSES:
        if name.endswith("_changelist"):
            walk.go(f"empty {name}", reverse(f"admin:{name}"))
    walk.go("empty overview", reverse("admin:app_list", args=["jobqueue"]))
    assert not walk.faults, "\n".join(walk.faults)


def test_every_question_before_an_action(walk: Walk, site: scene.Scene) -> None:
    page = walk.page
    for model in ("jobqueue_job", "settlements_settlement", "settlements_payment", "settlements_discrepancy"):
        address = reverse(f"admin:{model}_changelist")
        page.goto(address)
        names = page.locator("select[name=action] option").evaluate_all("all => all.map(one => one.value)")
        for name in filter(None, names):
            page.goto(address)
            page.locator(".action-select").first.check()
            page.select_option("select[name=action]", name)
            with page.expect_navigation():
                page.click("button[name=index]")
            if page.locator(".jq-confirm, .delete-confirmation").count():
                walk.look(f"{model} {name}")
    assert not walk.faults, "\n".join(walk.faults)


def test_forms_that_are_refused_and_errors(walk: Walk, site: scene.Scene) -> None:
    page = walk.page
    for name in ("settlements_settlement_add", "settlements_payment_add"):
        page.goto(reverse(f"admin:{name}"))
        page.locator("form").evaluate_all("all => all.forEach(form => { form.noValidate = true; })")
        with page.expect_navigation():
            page.click("input[name=_save]")
        walk.look(f"refused {name}")
    walk.go("not found", "/admin/nothing/", status=404)
    walk.go("unknown job", reverse("admin:jobqueue_job_change", args=["12345678"]), status=404)
    walk.go("not allowed", reverse("admin:jobqueue_job_add"), status=403)
    broken = {"status": 500, "content_type": "text/html", "body": render_to_string("500.html")}
    page.route("**/admin/broken/", lambda route: route.fulfill(**broken))
    walk.go("broken", "/admin/broken/", status=500)
    page.context.clear_cookies()
    walk.go("log in", reverse("admin:login"))
    assert not walk.faults, "\n".join(walk.faults)
