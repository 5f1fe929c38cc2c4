"""The limits of a queue, in words and as a form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin.words import NOTHING
from jobqueue.broker import paces
from jobqueue.broker.limits import MOST_RATE
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Queue
from jobqueue.operating.limits import LIMITS, MOST_CONCURRENCY, MOST_LATE
from jobqueue.operating.words import grouped, printable

if TYPE_CHECKING:
    QueueModelForm = forms.ModelForm[Queue]
else:
    QueueModelForm = forms.ModelForm

_MOST_PROCESSORS = 5


def limits_of(queue: Queue) -> str:
    """The queue's limits in words; nothing if it has none."""
    return ", ".join(
        text % {"number": grouped(limit)}
        for limit, text in (
            (queue.rate_limit, gettext("%(number)s a second")),
            (queue.concurrency_limit, gettext("%(number)s at once")),
            (queue.late_after, gettext("late after %(number)s s")),
        )
        if limit is not None
    )


def starts_of(queues: Iterable[Queue]) -> dict[str, int]:
    """How many starts count against the rate limit of each queue that has one; none if Redis is away."""
    rates = {queue.name: queue.rate_limit for queue in queues if queue.rate_limit is not None}
    try:
        return paces.starts_in_window(rates)
    except BrokerUnavailable:
        return {}


def use_of(queue: Queue, running: str, starts: int | None) -> SafeString:
    """The limits of a queue with what they let through now: `7 of 10 in this second, 3 of 5 running`."""
    parts = []
    if queue.rate_limit is not None:
        number = NOTHING if starts is None else grouped(starts)
        parts.append((number, queue.rate_limit, _("%(number)s of %(limit)s in this second")))
    if queue.concurrency_limit is not None:
        parts.append((running, queue.concurrency_limit, _("%(number)s of %(limit)s running")))
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


def shown_use(running: Sequence[tuple[str, int]]) -> SafeString:
    """Who runs how many jobs now: `email.notification: 7`, the few that run most."""
    rows = [(printable(processor), grouped(number)) for processor, number in running[:_MOST_PROCESSORS]]
    more = [(gettext("others"), grouped(sum(number for _name, number in running[_MOST_PROCESSORS:])))]
    return format_html_join(
        mark_safe("<br>"),
        '<span class="jq-use">{}: {}</span>',
        rows + more if len(running) > _MOST_PROCESSORS else rows,
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


class LimitsForm(QueueModelForm):
    """The limits of one queue."""

    rate_limit = LimitField(
        MOST_RATE,
        _("Rate limit"),
        _("At most so many jobs start in any second, in all workers together. Empty: no limit."),
    )
    concurrency_limit = LimitField(
        MOST_CONCURRENCY,
        _("Concurrency limit"),
        _("At most so many jobs run at once, in all workers together. Empty: no limit."),
    )
    late_after = LateField(
        MOST_LATE,
        _("Late after"),
        _(
            "Seconds that a due job of it may wait before the overview names it. "
            "Empty: the limit of the site, LATE_AFTER."
        ),
    )

    class Meta:
        model = Queue
        fields = LIMITS
