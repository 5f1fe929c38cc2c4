"""The search language as the API reads it: what cannot be read is named, what one may not ask is refused."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from jobqueue.api.problems import BadQuery, InvalidBody
from jobqueue.models import Job, JobQuerySet
from jobqueue.searching import LONGEST_SEARCH, MOST_WORDS, STATES, Found, Unreadable, find_jobs, parse
from jobqueue.searching.query import why_refused

SEARCH: Final = (
    f"Words, all of them required, at most {MOST_WORDS} and {LONGEST_SEARCH} characters: "
    f"`state:` ({', '.join(STATES)}; delayed ones may be held, "
    "retried ones are in any state; completed ones may be shown as `skipped`, "
    "active ones as `stuck`), `since:2h`, `until:2026-10-17` (`30s`, `15min`, `2h`, `3d`, `2w`, a "
    "day, or `2026-10-17T14:22` in the zone of the site), `queue:email`, `processor:reminders.send`, "
    '`error:"mailbox full"`, `about:"Rent"` (a record, its id or subject), `args.user_id:5`, '
    "`email:name@host`, `worker:web-1`, `id:123`, `bulk:12` (changed last by that bulk action); "
    "bare text looks in people, records and errors. "
    "`-` before a word leaves out what it finds."
)
"""What a search may be, for the schema."""


NOT_LOOKED_IN: Final = (
    "The people and records that the search was not looked for in, as who asks may not see them."
)


class NotLookedIn(serializers.Serializer[Any]):
    """People or records that a search was not looked for in."""

    records = serializers.CharField(help_text="The app and the name of them: `shop.orders`.")
    permissions = serializers.ListField(
        child=serializers.CharField(), help_text="What it takes to find them: one of these is enough."
    )


def limits_of(found: Found) -> dict[str, Any]:
    """What the search did not look at, as an answer tells it beside what was found."""
    hidden = [{"records": source.name, "permissions": list(source.permissions)} for source in found.hidden]
    limits = {name: getattr(found, name) for name in ("newest_only", "records_cut", "errors_cut")}
    return {**limits, "not_looked_in": hidden}


def found_by(
    text: str,
    request: Request,
    jobs: JobQuerySet | None = None,
    refuse: type[BadQuery | InvalidBody] = BadQuery,
    named: str = "search",
) -> Found:
    """Those of the jobs that the search finds; `refuse` says which word cannot be read, and what can.

    `named` is the parameter or the field that it was given as.
    """
    search = parse(text)
    if isinstance(search, Unreadable):
        raise refuse({named: [serializers.ErrorDetail(str(search), "unreadable_search")]})
    refused = why_refused(search, request.user)
    if refused:
        raise PermissionDenied(str(refused))
    found = find_jobs(Job.objects.all() if jobs is None else jobs, search, request.user)
    assert isinstance(found, Found)  # that was asked above
    return found
