"""The limits of a queue, in words and as a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from jobqueue.broker.queues import MOST_RATE
from jobqueue.models import Queue

if TYPE_CHECKING:
    QueueModelForm = forms.ModelForm[Queue]
else:
    QueueModelForm = forms.ModelForm

MOST_CONCURRENCY = 1_000_000


def limits_of(queue: Queue) -> str:
    """The queue's limits in words; nothing if it has none."""
    return ", ".join(
        f"{limit:,} {what}"
        for limit, what in ((queue.rate_limit, "a second"), (queue.concurrency_limit, "at once"))
        if limit is not None
    )


class LimitField(forms.IntegerField):
    """A whole number from 1 on, or nothing."""

    widget = forms.NumberInput(attrs={"class": "vIntegerField"})
    default_error_messages = {
        "invalid": _("Enter a whole number of 1 or more, or leave this empty for no limit."),
        "zero": _("With 0 no job would start: pause the queue instead. Empty is no limit."),
        "too_much": _("The most is %(most)s. Leave this empty for no limit."),
    }

    def __init__(self, most: int, help_text: Any) -> None:
        super().__init__(required=False, help_text=help_text)
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
                self.error_messages["too_much"], code="too_much", params={"most": f"{self.most:,}"}
            )


class LimitsForm(QueueModelForm):
    """The limits of one queue."""

    rate_limit = LimitField(
        MOST_RATE, _("At most so many jobs start in any second, in all workers together. Empty: no limit.")
    )
    concurrency_limit = LimitField(
        MOST_CONCURRENCY, _("At most so many jobs run at once, in all workers together. Empty: no limit.")
    )

    class Meta:
        model = Queue
        fields = ("rate_limit", "concurrency_limit")
