"""Addresses that nothing is sent to: found by the whole address, added by hand, cleared with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import LiveRecordMixin, badge, mask_address, mask_addresses
from jobqueue.operating import may_read
from settlements.addresses import bar
from settlements.admin.base import ReadOnlyAdmin
from settlements.admin.moves import action_for
from settlements.admin.record_page import RecordPageMixin
from settlements.models import BarredAddress
from settlements.operating.moves import Answer, Move
from settlements.operating.rights import may

if TYPE_CHECKING:
    BarredAddressModelForm = forms.ModelForm[BarredAddress]
else:
    BarredAddressModelForm = forms.ModelForm


PAUSED_WORD: Final = _("paused by an operator")


def _clear(barred: BarredAddress, answer: Answer) -> str:
    barred.clear(answer.user, answer.reason)
    return "paused → resumed" if barred.is_paused else "barred → cleared"


def _trouble(barred: BarredAddress, *, is_paused: bool) -> str:
    """What an operator paused is resumed; what a server said is cleared."""
    if not barred.is_barred:
        return gettext("cleared")
    if barred.is_paused == is_paused:
        return ""
    return str(PAUSED_WORD) if barred.is_paused else gettext("not paused")


CLEAR: Final = Move(
    name="clear",
    label=_("Clear"),
    done=_("cleared"),
    permission="clear",
    notice=_("E-mails go out to it again. If it bounces or complains again, it is barred again."),
    trouble=lambda barred: _trouble(barred, is_paused=False),
    carry_out=_clear,
)
RESUME: Final = Move(
    name="resume",
    label=_("Let letters go out again"),
    done=_("resumed"),
    verb="Resume",
    permission="resume",
    notice=_("E-mails go out to it again."),
    trouble=lambda barred: _trouble(barred, is_paused=True),
    carry_out=_clear,
)


class BarredAddressForm(BarredAddressModelForm):
    """An address that somebody bars by hand, also one that was cleared, or barred for less."""

    address = forms.EmailField(label=_("Address"), max_length=254)

    def clean_address(self) -> str:
        """In small letters."""
        return str(self.cleaned_data["address"]).lower()

    def clean(self) -> dict[str, Any]:
        """Not barred yet, or for a cause that says less: who complains meanwhile is heard."""
        entered: dict[str, Any] = super().clean() or self.cleaned_data
        barred = BarredAddress.objects.barred().among(entered.get("address", "")).first()
        if barred is not None and not barred.yields_to(entered.get("cause", "")):
            self.add_error("address", ValidationError(_("This address is barred already."), code="barred"))
        return entered

    def validate_unique(self) -> None:
        """One that is there is barred again, not added."""


class BarredFilter(admin.SimpleListFilter):
    """Barred or cleared."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Both states."""
        return [("barred", _("Barred")), ("cleared", _("Cleared"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The addresses in that state."""
        if self.value() not in ("barred", "cleared"):
            return queryset
        return queryset.filter(cleared_at__isnull=self.value() == "barred")


class CauseFilter(admin.SimpleListFilter):
    """Why it is barred; also those that an operator paused, which is no cause that servers give."""

    title = _("cause")
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Every cause there is."""
        return [*BarredAddress.Cause.choices, (BarredAddress.PAUSED, PAUSED_WORD)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The addresses of that cause."""
        return queryset.filter(cause=self.value()) if self.value() else queryset


@admin.register(BarredAddress)
class BarredAddressAdmin(LiveRecordMixin, RecordPageMixin, ReadOnlyAdmin):
    """Addresses that nothing is sent to. The list hides most of an address."""

    form = BarredAddressForm
    form_permissions = {"add": "settlements.add_barredaddress"}
    moves = (CLEAR, RESUME)
    change_form_template = RecordPageMixin.change_form_template
    actions = [action_for(CLEAR), action_for(RESUME)]
    list_display = ("hidden_address", "shown_status", "shown_cause", "barred_at", "shown_detail")
    list_filter = (BarredFilter, CauseFilter)
    search_fields = ("address",)
    search_help_text = _("The whole address.")
    readonly_fields = ("hidden_address", "shown_status")
    masked_fields = ("detail", "clearing_reason")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is entered by hand, and what is known later; addresses to who may read payloads."""
        entered = ["address", "cause", "detail"]
        if obj is None:
            return entered
        shown = entered if may_read(request) else ["hidden_address", "cause", "detail"]
        return [*shown, "barred_at", "shown_status", "cleared_at", "cleared_by", "clearing_reason"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Somebody may have complained by telephone."""
        return may(request, "add", BarredAddress)

    def save_model(self, request: HttpRequest, obj: BarredAddress, form: Any, change: bool) -> None:
        """Bar it, also if it had been barred and cleared before."""
        using = router.db_for_write(BarredAddress)
        obj.pk = bar(obj.address, obj.cause, obj.detail, using=using).pk
        obj.refresh_from_db()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BarredAddress], search_term: str
    ) -> tuple[QuerySet[BarredAddress], bool]:
        """Whole addresses only: a part would let anybody try out who is in here."""
        text = search_term.strip().lower()
        return (queryset.filter(address=text) if text else queryset), False

    @admin.display(description=_("address"))
    def hidden_address(self, barred: BarredAddress) -> str:
        """Enough of the address to recognise it, too little to read it off."""
        return mask_address(barred.address)

    def named(self, record: BarredAddress) -> str:
        """Its address, as far as it is shown, and what happened."""
        return f"{mask_address(record.address)}: {record.get_cause_display()}"

    @admin.display(description=_("cause"), ordering="cause")
    def shown_cause(self, barred: BarredAddress) -> SafeString:
        """The cause in colour and in words."""
        return badge(barred.cause, str(PAUSED_WORD) if barred.is_paused else barred.get_cause_display())

    @admin.display(description=_("what was said"))
    def shown_detail(self, barred: BarredAddress) -> str:
        """What was said, without addresses."""
        return mask_addresses(barred.detail)

    @admin.display(description=_("state"), ordering="cleared_at")
    def shown_status(self, barred: BarredAddress) -> SafeString:
        """Barred or cleared."""
        if barred.is_barred:
            word = "paused" if barred.is_paused else "barred"
            return badge(word, gettext(word))
        return badge("cleared", gettext("cleared"))
