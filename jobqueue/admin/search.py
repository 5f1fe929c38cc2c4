"""The search of the lists of jobs: what was asked, what was found, and what the page says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db import models
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from jobqueue.admin.bounded_search import refuse
from jobqueue.admin.subjects import page_of_record, shown_title
from jobqueue.models import subject_of
from jobqueue.operating.reading import may_read, shown_text
from jobqueue.operating.search_limits import not_looked_at
from jobqueue.searching import (
    Found,
    FoundCause,
    FoundRecord,
    MaySee,
    Search,
    Unreadable,
    Word,
    find_jobs,
    parse,
    sources_for,
    title_of,
    why_refused,
    with_addresses_named,
)

_MOST_SHOWN = 5
_WORDS_OF_ERROR = 8
_LONGEST_ERROR = 120


_EXAMPLES = (
    *("email:name@host", 'error:"mailbox full"', "args.user_id:5", "state:failed since:2h until:1h"),
    *("state:held", "state:retried since:1d"),
    *('about:"Rent"', "queue:email", "processor:reminders.send", "worker:web-1", "id:123", "-queue:email"),
    "bulk:12",
)
_OF_RECORDS = 'about:"Rent"'


def help_for(user: MaySee) -> SafeString:
    """What this user may type into the box, and where text is looked for."""
    places = [str(source.title) for source in sources_for(user)]
    text = gettext("Text looks in ids, processors and errors. Or say what you mean:")
    if places:
        text = gettext("Text looks in ids, processors, errors and in: %(places)s. Or say what you mean:") % {
            "places": ", ".join(places)
        }
    shown = [
        example for example in _EXAMPLES if _may_ask(example, user) and (places or example != _OF_RECORDS)
    ]
    examples = format_html_join(" · ", '<span class="jq-example">{}</span>', ((one,) for one in shown))
    return format_html("<span>{} {}</span>", text, examples)  # one element: narrow pages align these


def _may_ask(example: str, user: MaySee) -> bool:
    search = parse(example)
    return isinstance(search, Search) and why_refused(search, user) is None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was looked for in a request: a search with what it found, or why nothing was looked for."""

    search: Search
    found: Found | None = None
    refusal: str = ""


def search_jobs(
    jobs: models.QuerySet[Any], text: str, request: HttpRequest, state: str
) -> models.QuerySet[Any]:
    """The jobs that `text` finds; none if it cannot be read, or asks what the user may not know.

    What was asked is kept with the request, for the page: `asked_of`.
    """
    asked = _ask(jobs, text, request, state)
    vars(request)["_asked"] = asked
    if asked.refusal:
        refuse(request, gettext("Nothing was looked for: %(why)s") % {"why": asked.refusal})
    return asked.found.jobs if asked.found else jobs.none()


def asked_of(request: HttpRequest) -> Asked | None:
    """What was looked for in this request; None without a search."""
    asked: Asked | None = vars(request).get("_asked")
    return asked


def _ask(jobs: models.QuerySet[Any], text: str, request: HttpRequest, state: str) -> Asked:
    search = parse(text)
    if isinstance(search, Unreadable):
        return Asked(Search(), refusal=str(search))
    found = find_jobs(jobs, search, request.user, state=state, causes=_MOST_SHOWN + 1)
    if isinstance(found, Unreadable):
        return Asked(search, refusal=str(found))
    return Asked(search, found)


# What the page shows ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chip:
    """A word of the search, and the address of the list without it."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was found beside the jobs: its own page, if it has one, and its jobs."""

    label: str
    url: str
    jobs_url: str
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """What was found in one place; `more` if there is more than is shown."""

    title: str
    entries: list[Entry]
    more: bool


@dataclass(frozen=True, slots=True)
class ShownSearch:
    """A search as the page of a list shows it."""

    chips: list[Chip]
    groups: list[Group]
    limits: list[str]
    """What was not looked at, a sentence each."""
    offer: Chip | None = None
    """Where nothing was found, another search that may find it."""


def shown_search(request: HttpRequest, changes: ChangeList, site: AdminSite) -> ShownSearch | None:
    """What the page shows of the search of this request; None without one."""
    asked = asked_of(request)
    if asked is None:
        return None
    return ShownSearch(
        chips=[_chip(asked.search, word, changes) for word in asked.search],
        groups=list(_groups(asked, request, site)),
        limits=limits_of(request),
        offer=_offer(asked, request, changes),
    )


def _offer(asked: Asked, request: HttpRequest, changes: ChangeList) -> Chip | None:
    """The same with `email:` before an address, which text is not looked for in; to who may ask that."""
    other = None if asked.refusal or changes.result_count else with_addresses_named(asked.search)
    if other is None or why_refused(other, request.user):
        return None
    return Chip(str(other), changes.get_query_string({SEARCH_VAR: str(other)}))


def limits_of(request: HttpRequest) -> list[str]:
    """What the search of this request did not look at, so that the list may lack jobs; a sentence each."""
    asked = asked_of(request)
    if asked is None or asked.found is None:
        return []
    return not_looked_at(asked.found)


def _chip(search: Search, word: Word, changes: ChangeList) -> Chip:
    rest = str(search.without(word))
    return Chip(str(word), changes.get_query_string({SEARCH_VAR: rest or None}))


def _groups(asked: Asked, request: HttpRequest, site: AdminSite) -> Iterator[Group]:
    if asked.found is None or not asked.search.texts:
        return
    for name, records in asked.found.records.items():
        yield _group(title_of(name), (_of_record(one, request, site) for one in records))
    if asked.found.causes:
        entries = (
            Entry(
                shown_text(cause.error, request), "", _jobs_with_error(cause, asked.search, site), cause.jobs
            )
            for cause in asked.found.causes
        )
        yield _group(gettext("Errors of failed jobs"), entries)


def _group(title: str, entries: Iterable[Entry]) -> Group:
    rows = [entry for entry, _number in zip(entries, range(_MOST_SHOWN + 1), strict=False)]
    return Group(title, rows[:_MOST_SHOWN], len(rows) > _MOST_SHOWN)


def _of_record(found: FoundRecord, request: HttpRequest, site: AdminSite) -> Entry:
    page = _page_of(found, request, site)
    named = [Word("args", str(value), path=(name,)) for name, value in found.arguments.items()]
    about = Word("about", subject_of(found.record))
    word = named[0] if named and may_read(request) else about
    return Entry(shown_title(found.title), page, _jobs_that(word, site))


def _page_of(found: FoundRecord, request: HttpRequest, site: AdminSite) -> str:
    """The address of the page that its app names for the record, else of its own; empty without one."""
    named = found.page
    if named is not None and request.user.has_perms(named.permissions):
        with suppress(NoReverseMatch):
            return reverse(f"{site.name}:{named.name}", args=[quote(found.record.pk)])
    return page_of_record(found.record, request, site)


def _jobs_with_error(found: FoundCause, search: Search, site: AdminSite) -> str:
    if found.cause:
        query = {
            "cause": found.cause,
            SEARCH_VAR: str(Search(tuple(Word("", text) for text in search.texts))),
        }
        return reverse(f"{site.name}:jobqueue_failedjob_changelist", query=query)
    beginning = " ".join(found.error.split()[:_WORDS_OF_ERROR])[:_LONGEST_ERROR]
    return _jobs_that(Word("state", "failed"), site, Word("error", beginning))


def _jobs_that(word: Word, site: AdminSite, *others: Word) -> str:
    query = {SEARCH_VAR: str(Search((word, *others)))}
    return reverse(f"{site.name}:jobqueue_job_changelist", query=query)
