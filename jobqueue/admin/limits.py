"""The limits of queues and processors, in words and as forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.own_changes import OwnChangesForm
from jobqueue.admin.reasons import ReasonField
from jobqueue.admin.words import NOTHING
from jobqueue.broker.limits import MOST_RATE
from jobqueue.models import ProcessorLimits, Queue
from jobqueue.operating.limits import LIMITS, MOST_CONCURRENCY, MOST_LATE, PROCESSOR_LIMITS
from jobqueue.operating.processors import ProcessorUse
from jobqueue.operating.words import grouped, printable

_MOST_PROCESSORS = 5


def limits_of(row: Queue | ProcessorLimits) -> str:
    """The limits of a queue or a processor in words; nothing if it has none."""
    return ", ".join(
        text % {"number": grouped(limit)}
        for limit, text in (
            (row.rate_limit, gettext("%(number)s a second")),
            (row.concurrency_limit, gettext("%(number)s at once")),
            (getattr(row, "late_after", None), gettext("late after %(number)s s")),
        )
        if limit is not None
    )


def use_of(row: Queue | ProcessorLimits, running: str, starts: int | None) -> SafeString:
    """The limits with what they let through now: `7 of 10 in this second, 3 of 5 running`."""
    parts = []
    if row.rate_limit is not None:
        number = NOTHING if starts is None else grouped(starts)
        parts.append((number, row.rate_limit, _("%(number)s of %(limit)s in this second")))
    if row.concurrency_limit is not None:
        parts.append((running, row.concurrency_limit, _("%(number)s of %(limit)s running")))
    return format_html_join(
        mark_safe("<br>"),
        '<span class="jq-use{}">{}</span>',
        (
            (
                " jq-full" if number == grouped(limit) else "",
                text % {"number": number, "limit": grouped(limit)},
            )
            for number, limit, text in parts
        ),
    )


def shown_use(running: Sequence[tuple[str, int]], limited: Sequence[ProcessorUse] = ()) -> SafeString:
    """Who runs how many jobs now: `email.notification: 7`, the few that run most.

    Before them the `limited` processors of the queue, with what their limits let through:
    `email.notification: 7 of 10 running`.
    """
    names = {use.name for use in limited}
    others = [(name, number) for name, number in running if name not in names]
    rows = [(printable(processor), grouped(number)) for processor, number in others[:_MOST_PROCESSORS]]
    more = [(gettext("others"), grouped(sum(number for _name, number in others[_MOST_PROCESSORS:])))]
    first = [(printable(use.name), use_of(use.limits, grouped(use.active), use.starts)) for use in limited]
    return format_html_join(
        mark_safe("<br>"),
        '<span class="jq-use">{}: {}</span>',
        first + rows + (more if len(others) > _MOST_PROCESSORS else []),
    )


class LimitField(forms.IntegerField):
    """A whole number from 1 on, or nothing."""

    widget = forms.NumberInput(attrs={"class": "vIntegerField"})
    default_error_messages = {
        "invalid": _("Enter a whole number of 1 or more, or leave this empty for no limit."),
        "zero": _("With 0 no job would start: pause the queue instead. Empty is no limit."),
        "too_much": _("The most is %(most)s. Leave this empty for no limit."),
    }

    def __init__(self, most: int, label: Any, help_text: Any) -> None:
        super().__init__(required=False, label=label, help_text=help_text)
        self.most = most

    def validate(self, value: int | None) -> None:
        """Refuse what is no limit, and say what to do instead."""
        if value is None:
            return
        if value == 0:
            raise ValidationError(self.error_messages["zero"], code="zero")
        if value < 0:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        if value > self.most:
            raise ValidationError(
                self.error_messages["too_much"], code="too_much", params={"most": grouped(self.most)}
            )


class LateField(LimitField):
    """Seconds from 1 on, or nothing."""

    default_error_messages = {
        "invalid": _("Enter whole seconds, 1 or more, or leave this empty for the limit of the site."),
        "zero": _("Enter whole seconds, 1 or more, or leave this empty for the limit of the site."),
        "too_much": _("The most is %(most)s seconds. Leave this empty for the limit of the site."),
    }


def _rate_field() -> LimitField:
    text = _("At most so many jobs start in any second, in all workers together. Empty: no limit.")
    return LimitField(MOST_RATE, _("Rate limit"), text)


def _concurrency_field() -> LimitField:
    text = _("At most so many jobs run at once, in all workers together. Empty: no limit.")
    return LimitField(MOST_CONCURRENCY, _("Concurrency limit"), text)


class LimitsForm(OwnChangesForm):
    """The limits of one queue."""

    limits = LIMITS

    rate_limit = _rate_field()
    concurrency_limit = _concurrency_field()
    late_after = LateField(
        MOST_LATE,
        _("Late after"),
        _(
            "Seconds that a due job of it may wait before the overview names it. "
            "Empty: the limit of the site, LATE_AFTER."
        ),
    )

    reason = ReasonField()

    class Meta:
        model = Queue
        fields = LIMITS


class ProcessorLimitsForm(OwnChangesForm):
    """The limits of one processor."""

    limits = PROCESSOR_LIMITS

    rate_limit = _rate_field()
    concurrency_limit = _concurrency_field()

    reason = ReasonField()

    class Meta:
        model = ProcessorLimits
        fields = PROCESSOR_LIMITS
