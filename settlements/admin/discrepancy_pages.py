"""What happened and fits nowhere: looked at, and closed with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import NOTHING, LiveRecordMixin, badge, mask_addresses
from jobqueue.masking import without_turns
from jobqueue.operating import may_read
from settlements.admin.base import FoundByKeyMixin, ReadOnlyAdmin, amount_tag, link_to
from settlements.admin.moves import action_for
from settlements.admin.record_page import RecordPageMixin
from settlements.exceptions import DiscrepancyClosed
from settlements.models import Discrepancy
from settlements.operating.moves import Answer, LeftAlone, Move


def _close(discrepancy: Discrepancy, answer: Answer) -> str:
    try:
        discrepancy.close(answer.user, answer.reason)
    except DiscrepancyClosed:
        raise LeftAlone(f"{discrepancy} ({gettext('closed')})") from None
    return "open → closed"


CLOSE: Final = Move(
    name="close",
    label=_("Close"),
    done=_("closed"),
    permission="close",
    notice=_("It was looked after. It is noted again only if it happens with another amount."),
    trouble=lambda discrepancy: "" if discrepancy.is_open else gettext("closed"),
    carry_out=_close,
)


class OpenFilter(admin.SimpleListFilter):
    """Those that nobody has closed, unless others are asked for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """What else there is to see."""
        return [("closed", _("Closed")), ("all", _("All"))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Open ones come first, and are chosen where nothing is."""
        for choice in super().choices(changelist):
            yield {**choice, "display": _("Open")} if "state" not in choice["query_string"] else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The discrepancies in that state."""
        if self.value() == "all":
            return queryset
        return queryset.filter(closed_at__isnull=self.value() != "closed")


@admin.register(Discrepancy)
class DiscrepancyAdmin(LiveRecordMixin, FoundByKeyMixin, RecordPageMixin, ReadOnlyAdmin):
    """Money that is too much, or that books and provider do not agree on."""

    moves = (CLOSE,)
    masked_fields = ("closing_reason",)
    change_form_template = RecordPageMixin.change_form_template
    actions = [action_for(CLOSE)]
    list_display = (
        "shown_kind", "shown_settlement", "shown_payment", "shown_amount", "shown_detail", "opened_at",
        "shown_status",
    )  # fmt: skip
    list_filter = (OpenFilter, "kind")
    list_select_related = ("settlement", "payment")
    search_fields = ("settlement__description",)
    search_help_text = _("What its settlement is for, the id of its settlement, or that of its payment.")
    found_by = ("settlement__pk", "payment__pk")
    fields = (
        "shown_kind", "shown_settlement", "shown_payment", "shown_amount", "shown_detail", "opened_at",
        "shown_status", "closed_at", "closed_by", "closing_reason",
    )  # fmt: skip
    readonly_fields = (
        "shown_kind", "shown_settlement", "shown_payment", "shown_amount", "shown_detail", "whole_detail",
        "shown_status",
    )  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What its page shows: addresses to who may read payloads, as everywhere."""
        fields: Any = super().get_fields(request, obj)
        return ["whole_detail" if name == "shown_detail" and may_read(request) else name for name in fields]

    def named(self, record: Discrepancy) -> str:
        """What it is, and of which settlement."""
        return f"{record}: {record.settlement}"

    @admin.display(description=_("kind"), ordering="kind")
    def shown_kind(self, discrepancy: Discrepancy) -> SafeString:
        """The kind in colour and in words."""
        return badge(f"kind-{discrepancy.kind}", discrepancy.get_kind_display())

    @admin.display(description=_("what was seen"), ordering="detail")
    def shown_detail(self, discrepancy: Discrepancy) -> str:
        """What else is known of it, without addresses."""
        return mask_addresses(_told(discrepancy)) or NOTHING

    @admin.display(description=_("what was seen"))
    def whole_detail(self, discrepancy: Discrepancy) -> str:
        """The same with addresses, as a provider said it."""
        return without_turns(_told(discrepancy)) or NOTHING

    @admin.display(description=_("settlement"))
    def shown_settlement(self, discrepancy: Discrepancy) -> SafeString | str:
        """The settlement, with a link."""
        return link_to(discrepancy.settlement)

    @admin.display(description=_("payment"))
    def shown_payment(self, discrepancy: Discrepancy) -> SafeString | str:
        """The payment, with a link, where one is meant."""
        return link_to(discrepancy.payment)

    @admin.display(description=_("amount"), ordering="amount")
    def shown_amount(self, discrepancy: Discrepancy) -> SafeString:
        """The amount with its currency."""
        return amount_tag(discrepancy.amount, discrepancy.currency)

    @admin.display(description=_("state"), ordering="closed_at")
    def shown_status(self, discrepancy: Discrepancy) -> SafeString:
        """Open or closed."""
        if discrepancy.is_open:
            return badge("open", gettext("open"))
        return badge("closed", gettext("closed"))


def _told(discrepancy: Discrepancy) -> str:
    return gettext(discrepancy.detail) if discrepancy.is_over else discrepancy.detail
