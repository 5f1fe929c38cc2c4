"""What a form showed when it was opened: signed and sent along, for the form alone knows what its reader saw.

A form of several values of a row that others change too asks nobody to give back what was not touched: what
was sent as it had been shown is left as it is by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django import forms
from django.core import signing
from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

SHOWN: Final = "shown_values"
"""The field of a form that carries what the page showed."""
UNKNOWN: Final = _(
    "This form does not say what it showed when it was opened, or that was changed on the way. "
    "Nothing was saved. Look at the page as it is now, then save again."
)
_SALT = "jobqueue.admin.shown"

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """The values a form showed, as JSON knows them, and when."""

    values: Values
    at: datetime


def seal(model: type[models.Model], pk: Any, values: Values) -> str:
    """The values as text that everybody can read, but nobody change, nor use for another record."""
    return signing.dumps([timezone.now().isoformat(), values], salt=_salt(model, pk), compress=True)


def unseal(
    model: type[models.Model], pk: Any, text: str, names: Collection[str] | None = None
) -> Shown | None:
    """What a form showed; None if the text is none that `seal` made for this record, and for these values."""
    try:
        at, values = signing.loads(text, salt=_salt(model, pk))
    except signing.BadSignature:
        return None
    moment = parse_datetime(at)
    if moment is None or not isinstance(values, dict) or (names is not None and set(values) != set(names)):
        return None
    return Shown(values, moment)


def _salt(model: type[models.Model], pk: Any) -> str:
    return f"{_SALT}:{model._meta.label_lower}:{pk}"


class ShownField(forms.CharField):
    """Hidden; no change in itself. A form that is shown again carries it anew, not as it was sent."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, label="")

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows this time."""
        return initial

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Never: whether the record changed is another question."""
        return False
