"""No page leads its reader to where he may not go, or to what is not there."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from tests.jobqueue.admin import world
from tests.jobqueue.admin.test_every_page import client_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
_LINK = re.compile(r'<a\b[^>]*\shref="([^"]*)"')
LEFT_OUT = ("/admin/logout/", "/admin/password_change/", "/admin/jsi18n/")


def _links(client: Client, url: str) -> set[str]:
    """Where the page at `url` leads on this site; nothing if there is no page for this reader."""
    answer = client.get(url)
    if answer.status_code != 200 or not answer["Content-Type"].startswith("text/html"):
        return set()
    found = (urljoin(url, unescape(link)) for link in _LINK.findall(answer.content.decode()))
    return {link.partition("#")[0] for link in found if link.startswith("/")}


def _kind(link: str) -> tuple[str, ...]:
    """Of links of one kind, to the same page and with the same questions, one is followed."""
    parts = urlsplit(link)
    try:
        name = resolve(parts.path).view_name
    except Resolver404:
        name = parts.path
    return (name, *sorted(parse_qs(parts.query, keep_blank_values=True)))


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_every_link_of_every_page_leads_somewhere(role: str) -> None:
    here, client = world.build(), client_of(role)
    followed: dict[tuple[str, ...], str] = {}
    led_from: dict[str, str] = {}
    for name in world.names():
        for link in _links(client, world.address(name, here)):
            if not link.startswith(LEFT_OUT) and followed.setdefault(_kind(link), link) == link:
                led_from.setdefault(link, name)
    statuses = {(name, link): client.get(link).status_code for link, name in led_from.items()}
    assert len(statuses) > 30
    assert {one: status for one, status in statuses.items() if status >= 400} == {}
