"""What an operator should know before anything else on a settlement's page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import time_tag
from jobqueue.operating import shown_text
from settlements.admin.base import amount_tag, link_to
from settlements.admin.ways_to_people import may_look
from settlements.models import BarredAddress, Discrepancy, Settlement
from settlements.operating.people import barred_rows
from settlements.operating.rights import may
from settlements.rows import email_of

MOST_DISCREPANCIES = 10
_WHY: dict[str, Any] = {
    BarredAddress.Cause.REFUSED: _("was refused by its mail server"),
    BarredAddress.Cause.BOUNCED: _("bounced"),
    BarredAddress.Cause.COMPLAINED: _("was complained about"),
    BarredAddress.Cause.UNSUBSCRIBED: _("was unsubscribed"),
}


def notices_of(settlement: Settlement, request: HttpRequest) -> list[SafeString]:
    """Addresses of its people that nothing is sent to, and discrepancies that nobody has closed."""
    return [*_barred(settlement, request), *_discrepancies(settlement, request)]


def barred_text(row: BarredAddress, request: HttpRequest) -> SafeString | str:
    """Since when and why, linked to the barred address for who may see it."""
    since = time_tag(row.barred_at, timezone.now())
    if row.is_paused:
        text = _paused_text(row, since, request)
    else:
        text = format_html(gettext("barred since {}, because it {}"), since, _WHY.get(row.cause, row.cause))
    return link_to(row, text) if may(request, "view", BarredAddress) else text


def _paused_text(row: BarredAddress, since: SafeString | str, request: HttpRequest) -> SafeString:
    """Who holds letters back, since when, and for what reason: that for who may see letters or the row."""
    by = shown_text(row.paused_by, request)
    text = format_html(gettext("paused since {} by {}"), since, by or gettext("an operator"))
    may_read_why = may_look(request) or may(request, "view", BarredAddress)
    return format_html("{}: {}", text, shown_text(row.why, request)) if row.why and may_read_why else text


def _barred(settlement: Settlement, request: HttpRequest) -> list[SafeString]:
    people = {gettext("payer"): settlement.payer, gettext("payee"): settlement.payee}
    barred = barred_rows(*(email_of(person) for person in people.values()))
    found = [(role, person, barred.get(email_of(person).lower())) for role, person in people.items()]
    return [
        format_html(
            gettext("No e-mail reaches the {}, {}: the address is {}."),
            role,
            person,
            barred_text(row, request),
        )
        for role, person, row in found
        if row is not None
    ]


def _discrepancies(settlement: Settlement, request: HttpRequest) -> list[SafeString]:
    rows = Discrepancy.objects.open().filter(settlement=settlement)
    may_view = may(request, "view", Discrepancy)
    return [_discrepancy(row, may_view, request) for row in rows[:MOST_DISCREPANCIES]]


def _discrepancy(row: Discrepancy, may_view: bool, request: HttpRequest) -> SafeString:
    """What somebody must look at; of what is over, that it waits for nothing but to be closed."""
    kind = link_to(row, row.get_kind_display()) if may_view else row.get_kind_display()
    if row.is_over:
        text = gettext("{} is over: the money went back, or something else changed. It can be closed.")
        return format_html(text, kind)
    return format_html(
        gettext("Somebody must look at this: {}, {}{}."),
        kind,
        amount_tag(row.amount, row.currency),
        f" ({shown_text(row.detail, request)})" if row.detail else "",
    )
