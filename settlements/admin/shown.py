"""The values of a record that its form shows, and how they differ from the row now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from djmoney.models.fields import MoneyField
from moneyed import Money

from jobqueue.admin import NOTHING
from jobqueue.masking import HIDDEN
from settlements.admin.masked_fields import is_hidden
from settlements.templatetags.settlement_format import money

_LONGEST_VALUE = 80


def values_of(record: models.Model, names: Iterable[str]) -> dict[str, Any]:
    """The record's values of these fields, as JSON knows them; equal if they are the same to a reader."""
    return {name: _plain(getattr(record, _field(record, name).attname)) for name in names}


# One value ----------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    if isinstance(value, Money):
        return [_plain(value.amount), str(value.currency)]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def as_python(model: type[models.Model], name: str, plain: Any) -> Any:
    """The value as the model's field has it."""
    field = _field(model, name)
    if isinstance(field, MoneyField):
        return Money(Decimal(plain[0]), plain[1])
    return (field.target_field if field.is_relation else field).to_python(plain)


def difference(model: type[models.Model], name: str, before: Any, after: Any, currency: str = "") -> str:
    """`status: pending → completed`."""
    field = _field(model, name)
    old, new = (_in_words(field, name, plain, model, currency) for plain in (before, after))
    return f"{field.verbose_name}: {old} → {new}"


def in_words(model: type[models.Model], name: str, plain: Any, currency: str = "") -> str:
    """A value as an operator reads it."""
    return _in_words(_field(model, name), name, plain, model, currency)


def _in_words(field: Any, name: str, plain: Any, model: type[models.Model], currency: str) -> str:
    if plain is None or plain == "":
        return NOTHING
    if is_hidden(plain):
        return HIDDEN
    if isinstance(plain, bool):
        return gettext("yes") if plain else gettext("no")
    value = as_python(model, name, plain)
    if field.is_relation:
        related = field.related_model._base_manager.filter(pk=value).first()
        return str(related) if related is not None else gettext("%(name)s (deleted)") % {"name": plain}
    if isinstance(value, Money):
        return money(value)
    if isinstance(value, Decimal):
        return money(value, currency)
    if isinstance(value, datetime):
        local = timezone.localtime(value)
        return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _field(model: models.Model | type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)
