"""Settlements, payments and what was sent, in Django's admin. Saving here triggers jobs as any save does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_fsm import TransitionNotAllowed

from jobqueue.admin import BoundedPaginator, JobsPanelMixin, sends_emails
from jobqueue.admin.actions import log_change
from jobqueue.admin.words import badge
from settlements.emails import TEMPLATE_TYPES
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement

if TYPE_CHECKING:
    SettlementModelAdmin = admin.ModelAdmin[Settlement]
    PaymentModelAdmin = admin.ModelAdmin[Payment]
    ReadOnlyModelAdmin = admin.ModelAdmin[Any]
    PaymentTabularInline = admin.TabularInline[Payment, Settlement]
    SettlementModelForm = forms.ModelForm[Settlement]
else:
    SettlementModelAdmin = PaymentModelAdmin = ReadOnlyModelAdmin = admin.ModelAdmin
    PaymentTabularInline = admin.TabularInline
    SettlementModelForm = forms.ModelForm

admin.site.site_header = "SpendSync"
admin.site.site_title = "SpendSync"
admin.site.index_title = _("Settlements and their jobs")

sends_emails("email.notification")
sends_emails("reminders.send")
sends_emails("settlement.settlement_notification", at_most=2)


class PaymentInline(PaymentTabularInline):
    """The payments of a settlement, on its page."""

    model = Payment
    fields = ("amount", "status", "failure_reason", "created_at")
    readonly_fields = ("created_at",)
    extra = 0


class SettlementForm(SettlementModelForm):
    """A settlement's form that leaves alone what it does not show."""

    def clean_due_date(self) -> datetime:
        """The form shows whole seconds: an unchanged date keeps its fraction, or it would count as moved."""
        entered: datetime = self.cleaned_data["due_date"]
        saved: datetime | None = self.instance.due_date
        return saved if saved and entered == saved.replace(microsecond=0) else entered


@admin.register(Settlement)
class SettlementAdmin(JobsPanelMixin, SettlementModelAdmin):
    """Settlements with their payments and every job about them."""

    form = SettlementForm
    list_display = ("__str__", "payer", "payee", "shown_amount", "due_date", "shown_status")
    list_filter = ("status", "reminders_paused", "due_date")
    list_select_related = ("payer", "payee")
    search_fields = ("description", "payer__username", "payee__username")
    autocomplete_fields = ("payer", "payee")
    fields = (
        "description", "payer", "payee", "amount", "due_date", "status", "reminders_paused", "created_at",
    )  # fmt: skip
    readonly_fields = ("created_at",)
    inlines = (PaymentInline,)
    actions = ("complete", "cancel", "reopen")
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    @admin.display(description=_("amount"), ordering="amount")
    def shown_amount(self, settlement: Settlement) -> SafeString:
        """The amount with its currency."""
        return format_html('<span class="jq-amount">{}</span>', settlement.amount)

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, settlement: Settlement) -> SafeString:
        """The status in colour and in words."""
        return badge(settlement.status, settlement.get_status_display())

    @admin.action(description=_("Complete"), permissions=["change"])
    def complete(self, request: HttpRequest, settlements: QuerySet[Settlement]) -> None:
        """Mark as fully paid."""
        self._move(request, settlements, Settlement.complete, "completed")

    @admin.action(description=_("Cancel"), permissions=["change"])
    def cancel(self, request: HttpRequest, settlements: QuerySet[Settlement]) -> None:
        """Call the debts off."""
        self._move(request, settlements, Settlement.cancel, "cancelled")

    @admin.action(description=_("Reopen"), permissions=["change"])
    def reopen(self, request: HttpRequest, settlements: QuerySet[Settlement]) -> None:
        """Owe the money again."""
        self._move(request, settlements, Settlement.reopen, "reopened")

    def _move(
        self,
        request: HttpRequest,
        settlements: QuerySet[Settlement],
        verb: Callable[[Settlement], None],
        done: str,
    ) -> None:
        moved, refused = 0, []
        for pk in settlements.order_by("pk").values_list("pk", flat=True):
            refusal = _move_one(request, pk, verb, done)
            moved += not refusal
            refused += [refusal] if refusal else []
        if moved:
            self.message_user(request, f"{_settlements(moved)} {done}.", messages.SUCCESS)
        if refused:
            names = ", ".join(refused[:5]) + (", …" if len(refused) > 5 else "")
            text = f"{_settlements(len(refused))} cannot be {done} and left alone: {names}."
            self.message_user(request, text, messages.WARNING)


