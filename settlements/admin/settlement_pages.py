"""Settlements: their form with their payments, and the decisions about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from moneyed import Money

from jobqueue.admin import (
    LIVE_SECONDS,
    NOTHING,
    JobsPanelMixin,
    ShownMoments,
    live_answer,
    log_change,
    time_tag,
)
from jobqueue.operating import may_read, shown_text
from settlements.admin.base import FoundByKeyMixin, SettlementsAdmin, amount_tag
from settlements.admin.forms import InlinePaymentForm, KnownAutocomplete, SettlementForm
from settlements.admin.formsets import PaymentFormSet
from settlements.admin.moves import action_for
from settlements.admin.notices import notices_of
from settlements.admin.record_page import CheckedPageMixin, RecordPageMixin
from settlements.admin.simulation_page import urls_of
from settlements.admin.timeline import timeline_of
from settlements.admin.ways_to_people import letters_of
from settlements.asking import as_letters_see_them
from settlements.models import Discrepancy, Payment, ReminderDelivery, Settlement, show_beside
from settlements.operating.asking_moves import ASKING_MOVES
from settlements.operating.settlement_moves import MOVES
from settlements.searching import says, with_key, words_of

if TYPE_CHECKING:
    PaymentTabularInline = admin.TabularInline[Payment, Settlement]
else:
    PaymentTabularInline = admin.TabularInline


class PaymentInline(ShownMoments, PaymentTabularInline):
    """The payments of a settlement, on its page."""

    model = Payment
    form = InlinePaymentForm
    formset: Any = PaymentFormSet
    fields = ("amount", "status", "shown_refunded", "failure_reason", "created_at")
    readonly_fields = ("shown_refunded", "created_at")
    extra = 0
    show_change_link = True

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """The rows, with what their reader may read."""
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.form.may_read = may_read(request)
        return formset

    @admin.display(description=_("refunded"))
    def shown_refunded(self, payment: Payment) -> SafeString | str:
        """How much of it went back."""
        return amount_tag(payment.refunded) if payment.refunded_amount else NOTHING


@admin.register(Settlement)
class SettlementAdmin(FoundByKeyMixin, CheckedPageMixin, RecordPageMixin, JobsPanelMixin, SettlementsAdmin):
    """Settlements with their payments, how they stand, and every job about them."""

    form = SettlementForm
    change_list_template = "admin/settlements/settlements.html"
    moves = (*MOVES, *ASKING_MOVES)
    list_display = ("__str__", "payer", "payee", "shown_amount", "due_date", "shown_status")
    list_filter = ("status", "reminders_paused", "due_date")
    list_select_related = ("payer", "payee")
    search_fields = ("description", "payer__username", "payee__username")
    search_help_text = _("What it is for, who owes whom, or its id.")
    autocomplete_fields = ("payer", "payee")
    readonly_fields = ("shown_status", "shown_history", "created_at")
    inlines = (PaymentInline,)
    actions = [action_for(move) for move in (*MOVES, *ASKING_MOVES)]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Settlement], search_term: str
    ) -> tuple[QuerySet[Settlement], bool]:
        """Those with every word in what they are for or in a name; people are looked up first."""
        if with_key(search_term) is not None:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(*map(says, words_of(search_term))), False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The first status and whether it is history are chosen once."""
        terms = ["description", "payer", "payee", "amount", "due_date"]
        if obj is None:
            return [*terms, "status", "reminders_paused", "history"]
        return [*terms, "shown_status", "reminders_paused", "shown_history", "created_at"]

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """Proof of what was sent may not be deleted alone; with its settlement it has nothing to prove."""
        deleted, counts, refused, protected = super().get_deleted_objects(objs, request)
        proof = {model._meta.verbose_name for model in (ReminderDelivery, Discrepancy)}
        return deleted, counts, refused - proof, protected

    @admin.display(description=_("history"))
    def shown_history(self, settlement: Settlement) -> str:
        """Whether nobody is told of it."""
        if settlement.history:
            return gettext("Yes: nobody is told of it.")
        return gettext("No: people are told of it.")

    def get_urls(self) -> list[URLPattern]:
        """With what changes on the page of one, alone, and the simulation of reminders."""
        view = self.admin_site.admin_view(self.timeline_view)
        timeline = path("<path:object_id>/timeline/", view, name="settlements_settlement_timeline")
        return [timeline, *urls_of(self), *super().get_urls()]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """People are chosen by their names; those of the record are named without asking for them again."""
        if db_field.name in self.autocomplete_fields and db_field.name in ("payer", "payee"):
            kwargs["widget"] = KnownAutocomplete(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Settlement]:
        """With the people, whom every page names; of one also whether a letter reaches its payer."""
        rows = super().get_queryset(request).select_related("payer", "payee", "decided_by")
        is_page_of_one = "object_id" in getattr(request.resolver_match, "kwargs", {})
        return as_letters_see_them(rows) if is_page_of_one else rows

    def story_of(self, record: Settlement, request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
        """The timeline."""
        _keep_payments(record, context)
        return self._timeline(record, request)

    def timeline_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Head and timeline, which the page asks for again and again; the form between them is left alone."""
        record = self.get_object(request, unquote(object_id))
        if not self.has_view_or_change_permission(request, record):
            raise PermissionDenied
        if record is None:
            self.raise_not_found(unquote(object_id))
        show_beside(record, record.payments.all())
        context = {**self._timeline(record, request), **self.head_of(record, request), "opts": self.opts}
        context |= self.panel_of_jobs(request, object_id)
        page = TemplateResponse(request, "admin/settlements/settlement_regions.html", context)
        return live_answer(request, page)

    def _timeline(self, record: Settlement, request: HttpRequest) -> dict[str, Any]:
        name = f"{self.admin_site.name}:settlements_settlement_timeline"
        return {
            "timeline": timeline_of(record, request, self.admin_site),
            "regions_url": reverse(name, args=[record.pk]),
            "seconds": LIVE_SECONDS,
        }

    def facts_of(self, record: Settlement, request: HttpRequest) -> dict[str, Any]:
        """How the settlement stands, who decided it, and what to know of it."""
        standing, currency = record.standing(), record.amount.currency
        return {
            "notices": notices_of(record, request),
            "letters": self._letters(record, request),
            "status": self.shown_status(record),
            "amounts": [
                (_("Owed"), amount_tag(record.amount), ""),
                (_("Paid"), amount_tag(Money(standing.paid, currency)), ""),
                (_("Still open"), amount_tag(Money(standing.open_amount, currency)), ""),
                *(
                    [(_("Too much"), amount_tag(Money(standing.overpaid, currency)), "jq-too-much")]
                    if standing.overpaid
                    else []
                ),
            ],
            "decided_at": time_tag(record.decided_at, timezone.now()),
            "decision": record if record.decided_status else None,
            "decision_reason": shown_text(record.decision_reason, request),
        }

    def _letters(self, record: Settlement, request: HttpRequest) -> list[tuple[Any, str]]:
        """Its people, with the ways to their letters."""
        ways = ((one, letters_of(one, request, self.admin_site)) for one in (record.payer, record.payee))
        return [(person, url) for person, url in ways if url]

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        """The payments are locked while a form about them is looked at."""
        arguments: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if request.method == "POST" and not obj._state.adding:
            rows: QuerySet[Any] = arguments["queryset"]
            arguments["queryset"] = rows.select_for_update(of=("self",), no_key=True).order_by(
                "-created_at", "pk"
            )
        return arguments

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save the payments, and write down with each what was done to it."""
        deleted = [(row.pk, str(row)) for row in (one.instance for one in formset.deleted_forms)]
        super().save_formset(request, form, formset, change)
        for payment, fields in formset.changed_objects:
            log_change(request, payment, f"Changed {', '.join(fields)} on the page of its settlement.")
        for payment in formset.new_objects:
            _log(request, payment.pk, str(payment), ADDITION, "Added on the page of its settlement.")
        for key, text in deleted:
            _log(request, key, text, DELETION, "Deleted on the page of its settlement.")


def _keep_payments(record: Settlement, context: dict[str, Any]) -> None:
    """Leave with the record the payments that its form has read: nobody reads them a second time."""
    for inline in context.get("inline_admin_formsets", ()) if not context.get("errors") else ():
        if inline.formset.model is Payment:
            show_beside(record, inline.formset.get_queryset())


def _log(request: HttpRequest, key: Any, text: str, flag: int, message: str) -> None:
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(Payment),
        object_id=str(key),
        object_repr=text[:200],
        action_flag=flag,
        change_message=message,
    )
