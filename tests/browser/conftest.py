"""A real Chromium, and the site in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.chromium import chromium
from tests.browser.heard import Heard

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django.live_server_helper import LiveServer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the tests of a file."""
    with pytest.MonkeyPatch.context() as patch, chromium() as started:
        # Playwright keeps an event loop in this thread; Django would refuse to use the database beside it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield started


@pytest.fixture(autouse=True)
def heard(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """Listens to every page that a test opens, by whatever way; an error in one fails the test."""
    heard, make = Heard(), browser.new_context

    def new_context(*, base_url: str, **options: Any) -> BrowserContext:
        context = make(base_url=base_url, **options)
        heard.listen(context, base_url)
        return context

    monkeypatch.setattr(browser, "new_context", new_context)
    yield heard
    assert heard.take() == []
    assert heard.missing() == []


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer, admin_user: User, client: Any) -> Iterator[Any]:
    """Opens pages of the site, logged in as a superuser."""
    client.force_login(admin_user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    contexts: list[Any] = []

    def start(path: str, *, width: int = 1400, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            base_url=live_server.url,
            locale="en-GB",
        )
        contexts.append(context)
        context.add_cookies([cookie])
        page: Page = context.new_page()
        page.goto(path)
        return page

    yield start
    for context in contexts:
        context.close()
