"""Which pages of the operators' console are timed: every list that there is, in the admin and in the API."""

from __future__ import annotations

import re

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from benchmarks.console_pages import PAGES
from tests.jobqueue.admin.every_page import STATUSES

_LISTS = [reverse(f"admin:{name}") for name in STATUSES if name.endswith("_changelist")]


def _timed() -> set[str]:
    return {page.address.partition("?")[0] for page in PAGES}


def test_every_list_of_the_admin_is_timed() -> None:
    assert sorted(set(_LISTS) - _timed()) == []


def test_every_list_of_the_api_is_timed() -> None:
    router = [one for one in get_resolver().url_patterns if isinstance(one, URLResolver)]
    names = {
        str(pattern.name)
        for resolver in router
        for pattern in resolver.url_patterns
        if isinstance(pattern, URLPattern) and re.fullmatch(r"api-\w+-list", str(pattern.name))
    }
    timed = {address.rstrip("/") for address in _timed()}
    assert [name for name in sorted(names) if reverse(name).rstrip("/") not in timed] == []
    assert len(names) > 8


def test_each_page_has_a_key_of_its_own() -> None:
    keys = [page.key for page in PAGES]
    assert len(keys) == len(set(keys))
