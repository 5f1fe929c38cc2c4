"""Settlements, payments and what was sent, in Django's admin. Saving here triggers jobs as any save does."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import sends_emails
from settlements.admin import (
    address_pages,
    concerns,
    delivery_pages,
    discrepancy_pages,
    findings,
    payment_pages,
    previews,
    settlement_pages,
)
from settlements.admin.user_page import show_barred_addresses_of_users

__all__ = [
    "address_pages",
    "concerns",
    "delivery_pages",
    "discrepancy_pages",
    "findings",
    "payment_pages",
    "previews",
    "settlement_pages",
]

admin.site.site_header = "SpendSync"
admin.site.site_title = "SpendSync"
admin.site.index_title = _("Settlements and their jobs")

sends_emails("email.notification")
sends_emails("reminders.send")
sends_emails("settlement.settlement_notification", at_most=2)

show_barred_addresses_of_users(admin.site)
