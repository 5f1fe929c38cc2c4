"""Every moment on every page is exact, has its zone, and says how far from now it is."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User
from django.test import Client

from settlements.models import Settlement
from tests.browser import scene

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]

_MONTHS = "Jan|Feb|March|April|May|June|July|Aug|Sept|Oct|Nov|Dec"
_OF_DJANGO = re.compile(rf"\b(?:{_MONTHS})[a-z]*\.? \d{{1,2}}, \d{{4}}\b")
_EXACT = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?P<rest>[:\d.]*(?P<zone> ?(?:[A-Z]{2,5}|[+-]\d\d:?\d\d))?)"
)
_ALONE = re.compile(rf"^{_EXACT.pattern}$")
_TOLD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]{2,5} · (now|in \d+ \w+|\d+ \w+ ago)$")

# Not sentences of ours, or what bars of a chart are called: exact and with the zone, and no elements.
_UNREAD = ("script", "style", "pre", "code", "option", "textarea", "svg")


class Moments(HTMLParser):
    """What of a page is a moment and is not told as the others are."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self._time: list[str] | None = None
        self._unread = ""
        self._is_length = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        if tag == "time":
            self._time = []
            self._is_length = ("class", "jq-length") in attrs
            if not dict(attrs).get("datetime"):
                self.faults.append("a <time> without its moment")
        elif not self._unread and (tag in _UNREAD or ("class", "jq-chart-table") in attrs):
            self._unread = tag

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        if tag == self._unread:
            self._unread = ""
        if tag == "time" and self._time is not None:
            told = "".join(self._time)
            if not self._is_length and not _TOLD.match(told):
                self.faults.append(told)
            self._time = None

    def handle_data(self, data: str) -> None:
        """A text: a moment that stands for itself is a <time>, one within a sentence has its zone."""
        if self._time is not None:
            self._time.append(data)
        elif not self._unread:
            text = data.strip()
            zoneless = [found[0] for found in _EXACT.finditer(text) if not found["zone"]]
            if _OF_DJANGO.search(text) or _ALONE.match(text) or zoneless:
                self.faults.append(text)


def test_each_page_tells_every_moment_alike(
    settlement: Settlement, payer: User, admin_client: Client
) -> None:
    found = {}
    for name, address in scene.pages_of(scene.build(settlement, payer)).items():
        if name == "user":  # its form, and what it tells of logins, is Django's
            continue
        answer = admin_client.get(address, follow=True)
        if answer["Content-Type"].startswith("text/html") and (
            faults := Moments(answer.content.decode()).faults
        ):
            found[name] = faults[:5]
    assert not found, "\n".join(f"{name}: {faults}" for name, faults in found.items())


@pytest.mark.parametrize(
    "text",
    [
        "<td>Nov. 27, 2026, 1:20 p.m.</td>",
        "<td>2026-11-27 13:20:05 UTC</td>",
        "<p>It runs at 2026-11-27 13:20.</p>",
        '<time datetime="2026-11-27T13:20:05+00:00">3 min ago</time>',
        "<time>2026-11-27 13:20:05 UTC · now</time>",
    ],
)
def test_a_moment_that_is_told_otherwise_is_found(text: str) -> None:
    assert Moments(text).faults


@pytest.mark.parametrize(
    "text",
    [
        '<time datetime="2026-11-27T13:20:05Z">2026-11-27 13:20:05 UTC · <small>3 min ago</small></time>',
        "<p>Move: 2026-11-27 13:20:05 UTC → 2026-11-28 13:20:05 CET</p>",
        "<h2>Fri 2026-11-27</h2>",
    ],
)
def test_a_moment_that_is_told_well_is_none(text: str) -> None:
    assert not Moments(text).faults
