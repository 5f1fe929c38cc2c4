"""Settlements, payments and what was sent, in Django's admin. Saving here triggers jobs as any save does."""

from datetime import datetime

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import names_kinds, sends_emails, tells_perhaps_sent, tells_quiet_hours
from jobqueue.models import JobQuerySet
from settlements.admin import (
    address_pages,
    concerns,
    delivery_pages,
    discrepancy_pages,
    findings,
    payment_pages,
    previews,
    results,
    settlement_pages,
)
from settlements.admin.known_reasons import tell_known_reasons, tell_names_of_records
from settlements.admin.user_page import show_barred_addresses_of_users
from settlements.letter_words import LETTER_WORDS
from settlements.models import EmailDelivery, ReminderType
from settlements.reminders import current_policy, quiet_periods_between

__all__ = [
    "address_pages",
    "concerns",
    "delivery_pages",
    "discrepancy_pages",
    "findings",
    "payment_pages",
    "previews",
    "results",
    "settlement_pages",
]

admin.site.site_header = "SpendSync"
admin.site.site_title = "SpendSync"
admin.site.index_title = _("Settlements and their jobs")

sends_emails("email.notification")
sends_emails("reminders.send")
sends_emails("settlement.settlement_notification", at_most=2)


@tells_perhaps_sent("email.notification")
def perhaps_sent(chosen: JobQuerySet) -> int:
    """How many of these jobs have a letter that an interrupted run perhaps sent."""
    letters = EmailDelivery.objects.using(chosen.db).filter(EmailDelivery.perhaps_sent())
    return letters.filter(job__in=chosen.order_by().values("pk")).count()


names_kinds("email.notification", _("E-mail"), LETTER_WORDS)
names_kinds(
    "reminders.send",
    _("Reminder"),
    dict(ReminderType.choices),
    moves=_("A reminder moves between its neighbours only."),
)
names_kinds("settlement.settlement_notification", _("Letters about a settlement"))
names_kinds("settlement.payment_status_check", _("Payment check"))
names_kinds("settlement.auto_complete", _("Status follows payments"))
names_kinds("settlement.periodic_reminder", _("Reminder plan"))


@tells_quiet_hours(_("in which no planned reminder goes out"))
def quiet_hours(first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
    """When no planned reminder goes out."""
    return quiet_periods_between(first, last, current_policy())


tell_known_reasons()
tell_names_of_records()
show_barred_addresses_of_users(admin.site)
