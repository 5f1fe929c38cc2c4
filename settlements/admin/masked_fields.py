"""Texts of a record that may name addresses: who may not read payloads sees them without, as over HTTP.

Where such a text is an input of a form, who sees no more of it than that does not change it either: what is
sent back would overwrite the addresses with their masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import NOTHING, mask_addresses
from jobqueue.jobs import has_address
from jobqueue.operating import may_read

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = object

WHY: Final = _("Shown without the addresses in it: only who may read payloads changes it.")
_SALT = "settlements.admin.masked"
_HIDDEN = "hidden"


class MaskedText(forms.Widget):
    """A text that is shown without its addresses, and sent by nobody."""

    read_only = True  # so Django shows it by this widget where the row is only read, too

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The text, and why it is no input."""
        return format_html('<span title="{}">{}</span>', WHY, mask_addresses(str(value or "")) or NOTHING)


class MaskedColumns(AnyAdmin):
    """On a page that is only read these fields of the model are shown without addresses."""

    masked_fields: ClassVar[tuple[str, ...]] = ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The same fields under their headings."""
        found = super().get_fieldsets(request, obj)
        if obj is None or may_read(request) or self.has_change_permission(request, obj):
            return found
        return [
            (title, {**options, "fields": [self._masked(each) for each in options["fields"]]})
            for title, options in found
        ]

    def _masked(self, entry: Any) -> Any:
        model: type[models.Model] = self.model
        is_masked = isinstance(entry, str) and entry in self.masked_fields
        return masked_column(model, entry) if is_masked else entry


@lru_cache(maxsize=64)
def masked_column(model: type[models.Model], name: str) -> Callable[[Any], str]:
    """Always the same one: Django compares the fields of forms with those that are only read."""
    field: Any = model._meta.get_field(name)

    @admin.display(description=field.verbose_name, ordering=name)
    def column(record: Any) -> str:
        return mask_addresses(getattr(record, name)) or NOTHING

    column.__name__ = f"masked_{name}"
    return column


def mask_inputs(form: forms.ModelForm[Any], names: Iterable[str]) -> None:
    """Show these of its texts that name addresses without them, and take no other for them."""
    for name in names:
        field = form.fields.get(name)
        if field is not None and names_address(getattr(form.instance, name)):
            field.disabled, field.widget, field.help_text = True, MaskedText(), WHY


def names_address(value: Any) -> bool:
    """Whether it is a text with an address in it."""
    return isinstance(value, str) and has_address(value)


def hidden(value: Any) -> dict[str, str]:
    """What stands for a text in a form that carries what it showed: equal for equal texts, and no more."""
    return {_HIDDEN: salted_hmac(_SALT, str(value), algorithm="sha256").hexdigest()}


def is_hidden(value: Any) -> bool:
    """Whether it is what stands for a text."""
    return isinstance(value, Mapping) and _HIDDEN in value
