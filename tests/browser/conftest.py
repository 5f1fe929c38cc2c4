"""A real Chromium, and the site in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium

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


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer, admin_user: User, client: Any) -> Iterator[Any]:
    """Opens pages of the site, logged in as a superuser; an error in a page fails the test."""
    client.force_login(admin_user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    contexts: list[Any] = []
    errors: list[str] = []

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
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.extend(_refusals(message.text)))
        page.goto(path)
        return page

    yield start
    for context in contexts:
        context.close()
    assert errors == []


def _refusals(text: str) -> list[str]:
    """What the browser did not load or run because the site's policy forbids it."""
    return [text] if "Content Security Policy" in text else []
