"""What the pages of this app have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import (
    NOTHING,
    BoundedPaginator,
    BoundedSearch,
    FramedNotFound,
    KeyedChangeList,
    ShownMoments,
    address_of,
    badge,
    live_answer,
    tabs_of_field,
)
from jobqueue.operating import in_english
from settlements.admin.masked_fields import MaskedColumns
from settlements.admin.read_records import ReadRecords
from settlements.searching import with_key
from settlements.templatetags.settlement_format import money

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyModelAdmin = admin.ModelAdmin


class SettlementsAdmin(
    MaskedColumns, ReadRecords, ShownMoments, FramedNotFound, BoundedSearch, AnyModelAdmin
):
    """Lists that stay quick, with statuses in colour and amounts with their currency."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    empty_value_display = NOTHING
    list_per_page = 50

    class Media:
        css = {"all": ["jobqueue/admin.css"]}
        js = ["settlements/autocomplete_names.js"]

    has_status_tabs = False
    """Whether the statuses stand above the list; its filter of them is then a `TabsFilter`."""
    list_of_rows: type[KeyedChangeList] = KeyedChangeList

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeyedChangeList]:
        """The list whose pages begin behind a row."""
        return self.list_of_rows

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, kept up to date; its title says what it is of, Django's says "Select … to change"."""
        title = capfirst(self.opts.verbose_name_plural)
        response = super().changelist_view(request, {"title": title, **(extra_context or {})})
        context = getattr(response, "context_data", None) or {}
        if self.has_status_tabs and "cl" in context:
            context["tabs"] = tabs_of_field(context["cl"], "status__exact", self.status_choices())
        return live_answer(request, response)

    def status_choices(self) -> list[tuple[str, Any]]:
        """The statuses that stand above the list, and what each is called."""
        return list(self.model._meta.get_field("status").flatchoices)

    # What is kept names a record in English, whoever changed it: its name says how it stands.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write down that it was added."""
        with in_english():
            return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write down that it was changed."""
        with in_english():
            return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write down that these are deleted."""
        with in_english():
            return super().log_deletions(request, queryset)

    def named(self, record: Any) -> str:
        """What an operator knows the record by, where it is asked about."""
        return str(record)

    @admin.display(description=_("amount"), ordering="amount")
    def shown_amount(self, record: Any) -> SafeString:
        """The amount with its currency."""
        return amount_tag(record.amount)

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, record: Any) -> SafeString:
        """The status in colour and in words."""
        in_words = getattr(record, "status_in_words", None)
        return badge(record.status, in_words or record.get_status_display())


class FoundByKeyMixin(AnyModelAdmin):
    """A list whose search finds by an id too, or by the beginning that pages show of it."""

    found_by: ClassVar[tuple[str, ...]] = ("pk",)
    """Whose id: the record's own, that of its settlement …; the first that fits counts."""

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        """What has that id, if there is any; else what the words find."""
        for column in self.found_by:
            key = with_key(search_term, column)
            by_key = queryset.filter(key) if key is not None else queryset.none()
            if by_key.exists():
                return by_key, False
        return super().get_search_results(request, queryset, search_term)


class ReadOnlyAdmin(SettlementsAdmin):
    """What happened is not edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Written by the processors only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Proof of what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Without its row the same would happen again."""
        return False


def amount_tag(amount: Any, currency: str = "") -> SafeString:
    """An amount with its currency, in figures that stand below each other."""
    return format_html('<span class="jq-amount">{}</span>', money(amount, currency))


def link_to(
    record: models.Model | None, text: str = "", site: admin.AdminSite = admin.site
) -> SafeString | str:
    """A record's name, linked to its page where it has one."""
    if record is None:
        return NOTHING
    url = address_of(type(record), "change", record.pk, site=site)
    return format_html('<a href="{}">{}</a>', url, text or str(record)) if url else text or str(record)
