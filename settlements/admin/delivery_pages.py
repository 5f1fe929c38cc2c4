"""What was sent: e-mails and reminders, and whether the mail server takes any now."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import (
    COUNT_LIMIT,
    NOTHING,
    BoundedCount,
    LiveRecordMixin,
    TabsFilter,
    mask_address,
    mask_addresses,
)
from jobqueue.masking import without_turns
from jobqueue.operating import may_read
from settlements.admin.base import FoundByKeyMixin, ReadOnlyAdmin, link_to
from settlements.admin.letter_times import error_of, with_ends, with_letters
from settlements.deliveries import deferred_among_newest
from settlements.emails import TEMPLATE_TYPES
from settlements.letter_words import letter_word
from settlements.models import EmailDelivery, ReminderDelivery, Settlement
from settlements.rows import letters_to
from settlements.searching import with_key, with_subject


def name_of(person: Any) -> str:
    """What a page calls a person."""
    return without_turns(person.get_full_name() or person.get_username())


class TemplateFilter(admin.SimpleListFilter):
    """E-mails of one template, offered without reading every row for its template."""

    title = _("template")
    parameter_name = "template"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every template there is."""
        return [(name, letter_word(name)) for name in TEMPLATE_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The e-mails of that template."""
        return queryset.filter(template_type=self.value()) if self.value() else queryset


_PERHAPS_SENT: Final = "perhaps_sent"


class StatusFilter(TabsFilter):
    """The statuses of e-mails, and those of which nobody knows whether they were sent."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The e-mails of that status."""
        asked = self.used_parameters.get(self.lookup_kwarg)
        if asked in (_PERHAPS_SENT, [_PERHAPS_SENT]):
            return queryset.filter(EmailDelivery.perhaps_sent())
        found = super().queryset(request, queryset)
        found = queryset if found is None else found
        sending = EmailDelivery.Status.SENDING
        return found.exclude(EmailDelivery.perhaps_sent()) if asked in (sending, [sending]) else found


PERSON: Final = "person"
"""Names the person in the address of the list: the page of a person leads to all that was sent to them."""


class PersonFilter(admin.SimpleListFilter):
    """The e-mails to one person, as the person's own page counts them; there where an address names one."""

    title = _("person")
    parameter_name = PERSON

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The person who is named, and no other."""
        key = self.value()
        self._person = _person(key) if key is not None else None
        name = name_of(self._person) if self._person else key
        return [] if key is None else [(key, str(name))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The e-mails to the person; none where there is no such person."""
        if self.value() is None:
            return queryset
        return queryset.filter(letters_to(self._person)) if self._person is not None else queryset.none()


def _person(key: str) -> Any:
    """The user with that key; None if there is none, or if it can be no key."""
    users = get_user_model()
    with suppress(ValidationError, ValueError, OverflowError):
        return users._default_manager.filter(pk=users._meta.pk.to_python(key)).first()
    return None


@admin.register(EmailDelivery)
class EmailDeliveryAdmin(LiveRecordMixin, ReadOnlyAdmin):
    """E-mails and what became of them. The list hides most of an address."""

    change_list_template = "admin/settlements/emails.html"
    list_display = (
        "letter",
        "shown_subject",
        "hidden_recipient",
        "user",
        "shown_status",
        "tries",
        "sent_at",
    )
    has_status_tabs = True
    list_filter = (("status", StatusFilter), TemplateFilter, PersonFilter)
    list_select_related = ("user",)
    search_fields = ("about", "recipient", "provider_id")
    search_help_text = _("The whole address of a recipient, the id of a settlement, or the provider's id.")
    fields = (
        "letter", "shown_subject", "recipient", "user", "shown_about", "shown_status", "tries", "error",
        "message_id", "provider_id", "job", "created_at", "sent_at",
    )  # fmt: skip
    readonly_fields = (
        "shown_status",
        "letter",
        "shown_subject",
        "whole_subject",
        "shown_about",
        "ours",
        "ours_masked",
    )
    masked_fields = ("error",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailDelivery]:
        """E-mails, with what became of their jobs: one that was being sent when its job ended says so."""
        return with_ends(super().get_queryset(request))

    def status_choices(self) -> list[tuple[str, Any]]:
        """The statuses; beside what is being sent, what perhaps was."""
        sending, *others = super().status_choices()
        return [sending, (_PERHAPS_SENT, _("perhaps sent")), *others]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, with a warning above it while e-mails wait for the mail server."""
        context: dict[str, Any] = dict(extra_context or {})
        if self.has_view_or_change_permission(request):
            context |= {"deferred": deferred_now(), "deferred_error": latest_deferral()}
        return super().changelist_view(request, context)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What its page shows: addresses to who may read payloads, as everywhere."""
        fields: Any = super().get_fields(request, obj)
        whole, hidden = {"shown_subject": "whole_subject"}, {"recipient": "hidden_recipient"}
        others = whole if may_read(request) else hidden
        if obj is not None and obj.status in (obj.Status.SENDING, obj.Status.SKIPPED):
            others = others | {"error": "ours" if may_read(request) else "ours_masked"}
        return [others.get(name, name) for name in fields]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EmailDelivery], search_term: str
    ) -> tuple[QuerySet[EmailDelivery], bool]:
        """Whole addresses and ids, or the beginning of one, so that no search reads every row twice."""
        text = search_term.strip()
        if not text:
            return queryset, False
        if "@" in text:
            # A Message-ID at the provider may look like an address.
            return queryset.filter(Q(recipient__iexact=text) | Q(provider_id=text)), False
        of_settlement = with_subject(text, Settlement, "about") or Q(about=text)
        return queryset.filter(of_settlement | Q(provider_id=text)), False

    @admin.display(description=_("letter"), ordering="template_type")
    def letter(self, delivery: EmailDelivery) -> str:
        """What the letter is called."""
        return letter_word(delivery.template_type)

    @admin.display(description=EmailDelivery._meta.get_field("subject").verbose_name, ordering="subject")
    def shown_subject(self, delivery: EmailDelivery) -> str:
        """As the letter has it, without addresses."""
        return mask_addresses(delivery.subject)

    @admin.display(description=_("subject"))
    def whole_subject(self, delivery: EmailDelivery) -> str:
        """The same with addresses, but for what would turn the page's own words round."""
        return without_turns(delivery.subject)

    @admin.display(description=EmailDelivery._meta.get_field("error").verbose_name)
    def ours(self, delivery: EmailDelivery) -> str:
        """Why it was skipped, or that nobody knows whether it was sent, as the reader says it."""
        return error_of(delivery) or NOTHING

    @admin.display(description=EmailDelivery._meta.get_field("error").verbose_name)
    def ours_masked(self, delivery: EmailDelivery) -> str:
        """The same without addresses, which the reason that somebody gave may name."""
        return mask_addresses(error_of(delivery)) or NOTHING

    @admin.display(description=_("about"))
    def shown_about(self, delivery: EmailDelivery) -> SafeString | str:
        """The settlement, with the way to its page; of one that is gone, and of what is none, the key."""
        model, _colon, key = delivery.about.partition(":")
        is_one = model == Settlement._meta.label_lower
        found = with_key(key) if is_one else None
        settlement = Settlement.objects.filter(found).first() if found is not None else None
        return link_to(settlement) if settlement is not None else delivery.about or NOTHING

    @admin.display(description=_("recipient"))
    def hidden_recipient(self, delivery: EmailDelivery) -> str:
        """Enough of the address to recognise it, too little to read it off."""
        return mask_address(delivery.recipient)


