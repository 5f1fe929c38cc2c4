"""Names for inputs that have no label of their own: whoever hears the page must know what they enter."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from djmoney.forms.widgets import MoneyWidget


def name_parts(fields: dict[str, Any]) -> None:
    """Name each part of inputs that have several: the number and the currency, the date and the time."""
    for field in fields.values():
        if not isinstance(field.widget, forms.MultiWidget):
            continue
        label = _label_of(field)
        words = [label, _("Currency")] if isinstance(field.widget, MoneyWidget) else [_("Date"), _("Time")]
        if isinstance(field, forms.SplitDateTimeField) and not field.help_text:
            field.help_text = _("In the zone %(zone)s.") % {"zone": timezone.get_current_timezone_name()}
        for part, word in zip(field.widget.widgets, words, strict=False):
            part.attrs["aria-label"] = word if word == label else f"{label}: {word}"


def name_all(fields: dict[str, Any]) -> None:
    """Name every input, as rows of a table need, which has its labels in its head only."""
    name_parts(fields)
    for field in fields.values():
        if not isinstance(field.widget, forms.MultiWidget) and not field.widget.is_hidden:
            field.widget.attrs["aria-label"] = _label_of(field)


def _label_of(field: Any) -> str:
    return str(capfirst(field.label or ""))
