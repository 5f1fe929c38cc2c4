"""`manage.py jobqueue_jobs "state:failed since:2h"`: what a search finds, to be listed or acted on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import HttpRequest

from jobqueue.models import Job
from jobqueue.operating import bulk_plans
from jobqueue.operating.bulk_plans import Plan
from jobqueue.operating.language import in_english
from jobqueue.operating.reading import shown_text
from jobqueue.operating.rights import demand
from jobqueue.operating.search_limits import not_looked_at
from jobqueue.operating.verbs import BULK_VERBS, CALLED, permission_of
from jobqueue.operating.words import absolute, grouped, state_word, typed_number
from jobqueue.operating.workers import is_a_worker_alive
from jobqueue.searching import STATES, Found, Unreadable, find_jobs, parse
from jobqueue.sql.clock import database_now

NOT_CONFIRMED: Final = 1
UNREADABLE: Final = 2
NOTHING_MATCHES: Final = 3
NOT_ALLOWED: Final = 4
"""What the command ends with, beside 0."""
_MOST_LISTED = 1_000
_LONGEST_REASON_SHOWN = 100


class _Nobody:
    """Who looks without a name: the shell is theirs, and neither records nor payloads are for a list."""

    pk = None

    def has_perm(self, perm: str) -> bool:
        """No permission."""
        return False


class Command(BaseCommand):
    """The search of the admin and of the API, and their bulk actions, by the same permissions and audit.

    Ends with 0; 1: not confirmed, or an option that cannot be; 2: a search that cannot be read; 3: no job
    matches; 4: the user may not.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which jobs, what to do to them, and in whose name."""
        parser.add_argument(
            "search",
            help='words as the admin takes them: "state:failed since:2h queue:email"; '
            f"states are {', '.join(STATES)}",
        )
        parser.add_argument(
            "--limit", type=int, default=20, help="list at most so many, the newest first (20)"
        )
        parser.add_argument("--verb", choices=list(CALLED), help="begin this for all that the search finds")
        parser.add_argument(
            "--as", dest="operator", help="the user whose permissions apply, and who stands in the audit"
        )
        parser.add_argument("--reason", default="", help="why; stands in the audit")
        parser.add_argument("--per-second", type=int, help="at most so many jobs a second")
        parser.add_argument("--yes", action="store_true", help="begin without asking for the number of jobs")

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or begin."""
        with in_english():
            request = _request_of(options["operator"])
            if options["operator"]:
                _demand(request, "jobqueue.view_job")
            if options["verb"]:
                self._begin(options, request)
            else:
                self._list(options, request)

    # Listing --------------------------------------------------------------------------------------

    def _list(self, options: dict[str, Any], request: HttpRequest) -> None:
        limit = options["limit"]
        if not 0 < limit <= _MOST_LISTED:
            raise CommandError(f"--limit must be 1 to {_MOST_LISTED}, not {limit}.")
        found = _found(options["search"], request)
        rows = list(found.jobs.order_by("-pk")[: limit + 1])
        now = database_now(Job.objects.db)
        for job in rows[:limit]:
            self.stdout.write(_line(job, now, request))
        if len(rows) > limit:
            self.stdout.write(f"These are the newest {limit}; there are more.")
        else:
            self.stdout.write(f"{len(rows)} job{'' if len(rows) == 1 else 's'}.")
        self._say_what_was_searched(found)

    def _say_what_was_searched(self, found: Found) -> None:
        for text in not_looked_at(found):
            self.stdout.write(text)

    # Beginning ------------------------------------------------------------------------------------

    def _begin(self, options: dict[str, Any], request: HttpRequest) -> None:
        _check(options)
        verb = BULK_VERBS[CALLED[options["verb"]]]
        _demand(request, permission_of(verb.name))
        # What ends after the number was told is not meant; SQLite tells the time in milliseconds.
        shown_at = (database_now(Job.objects.db) + timedelta(milliseconds=1)).isoformat()
        found = _found(options["search"], request)
        jobs: Any = found.jobs
        plan = bulk_plans.plan_of_list(verb, jobs, {"search": options["search"]}, shown_at=shown_at)
        if not plan.number:
            text = f"Nothing was begun: no job matches ({_printed(plan.in_words)})."
            raise CommandError(text, returncode=NOTHING_MATCHES)
        if plan.is_large and not options["reason"].strip():
            raise CommandError("Nothing was begun: an action on so many jobs takes a --reason.")
        for line in _told(plan, options["verb"], request):
            self.stdout.write(line)
        self._say_what_was_searched(found)
        if not options["yes"]:
            _confirm(plan)
        self._write_down(plan, options, request)

    def _write_down(self, plan: Plan, options: dict[str, Any], request: HttpRequest) -> None:
        action, is_new = bulk_plans.write_down(
            request, plan, options["reason"].strip(), options["per_second"]
        )
        if not is_new:
            self.stdout.write(f"The same is under way already: bulk action {action.pk} of {action.asked_by}.")
            return
        self.stdout.write(f"Bulk action {action.pk} begins, in the background.")
        if not is_a_worker_alive(Job.objects.db):
            self.stdout.write("No worker is alive: it begins as soon as one starts.")


