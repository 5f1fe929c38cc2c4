"""One timeline on a settlement's page: saves, payments, jobs and letters, and the reminders to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin import (
    Happening,
    address_of,
    badge,
    happenings_about,
    mask_address,
    mask_addresses,
    time_tag,
)
from jobqueue.models import Job, subject_of
from settlements.admin.letter_times import error_of, time_of, with_ends
from settlements.admin.saves import Save, with_saves
from settlements.decisions import EMAILS, REMINDERS
from settlements.letter_words import letter_word
from settlements.models import EmailDelivery, Payment, Settlement
from settlements.operating.rights import may
from settlements.templatetags.settlement_format import money

MOST_PAST: Final = 100
MOST_AHEAD: Final = 20
MOST_READ: Final = 50
"""Of letters and of payments."""
_LATER_SAVE: Final = 1.0
"""Seconds after which a save is another one than that which made the row."""


@dataclass(frozen=True, slots=True)
class Line:
    """A happening as the page shows it."""

    time: SafeString | str
    what: str
    url: str
    who: str
    state: SafeString | str
    detail: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is to come, the furthest first, and what was, the newest first."""

    now: SafeString | str
    ahead: list[Line]
    past: list[Line]
    later_url: str
    older: list[tuple[str, str]]
    """Where the older ones are listed, by what they are called; empty if none is left out."""


def timeline_of(settlement: Settlement, request: HttpRequest, site: AdminSite) -> Timeline:
    """What happened around the settlement and what will, as far as this user may see it."""
    payments, first = _payments(settlement, request)
    letters, first_letter = _letters(settlement, request)
    keys = {Payment._meta.label_lower: [str(payment.pk) for payment in payments]}
    found = happenings_about(settlement, request, site, also=keys)
    now = found.now
    known = with_saves(found.rows, [*_saves_of_payments(payments), *_save_of(settlement)])
    jobs = _without_letters(known, letters, settlement)
    rows = [*jobs, *map(_of_letter, letters), *_of_payments(payments), *_of_settlement(settlement)]
    since = max((bound for bound in (found.since, first, first_letter) if bound), default=None)
    ahead = sorted((row for row in rows if row.at > now), key=_at)
    past = sorted((row for row in rows if row.at <= now), key=_at, reverse=True)
    shown = [row for row in past if since is None or row.at >= since][:MOST_PAST]
    draw = _drawer(now)
    return Timeline(
        now=time_tag(now, now),
        ahead=[draw(row) for row in reversed(ahead[:MOST_AHEAD])],
        past=[draw(row) for row in shown],
        later_url=found.jobs_url if len(ahead) > MOST_AHEAD else "",
        older=_older(settlement, request, site, found.jobs_url) if len(shown) < len(past) or since else [],
    )


def _at(row: Happening) -> datetime:
    return row.at


def _drawer(now: datetime) -> Callable[[Happening], Line]:
    return lambda row: Line(time_tag(row.at, now), row.what, row.url, row.who, row.state, row.detail)


# What is read ---------------------------------------------------------------------------------------


def _payments(settlement: Settlement, request: HttpRequest) -> tuple[list[Payment], datetime | None]:
    """The newest payments, which the page has read, and when the first was made that is left out."""
    if not may(request, "view", Payment):
        return [], None
    found = sorted(settlement.payments.all(), key=lambda one: (one.created_at, str(one.pk)), reverse=True)
    return found[:MOST_READ], found[MOST_READ].created_at if len(found) > MOST_READ else None


def _letters(settlement: Settlement, request: HttpRequest) -> tuple[list[EmailDelivery], datetime | None]:
    if not may(request, "view", EmailDelivery):
        return [], None
    rows = with_ends(EmailDelivery.objects.filter(about=subject_of(settlement))).order_by("-id")
    found = list(rows[: MOST_READ + 1])
    return found[:MOST_READ], found[MOST_READ].created_at if len(found) > MOST_READ else None


# What is shown --------------------------------------------------------------------------------------


def _without_letters(
    rows: Iterable[Happening], letters: list[EmailDelivery], settlement: Settlement
) -> Iterator[Happening]:
    """The jobs, without those whose letter tells the same; a reminder that would be skipped says so."""
    told = {letter.job_id for letter in letters if letter.status not in EmailDelivery.UNDECIDED}
    for row in rows:
        job = row.job
        if job is not None and job.processor == EMAILS and job.pk in told and not _is_unfinished(job):
            continue
        is_reminder = job is not None and job.processor == REMINDERS and job.state == Job.State.WAITING
        if is_reminder and settlement.reminders_paused:
            row = replace(row, detail=_("would be skipped: reminders are paused"))
        yield row


def _is_unfinished(job: Job) -> bool:
    return job.state in (Job.State.WAITING, Job.State.ACTIVE)


def _of_letter(letter: EmailDelivery) -> Happening:
    return Happening(
        at=time_of(letter),
        what=_("Letter: %(template)s") % {"template": letter_word(letter.template_type)},
        url=address_of(EmailDelivery, "change", letter.pk),
        who=mask_address(letter.recipient) if letter.recipient else "",
        state=badge(letter.status, letter.status_in_words),
        detail=mask_addresses(error_of(letter) or letter.subject),
    )


def _of_payments(payments: list[Payment]) -> Iterator[Happening]:
    for payment in payments:
        amount = {"amount": money(payment.amount)}
        url = address_of(Payment, "change", payment.pk)
        state = badge(payment.status, str(payment.get_status_display()))
        yield Happening(
            at=payment.created_at,
            what=_("Payment of %(amount)s made") % amount,
            url=url,
            state="" if _is_saved_later(payment) else state,
        )


def _is_saved_later(record: Payment | Settlement) -> bool:
    return (record.updated_at - record.created_at).total_seconds() > _LATER_SAVE


def _saves_of_payments(payments: Sequence[Payment]) -> Iterator[Save]:
    for payment in filter(_is_saved_later, payments):
        yield Save(
            at=payment.updated_at,
            what=_("Payment of %(amount)s saved last") % {"amount": money(payment.amount)},
            url=address_of(Payment, "change", payment.pk),
            state=badge(payment.status, str(payment.get_status_display())),
            detail=mask_addresses(payment.failed_because),
        )


def _save_of(settlement: Settlement) -> Iterator[Save]:
    if _is_saved_later(settlement):
        state = badge(settlement.status, str(settlement.get_status_display()))
        yield Save(at=settlement.updated_at, what=_("Settlement saved last"), state=state)
    decided_at = settlement.decided_at
    if decided_at and (settlement.updated_at - decided_at).total_seconds() > _LATER_SAVE:
        state = badge(settlement.decided_status, str(settlement.get_decided_status_display()))
        yield Save(at=decided_at, what=_("Settlement decided"), state=state)


def _of_settlement(settlement: Settlement) -> Iterator[Happening]:
    yield Happening(at=settlement.created_at, what=_("Settlement created"))
    yield Happening(at=settlement.due_date, what=_("Due date"))


def _older(
    settlement: Settlement, request: HttpRequest, site: AdminSite, jobs_url: str
) -> list[tuple[str, str]]:
    """Where everything is listed, each kind by itself."""
    listed = [(_("letters"), EmailDelivery), (_("payments"), Payment)]
    pages = [
        (_("jobs"), jobs_url),
        *(
            (label, address_of(model, "changelist", site=site, q=str(settlement.pk)))
            for label, model in listed
            if may(request, "view", model)
        ),
        (_("changes"), address_of(Settlement, "history", settlement.pk, site=site)),
    ]
    return [(label, url) for label, url in pages if url]