def _move_one(request: HttpRequest, pk: Any, verb: Callable[[Settlement], None], done: str) -> str:
    """Move one settlement under its lock; what stands in the way, or nothing."""
    with transaction.atomic():
        settlement = Settlement.objects.select_for_update().filter(pk=pk).first()
        if settlement is None:
            return f"{pk} (deleted)"
        before = settlement.get_status_display()
        try:
            verb(settlement)
        except TransitionNotAllowed:
            return f"{settlement} ({before})"
        settlement.save()
        log_change(request, settlement, f"{done.capitalize()}: {before} → {settlement.get_status_display()}")
    return ""


def _settlements(number: int) -> str:
    return f"{number:,} settlement{'' if number == 1 else 's'}"


@admin.register(Payment)
class PaymentAdmin(JobsPanelMixin, PaymentModelAdmin):
    """Payments."""

    list_display = ("shown_amount", "settlement", "shown_status", "created_at")
    list_filter = ("status", "created_at")
    list_select_related = ("settlement",)
    search_fields = ("settlement__description",)
    autocomplete_fields = ("settlement",)
    fields = ("settlement", "amount", "status", "failure_reason", "created_at")
    readonly_fields = ("created_at",)
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    @admin.display(description=_("amount"), ordering="amount")
    def shown_amount(self, payment: Payment) -> SafeString:
        """The amount with its currency."""
        return format_html('<span class="jq-amount">{}</span>', payment.amount)

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, payment: Payment) -> SafeString:
        """The status in colour and in words."""
        return badge(payment.status, payment.get_status_display())


class ReadOnlyAdmin(ReadOnlyModelAdmin):
    """What happened is not edited."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Written by the processors only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Proof of what was sent."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Without its row an e-mail or reminder would be sent again."""
        return False


class TemplateFilter(admin.SimpleListFilter):
    """E-mails of one template, offered without reading every row for its template."""

    title = _("template")
    parameter_name = "template"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every template there is."""
        return [(name, name) for name in TEMPLATE_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The e-mails of that template."""
        return queryset.filter(template_type=self.value()) if self.value() else queryset


@admin.register(EmailDelivery)
class EmailDeliveryAdmin(ReadOnlyAdmin):
    """E-mails and what became of them. The list hides most of an address."""

    list_display = ("template_type", "subject", "hidden_recipient", "shown_status", "tries", "sent_at")
    list_filter = ("status", TemplateFilter)
    search_fields = ("about", "recipient")
    search_help_text = _("The whole address of a recipient, or the id of a settlement.")
    fields = (
        "template_type", "subject", "recipient", "about", "status", "tries", "error", "message_id", "job",
        "created_at", "sent_at",
    )  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EmailDelivery], search_term: str
    ) -> tuple[QuerySet[EmailDelivery], bool]:
        """Whole addresses and whole keys, so that no search reads every row twice."""
        text = search_term.strip()
        if not text:
            return queryset, False
        if "@" in text:
            return queryset.filter(recipient__iexact=text), False
        return queryset.filter(about__in=[text, f"{Settlement._meta.label_lower}:{text}"]), False

    @admin.display(description=_("recipient"))
    def hidden_recipient(self, delivery: EmailDelivery) -> str:
        """Enough of the address to recognise it, too little to read it off."""
        name, _at, domain = delivery.recipient.rpartition("@")
        return f"{name[:1]}…{domain and ' at '}{domain}"

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, delivery: EmailDelivery) -> SafeString:
        """The status in colour and in words."""
        return badge(delivery.status, delivery.get_status_display())


@admin.register(ReminderDelivery)
class ReminderDeliveryAdmin(ReadOnlyAdmin):
    """Reminders that went out, at most one of each."""

    list_display = ("reminder_type", "step", "settlement", "due_date", "recipient", "created_at")
    list_filter = ("reminder_type", "created_at")
    list_select_related = ("settlement", "recipient")
    search_fields = ("settlement__description",)
    fields = ("settlement", "reminder_type", "step", "due_date", "recipient", "email_job", "created_at")