def _check(options: dict[str, Any]) -> None:
    """What has to be said beside a verb."""
    if not options["operator"]:
        raise CommandError(
            "A verb takes --as: the user whose permissions apply, and who stands in the audit."
        )
    if not options["search"].strip():
        raise CommandError("A verb takes a search: say which jobs are meant.")
    reason, rate = options["reason"].strip(), options["per_second"]
    if len(reason) > bulk_plans.LONGEST_REASON or "\x00" in reason:
        raise CommandError(
            f"A --reason has at most {bulk_plans.LONGEST_REASON} characters, and none of them is U+0000."
        )
    if rate is not None and not 0 < rate <= bulk_plans.MOST_PER_SECOND:
        raise CommandError(f"--per-second must be 1 to {bulk_plans.MOST_PER_SECOND}, not {rate}.")


def _request_of(username: str | None) -> HttpRequest:
    """What the verbs know people by."""
    request = HttpRequest()
    request.user = _user_of(username) if username else _Nobody()  # type: ignore[assignment]
    return request


def _user_of(username: str) -> Any:
    users = get_user_model()
    found: Any = users._default_manager.filter(**{users.USERNAME_FIELD: username}).first()
    if found is None:
        raise CommandError(f"There is no user {username!r}.", returncode=NOT_ALLOWED)
    if not (found.is_active and getattr(found, "is_staff", False)):
        raise CommandError(f"{username} is not an active user of the staff.", returncode=NOT_ALLOWED)
    return found


def _demand(request: HttpRequest, *permissions: str) -> None:
    try:
        demand(request, *permissions)
    except PermissionDenied as error:
        raise CommandError(str(error), returncode=NOT_ALLOWED) from error


def _found(text: str, request: HttpRequest) -> Found:
    search = parse(text)
    found = search if isinstance(search, Unreadable) else find_jobs(Job.objects.all(), search, request.user)
    if isinstance(found, Unreadable):
        # A search that can be read is refused to who may not ask for that.
        code = UNREADABLE if found is search else NOT_ALLOWED
        raise CommandError(_printed(str(found)), returncode=code)
    return found


def _confirm(plan: Plan) -> None:
    try:
        typed = input(f"Type the number of jobs, {plan.shown_number}, to begin: ")
    except EOFError:
        raise CommandError(
            "Nothing was begun: nobody typed the number of jobs; --yes begins without it.",
            returncode=NOT_CONFIRMED,
        ) from None
    if typed_number(typed) != str(plan.number):
        raise CommandError("Nothing was begun: that is not the number of jobs.", returncode=NOT_CONFIRMED)
    if (number := plan.jobs.count()) > plan.number:
        raise CommandError(
            f"Nothing was begun: {grouped(number)} jobs match by now, more than were told.",
            returncode=NOT_CONFIRMED,
        )


# What is printed --------------------------------------------------------------------------------------


def _told(plan: Plan, called: str, request: HttpRequest) -> Iterator[str]:
    """What the action means."""
    label = called.replace("_", " ").capitalize()
    yield f"{label}: {plan.shown_number} job{'' if plan.number == 1 else 's'} ({_printed(plan.in_words)})."
    for processor, number in plan.by_processor.items():
        yield f"  {_printed(processor)}: {grouped(number)}"
    yield plan.means
    for text in (plan.mail, plan.concerned(request)):
        if text:
            yield text


def _line(job: Job, now: datetime, request: HttpRequest) -> str:
    """A job in a line; of its payload nothing."""
    moment = job.finished_at or job.started_at if job.state != Job.State.WAITING else job.run_at
    parts = [
        f"#{job.pk}",
        state_word(job, now),
        job.queue,
        job.processor,
        absolute(moment) if moment else "–",
        shown_text(job.subject, request),
        shown_text(job.reason, request)[:_LONGEST_REASON_SHOWN],
    ]
    return "  ".join(_printed(part) for part in parts if part)


def _printed(text: str) -> str:
    """In one line, and without what moves a terminal's cursor or changes its colours."""
    return "".join(character if character.isprintable() else "�" for character in text)
