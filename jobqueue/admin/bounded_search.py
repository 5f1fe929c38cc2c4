"""Searches that end: what is looked for is short, whoever asks.

Django looks for each word in each field of a list, so that a search of 1,900 words took the site 30 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList, ChangeListSearchForm
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext

from jobqueue.searching import LONGEST_SEARCH, why_too_long

if TYPE_CHECKING:
    SearchedAdmin = admin.ModelAdmin[Any]
else:
    SearchedAdmin = admin.ModelAdmin

Found = tuple[QuerySet[Any], bool]
Search = TypeVar("Search", bound=Callable[..., Found])


_REFUSALS = "_refusals_of_search"
_LONGEST_TOLD = 40
LONGEST_WORD = 1_000
"""Characters of any other word of an address: no filter takes a longer one."""


def shorten(request: HttpRequest) -> None:
    """Cut what stands in the address of a page to what can be asked there: each of its links repeats it.

    A search that is too long stays too long by a character, so that the page says it and looks for nothing.
    """
    if not any(_is_long(name, texts) for name, texts in request.GET.lists()):
        return
    address = QueryDict(mutable=True)
    for name, texts in request.GET.lists():
        address.setlist(name[:LONGEST_WORD], [text[: _longest(name)] for text in texts])
    request.GET = address  # type: ignore[assignment]


def _is_long(name: str, texts: Sequence[str]) -> bool:
    return len(name) > LONGEST_WORD or any(len(text) > _longest(name) for text in texts)


def _longest(name: str) -> int:
    return LONGEST_SEARCH + 1 if name == SEARCH_VAR else LONGEST_WORD


def why_not_searched(text: str) -> str:
    """Why nothing is looked for, for the user to read; empty for a search that a database can take."""
    if "\x00" in text:
        return gettext("Nothing was looked for: a search has no character U+0000, only what can be printed.")
    return why_too_long(text)


class _AnyText(ChangeListSearchForm):
    """Takes any text: Django's own form says of a NUL that it is wrong, and the list then shows all rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for searched in self.fields.values():
            searched.validators = []


class BoundedChangeList(ChangeList):
    """A list that finds nothing by a search that cannot be looked for."""

    search_form_class = _AnyText


def _guarded(search: Search) -> Search:
    @wraps(search)
    def guarded(pages: Any, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Found:
        refusal = why_not_searched(search_term)
        if not refusal:
            return search(pages, request, queryset, search_term)
        refuse(request, refusal)
        return queryset.none(), False

    return cast(Search, guarded)


def refuse(request: HttpRequest, refusal: str) -> None:
    """Keep why nothing was looked for, for the list to say: `cl.refusals`.

    No message says it: each renewal of the list would drop that, and say "Nothing is here." in its place.
    """
    kept = vars(request).setdefault(_REFUSALS, [])
    if refusal not in kept:  # a list asks for its rows more than once
        kept.append(refusal)


def tell_once(request: HttpRequest, text: str) -> None:
    """Tell the user what was not looked at; once a request: a list asks for its rows more than once."""
    if text not in (str(message) for message in getattr(request, "_messages", ())):
        messages.warning(request, text, fail_silently=True)


def tell_unreadable(request: HttpRequest, name: str, text: str, allowed: str) -> None:
    """Let the list say that a filter of the address cannot be read, and what is allowed there."""
    words = {"name": name, "allowed": allowed, "text": text[:_LONGEST_TOLD]}
    refusal = gettext("Nothing was looked for: %(name)s may be %(allowed)s, not %(text)s.")
    refuse(request, refusal % words)


class BoundedSearch(SearchedAdmin):
    """A list whose search box takes what a person would type; so do those of its subclasses."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The page's own list, which finds nothing by a search that cannot be looked for."""
        changes = super().get_changelist(request, **kwargs)
        return BoundedChangeList if changes is ChangeList else changes

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, by an address whose words are short enough to be repeated in every link.

        Where nothing was looked for, it says why in place of its rows.
        """
        shorten(request)
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None) or {}
        if "cl" in context:
            context["cl"].refusals = vars(request).get(_REFUSALS, [])
        return response

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *where: Any) -> Any:
        """Do what was chosen. Where nothing was looked for, nothing is meant, and that is said."""
        refusals = vars(request).get(_REFUSALS, [])
        if not refusals:
            return super().response_action(request, queryset, *where)
        for refusal in refusals:
            messages.warning(request, gettext("Nothing was done. %(why)s") % {"why": refusal})
        return HttpResponseRedirect(request.get_full_path())

    get_search_results = _guarded(admin.ModelAdmin.get_search_results)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "get_search_results" in cls.__dict__:
            cls.get_search_results = _guarded(cls.__dict__["get_search_results"])
