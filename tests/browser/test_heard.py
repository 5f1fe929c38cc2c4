"""What goes wrong beside what a test looks at is heard, in every page that it opens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.heard import Heard

pytestmark = pytest.mark.browser
SITE = "http://site.invalid"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a site that answers everything but `/broken`."""
    context = browser.new_context(base_url=SITE)
    context.route("**/*", lambda route: route.fulfill(body="<title>Page</title>", content_type="text/html"))
    context.route("**/broken", lambda route: route.fulfill(status=503, body="no"))
    page = context.new_page()
    page.goto("/page")
    yield page
    context.close()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("() => console.error('of no use')", ["console: of no use"]),
        ("() => { setTimeout(() => { throw new Error('of no use'); }); }", ["error: of no use"]),
        ("() => fetch('/broken').then(() => 1)", [f"status of 503: {SITE}/broken"]),
        (
            "() => fetch('http://elsewhere.invalid/x', {mode: 'no-cors'}).then(() => 1)",
            ["asked elsewhere: http://elsewhere.invalid/x"],
        ),
        ("() => console.log('of use')", []),
        ("() => fetch('/page').then(() => 1)", []),
    ],
)
def test_what_goes_wrong_is_heard(page: Page, heard: Heard, script: str, told: list[str]) -> None:
    page.evaluate(script)
    page.evaluate("() => new Promise(done => setTimeout(done))")
    heard_of = [text for text in heard.take() if "Failed to load resource" not in text]
    assert heard_of == told


def test_what_is_allowed_must_happen(page: Page, heard: Heard) -> None:
    heard.allow("of no use")
    assert heard.take() == []
    assert heard.missing() == ["of no use"]
    page.evaluate("() => console.error('of no use')")
    assert heard.take() == []
    assert heard.missing() == []