def deferred_now() -> BoundedCount:
    """How many of the newest e-mails wait for the mail server; older ones would have to be looked for."""
    count = BoundedCount(deferred_among_newest(COUNT_LIMIT).count())
    count.stopped = count >= COUNT_LIMIT
    return count


def latest_deferral() -> str:
    """What the mail server said last to one that waits."""
    errors = deferred_among_newest(COUNT_LIMIT).order_by("-pk").values_list("error", flat=True)
    return mask_addresses(errors.first() or "")


@admin.register(ReminderDelivery)
class ReminderDeliveryAdmin(LiveRecordMixin, FoundByKeyMixin, ReadOnlyAdmin):
    """Reminders, at most one of each, and whether they were delivered."""

    ordering = ("-id",)  # as they were written: by their time 300,000 would be sorted
    list_display = (
        "reminder_type", "step", "settlement", "due_date", "recipient", "shown_status", "created_at",
    )  # fmt: skip
    has_status_tabs = True
    list_filter = (("status", TabsFilter), "reminder_type", "created_at")
    list_select_related = ("settlement", "recipient")
    search_fields = ("settlement__description",)
    found_by = ("settlement__pk",)
    search_help_text = _("What its settlement is for, or the id of its settlement.")
    fields = (
        "settlement", "reminder_type", "step", "due_date", "recipient", "shown_status", "email_job",
        "created_at",
    )  # fmt: skip
    readonly_fields = ("shown_status",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReminderDelivery]:
        """Reminders, with what became of their e-mails: one that is perhaps sent says so."""
        return with_letters(super().get_queryset(request))
