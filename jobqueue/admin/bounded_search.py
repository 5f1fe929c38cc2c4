"""Searches that end: what is looked for is short, whoever asks.

Django looks for each word in each field of a list, so that a search of 1,900 words took the site 30 s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

if TYPE_CHECKING:
    SearchedAdmin = admin.ModelAdmin[Any]
else:
    SearchedAdmin = admin.ModelAdmin

LONGEST_SEARCH = 200
MOST_WORDS = 10

Found = tuple[QuerySet[Any], bool]
Search = TypeVar("Search", bound=Callable[..., Found])


def why_not_searched(text: str) -> str:
    """Why nothing is looked for, for the user to read; empty for a search that is short enough."""
    if len(text) <= LONGEST_SEARCH and len(text.split()) <= MOST_WORDS:
        return ""
    return gettext(
        "Nothing was looked for: a search may have at most %(words)d words and %(characters)d characters."
    ) % {"words": MOST_WORDS, "characters": LONGEST_SEARCH}


def _guarded(search: Search) -> Search:
    @wraps(search)
    def guarded(pages: Any, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Found:
        refusal = why_not_searched(search_term)
        if not refusal:
            return search(pages, request, queryset, search_term)
        tell_once(request, refusal)
        return queryset.none(), False

    return cast(Search, guarded)


def tell_once(request: HttpRequest, refusal: str) -> None:
    """Tell the user why nothing was looked for; once a request: a list asks for its rows more than once."""
    if refusal not in (str(message) for message in getattr(request, "_messages", ())):
        messages.warning(request, refusal, fail_silently=True)


class BoundedSearch(SearchedAdmin):
    """A list whose search box takes what a person would type; so do those of its subclasses."""

    get_search_results = _guarded(admin.ModelAdmin.get_search_results)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "get_search_results" in cls.__dict__:
            cls.get_search_results = _guarded(cls.__dict__["get_search_results"])
