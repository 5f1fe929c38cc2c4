"""Keys that a browser sends: what no row can have is refused before a database is asked for it.

One rule for the rows chosen in a list and for the records chosen in a form. Django hands both to its query
as they come, and a word that is no key of the column ends there as a failure of the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from jobqueue.operating.words import printable

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
    AnyRecords = forms.ModelMultipleChoiceField[Any]
else:
    AnyModelAdmin = admin.ModelAdmin
    AnyRecords = forms.ModelMultipleChoiceField

_LONGEST_KEY = 80
_ALL = "0"
"""What our pages send in place of keys where all rows of a list are meant."""


def can_be_key(model: type[models.Model], text: Any) -> bool:
    """Whether a row of the model can have this key: no database has one with a NUL or out of its range."""
    field: Any = model._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    try:
        str(text).encode()
        field.clean(text, None)
    except (ValidationError, ValueError, OverflowError):
        return False
    return "\x00" not in str(text)


def shown_key(text: Any) -> str:
    """As much of it as a message can carry."""
    return Truncator(printable(str(text)).replace("\x00", "\\x00")).chars(_LONGEST_KEY)


class KeyedSelect(AutocompleteSelect):
    """A choice of a record: what can be the key of none is not looked up, its field says that it is wrong."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """The chosen one, named."""
        model = self.field.remote_field.model
        return super().optgroups(name, [key for key in value if not key or can_be_key(model, key)], attr)


class KeyedRecords(AnyRecords):
    """A choice of several records, which looks up none that there cannot be."""

    def clean(self, value: Any) -> Any:
        """The chosen ones; the first that can be none is named."""
        rows: Any = self.queryset
        for key in value if isinstance(value, list | tuple) else ():
            if not can_be_key(rows.model, key):
                error = self.error_messages["invalid_pk_value"]
                raise ValidationError(error, code="invalid_pk_value", params={"pk": shown_key(key)})
        return super().clean(value)


class GivenKeys(AnyModelAdmin):
    """Pages that take no key which no row can have."""

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *where: Any) -> Any:
        """What the action answers; nothing is done where something is chosen that there cannot be."""
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if _means_all(request):
            chosen = [key for key in chosen if key != _ALL]
        wrong = [key for key in chosen if not can_be_key(self.model, key)]
        if not wrong:
            return super().response_action(request, queryset, *where)
        text = _("Nothing was done: no %(name)s can have the key “%(key)s”.")
        words = {"name": self.opts.verbose_name, "key": shown_key(wrong[0])}
        self.message_user(request, text % words, messages.WARNING)
        return None

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What a form begins with; what an address names that its field cannot be is left out."""
        found = super().get_changeform_initial_data(request)
        read = {name: _beginning(self.model, name, value) for name, value in found.items()}
        return {name: value for name, value in read.items() if value is not None}

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Records that are searched for are chosen by keys that there can be."""
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = KeyedSelect(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The same of several records."""
        return super().formfield_for_manytomany(db_field, request, **{"form_class": KeyedRecords, **kwargs})

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row of that key; no database has one with a NUL."""
        return None if "\x00" in object_id else super().get_object(request, object_id, from_field)


def _means_all(request: HttpRequest) -> bool:
    """As Django reads it: all that the list shows, whichever rows were chosen."""
    return forms.BooleanField(required=False).to_python(request.POST.get("select_across", False))


def _beginning(model: type[models.Model], name: str, value: Any) -> Any:
    """What a form's field of that name begins with: inputs of parts fail by what is not of its kind."""
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return value
    if isinstance(value, list):
        return [key for key in value if can_be_key(field.related_model, key)]
    if field.is_relation:
        return value if can_be_key(field.related_model, value) else None
    try:
        return None if "\x00" in value else field.to_python(value)
    except (ValidationError, ValueError, ArithmeticError):
        return None
