"""Payments: their form, and what may become of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import JobsPanelMixin, LiveRecordMixin
from settlements.admin.amounts import step_of
from settlements.admin.base import FoundByKeyMixin, SettlementsAdmin, amount_tag
from settlements.admin.forms import PaymentForm
from settlements.admin.moves import AmountHint, action_for
from settlements.admin.record_page import CheckedPageMixin, RecordPageMixin
from settlements.models import Payment
from settlements.operating.payment_moves import MOVES
from settlements.searching import payment_in_words
from settlements.templatetags.settlement_format import money


@admin.register(Payment)
class PaymentAdmin(
    LiveRecordMixin, FoundByKeyMixin, CheckedPageMixin, RecordPageMixin, JobsPanelMixin, SettlementsAdmin
):
    """Payments."""

    form = PaymentForm
    masked_fields = ("failure_reason",)
    moves = MOVES
    change_form_template = RecordPageMixin.change_form_template
    list_display = ("shown_amount", "settlement", "shown_status", "shown_refunded", "created_at")
    list_filter = ("status", "created_at")
    list_select_related = ("settlement",)
    search_fields = ("settlement__description",)
    found_by = ("pk", "settlement__pk")
    search_help_text = _("What its settlement is for, its id, or that of its settlement.")
    autocomplete_fields = ("settlement",)
    readonly_fields = ("shown_status", "shown_refunded", "created_at")
    actions = [action_for(move) for move in MOVES]

    def named(self, record: Payment) -> str:
        """Its amount and status, and of which settlement it is."""
        return payment_in_words(record)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The first status and what was refunded by then are chosen once."""
        if obj is None:
            return ["settlement", "amount", "status", "refunded_amount", "failure_reason"]
        return ["settlement", "amount", "shown_status", "shown_refunded", "failure_reason", "created_at"]

    def facts_of(self, record: Payment, request: HttpRequest) -> dict[str, Any]:
        """How it stands now, whatever is typed below."""
        amounts = [(_("Amount"), amount_tag(record.amount), "")]
        if record.refunded_amount:
            amounts.append((_("Refunded"), amount_tag(record.refunded), ""))
        return {"status": self.shown_status(record), "amounts": amounts}

    def amount_hint(self, payment: Payment) -> AmountHint:
        """How much of the payment is left to go back."""
        text = gettext("Left empty: all that is left of it, %(amount)s.") % {"amount": money(payment.left)}
        return AmountHint(text, step_of(str(payment.amount.currency)))

    @admin.display(description=_("refunded"), ordering="refunded_amount")
    def shown_refunded(self, payment: Payment) -> SafeString:
        """How much of it went back."""
        return amount_tag(payment.refunded)
