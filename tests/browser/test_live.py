"""The script that keeps pages up to date, in a real browser: what it asks, when, and what it leaves alone.

The page and what the network answers are the test's; the script and the bar are the product's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page, Route, expect

import jobqueue
from tests.browser.heard import Heard

pytestmark = pytest.mark.browser
SITE = "http://site.invalid"
SCRIPT = Path(jobqueue.__file__).parent / "static/jobqueue/live.js"
LOGIN = "<html><title>Log in</title><div id='now'>a form to log in</div></html>"
TURNS = """async () => {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((done) => {
      const way = new MessageChannel();
      way.port1.onmessage = done;
      way.port2.postMessage(0);
    });
  }
}"""
ROWS = """<table><tbody>{}</tbody></table>
  <details id="more"><summary>More</summary>what is folded away</details>
  <p data-live-say>{} rows</p>"""


def region(*rows: str) -> str:
    """A region as the server draws it."""
    lines = "".join(
        f'<tr><td><input type="checkbox" class="action-select" value="{row}"></td>'
        f'<td><a href="/{row}">{row}</a></td></tr>'
        for row in rows
    )
    return f'<div id="now" data-region-seconds="4">{ROWS.format(lines, len(rows))}</div>'


@dataclass
class Network:
    """What is answered to the script, and what it asked."""

    body: str = region("a", "b")
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"X-Jobqueue-Live": "1", "ETag": '"1"'})
    is_away: bool = False
    is_busy: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    def changes_to(self, *rows: str) -> None:
        """From now on these are shown."""
        self.body, self.headers = region(*rows), {**self.headers, "ETag": f'"{len(self.asked)}-{rows}"'}

    def end(self) -> None:
        """What was asked is answered."""
        self.is_busy = False

    def answer(self, route: Route) -> None:
        """The page to who opens it, the region to the script."""
        headers = route.request.headers
        if "x-jobqueue-live" not in headers:
            route.fulfill(body=_page(self.body), content_type="text/html")
            return
        self.asked.append(headers)
        self.is_busy = True
        if self.is_away:
            route.abort()
        elif headers.get("if-none-match", "none") == self.headers.get("ETag"):
            route.fulfill(status=304, headers=self.headers)
        else:
            route.fulfill(status=self.status, body=self.body, content_type="text/html", headers=self.headers)


def _page(body: str) -> str:
    bar = render_to_string("admin/jobqueue/live_bar.html", {"seconds": 4, "ahead": "in {}", "ago": "{} ago"})
    search = '<input id="search" value=""><div style="height: 3000px"></div>'
    return f"<!doctype html><title>Page</title><body>{bar}{body}{search}</body>"


@dataclass
class Opened:
    """The page, its network, and its clock."""

    page: Page
    network: Network

    def wait(self, seconds: float = 4) -> None:
        """So much later, with all that the script does meanwhile."""
        for _ in range(round(2 * seconds)):
            self.page.clock.run_for(500)
            self.page.evaluate(TURNS)  # lets a request that was begun reach the network
            while self.network.is_busy:
                self.page.evaluate(TURNS)
                self.page.evaluate(TURNS)

    def says(self, text: str) -> None:
        """What the bar shows."""
        expect(self.page.locator("[data-live-state]")).to_have_text(re.compile(re.escape(text)))

    @property
    def said(self) -> Any:
        """What is read out."""
        return self.page.locator("[data-live-said]")

    @property
    def links(self) -> Any:
        """The rows that are shown."""
        return self.page.locator("#now a")

    def set_hidden(self, hidden: bool) -> None:
        """As a tab behind others is."""
        self.page.evaluate(
            """(hidden) => {
                 Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
                 document.dispatchEvent(new Event("visibilitychange"));
               }""",
            hidden,
        )


@pytest.fixture
def network() -> Network:
    """A server that answers what it is told to."""
    return Network()


@pytest.fixture
def opened(browser: Browser, network: Network) -> Iterator[Opened]:
    """The page, opened a moment ago."""
    context = browser.new_context(base_url=SITE, locale="en-GB")
    page = context.new_page()
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda _request: network.end())
    page.route("**/*", network.answer)
    page.route("**/live.js", lambda route: route.fulfill(path=SCRIPT, content_type="text/javascript"))
    now = datetime.now(UTC)
    page.clock.install(time=now)
    page.clock.pause_at(now + timedelta(seconds=1))
    page.goto("/page")
    yield Opened(page, network)
    context.close()


def test_what_changed_is_shown_and_read_out_once(opened: Opened, network: Network) -> None:
    network.changes_to("a", "b", "c")
    opened.wait()
    expect(opened.links).to_have_text(["a", "b", "c"])
    expect(opened.said).to_have_text("3 rows")
    opened.page.evaluate("document.querySelector('[data-live-said]').textContent = 'heard'")
    opened.wait(9)
    expect(opened.said).to_have_text("heard")


def test_the_same_is_asked_for_with_its_etag_and_changes_nothing(opened: Opened, network: Network) -> None:
    opened.wait()
    expect(opened.links).to_have_count(2)
    opened.says("Refreshes every 4 s.")
    opened.page.evaluate("document.querySelector('#now a').textContent = 'mine'")
    with opened.page.expect_response(lambda _: True):
        opened.wait()
    opened.says("Refreshes every 4 s.")
    assert network.asked[-1]["if-none-match"] == '"1"'
    expect(opened.links.first).to_have_text("mine")


def test_of_the_title_only_the_number_before_it_is_renewed(opened: Opened, network: Network) -> None:
    opened.page.evaluate("document.title = '(3 of us) Rent'")
    for number in ("(2) ", "(1,000) ", ""):
        network.changes_to("a", number)
        network.body = network.body.replace("<div ", f'<div data-region-title="{number}" ', 1)
        opened.wait()
        expect(opened.page).to_have_title(f"{number}(3 of us) Rent")


def test_what_is_paused_is_renewed_with_the_regions_and_read_out(opened: Opened, network: Network) -> None:
    rows = network.body
    opened.page.evaluate(
        "document.body.insertAdjacentHTML('afterbegin', '<p id=paused data-region-aside=Nothing.></p>')"
    )
    for number, said in enumerate(("email is paused.", "Nothing.")):
        network.body = f'<p id="paused" data-region-aside="{said}">{said * (number == 0)}</p>{rows}'
        network.headers["ETag"] = f'"paused-{number}"'
        opened.wait()
        expect(opened.page.locator("#paused")).to_have_text(said if number == 0 else "")
        expect(opened.said).to_have_text(said)
    expect(opened.links).to_have_text(["a", "b"])


@pytest.mark.parametrize("trouble", ["status", "offline"])
def test_errors_make_it_ask_less_often_until_it_is_answered(
    opened: Opened, network: Network, heard: Heard, trouble: str
) -> None:
    heard.allow("net::ERR_FAILED" if trouble == "offline" else "status of 500")
    network.status, network.is_away = 500, trouble == "offline"
    network.headers = {}
    opened.wait()
    opened.says("could not be refreshed")
    expect(opened.said).to_contain_text("could not be refreshed")
    opened.wait(7.5)
    assert len(network.asked) == 1
    opened.wait(1)
    opened.says("could not be refreshed")
    assert len(network.asked) == 2
    network.status, network.is_away, network.headers = 200, False, {"X-Jobqueue-Live": "1"}
    network.changes_to("a", "b", "c")
    opened.wait(16)
    expect(opened.links).to_have_count(3)
    opened.says("Refreshes every 4 s.")


@pytest.mark.parametrize("answer", ["somebody else's page", "forbidden"])
def test_who_is_logged_out_is_told_and_nothing_is_asked_or_pasted(
    opened: Opened, network: Network, heard: Heard, answer: str
) -> None:
    if answer == "forbidden":
        heard.allow("status of 403")
    network.status, network.body, network.headers = 403 if answer == "forbidden" else 200, LOGIN, {}
    opened.wait()
    opened.says("you are logged out")
    expect(opened.said).to_contain_text("you are logged out")
    expect(opened.links).to_have_text(["a", "b"])
    expect(opened.page.locator("[data-live-switch]")).to_be_hidden()
    opened.wait(120)
    assert len(network.asked) == 1


def test_a_tab_that_nobody_sees_asks_nothing_and_catches_up_when_it_is_shown(
    opened: Opened, network: Network
) -> None:
    opened.set_hidden(True)
    network.changes_to("a", "b", "c")
    opened.wait(60)
    assert network.asked == []
    opened.set_hidden(False)
    expect(opened.links).to_have_count(3)


def test_nothing_is_asked_while_rows_are_chosen(opened: Opened, network: Network) -> None:
    box = opened.page.locator(".action-select").first
    box.check()
    network.changes_to("c", "a", "b")
    opened.wait(30)
    opened.says("waits while something is chosen")
    assert network.asked == []
    box.uncheck()
    opened.wait(5)
    expect(opened.links).to_have_text(["c", "a", "b"])


def test_nothing_is_asked_while_a_search_is_typed(opened: Opened, network: Network) -> None:
    opened.page.locator("#search").fill("half a")
    network.changes_to("c")
    opened.wait(30)
    opened.says("waits while something is chosen or typed")
    assert network.asked == []
    expect(opened.page.locator("#search")).to_be_focused()


def test_a_pause_is_kept_and_remembered_on_the_next_page(opened: Opened, network: Network) -> None:
    opened.page.get_by_role("button", name="Pause refresh").click()
    opened.wait(60)
    opened.says("Refresh is paused.")
    assert network.asked == []
    opened.page.goto("/page/other")
    opened.says("Refresh is paused.")
    opened.wait(60)
    assert network.asked == []
    network.changes_to("a", "b", "c")
    opened.page.get_by_role("button", name="Resume refresh").click()
    expect(opened.links).to_have_count(3)


def test_focus_scroll_and_what_is_open_stay_where_they_are(opened: Opened, network: Network) -> None:
    opened.page.locator("#more summary").click()
    opened.links.nth(1).focus()
    opened.page.evaluate("scrollTo(0, 40)")
    network.changes_to("c", "b")
    opened.wait()
    expect(opened.links).to_have_text(["c", "b"])
    expect(opened.page.locator("#now a[href='/b']")).to_be_focused()
    expect(opened.page.locator("#more")).to_have_attribute("open", "")
    assert opened.page.evaluate("scrollY") == 40


def test_a_row_that_goes_leaves_the_focus_in_its_region(opened: Opened, network: Network) -> None:
    opened.links.first.focus()
    network.changes_to("b")
    opened.wait()
    expect(opened.links).to_have_text(["b"])
    expect(opened.page.locator("#now")).to_be_focused()


@pytest.mark.parametrize(
    ("shown", "before", "after"),
    [
        ('<time datetime="{}">5 s ago</time>', -5, "9 s ago"),
        ('<time datetime="{}">at noon<small>in 30 s</small></time>', 30, "at noonin 26 s"),
        ('<time datetime="{}">90 s</time>', -90, "94 s"),
        ('<time datetime="{}">noon UTC</time>', -90, "noon UTC"),
    ],
)
def test_times_count_on_while_the_server_says_that_nothing_changed(
    opened: Opened, network: Network, shown: str, before: int, after: str
) -> None:
    at = opened.page.evaluate("(before) => new Date(Date.now() + before * 1000).toISOString()", before)
    opened.page.evaluate(
        "(html) => { document.body.insertAdjacentHTML('beforeend', html); }", shown.format(at)
    )
    opened.wait()
    expect(opened.page.locator("time")).to_have_text(re.compile(f"^{re.escape(after)}$"))


def test_what_is_over_is_asked_for_no_more(opened: Opened, network: Network) -> None:
    network.changes_to("a")
    network.body = network.body.replace(' data-region-seconds="4"', "")
    opened.wait()
    opened.says("Nothing changes here any more.")
    opened.wait(60)
    assert len(network.asked) == 1


def test_what_is_asked_for_less_often_by_now_says_so(opened: Opened, network: Network) -> None:
    network.changes_to("a")
    network.body = network.body.replace(' data-region-seconds="4"', ' data-region-seconds="60"')
    opened.wait()
    opened.says("Refreshes every 60 s.")
    opened.wait(30)
    assert len(network.asked) == 1


# What has an address of its own -------------------------------------------------------------------

APART = """<small id="sum" data-region-seconds="60" data-region-url="/apart"{}>{}</small>"""
LEFT_FOR_LATER = APART.format(" data-region-first", "a link")


@dataclass
class Sums:
    """What is answered at the address that takes long, and how often it was asked."""

    asked: int = 0

    def answer(self, route: Route) -> None:
        """The next sum."""
        self.asked += 1
        body = APART.format("", f"sum {self.asked}")
        route.fulfill(body=body, content_type="text/html", headers={"X-Jobqueue-Live": "1", "ETag": '"s"'})


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_takes_long_is_asked_for_once_the_page_is_there_and_then_as_often_as_it_says(
    opened: Opened, network: Network, is_paused: bool
) -> None:
    sums = Sums()
    opened.page.route("**/apart", sums.answer)
    if is_paused:
        opened.page.get_by_role("button", name="Pause refresh").click()
    page = network.body = region("a", "b").replace("</details>", f"</details>{LEFT_FOR_LATER}")
    opened.page.goto("/page")
    place = opened.page.locator("#sum")
    expect(place).to_have_text("sum 1")
    if is_paused:
        return
    network.body = page.replace("2 rows", "still 2 rows")
    network.headers = {**network.headers, "ETag": '"other"'}
    opened.wait(30)
    expect(opened.page.locator("[data-live-say]")).to_have_text("still 2 rows")
    expect(place).to_have_text("sum 1")
    opened.wait(50)  # it says 60; a turn is as late as the answers before it were
    expect(place).to_have_text("sum 2")
    assert sums.asked == 2
