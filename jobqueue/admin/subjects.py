"""What jobs are about: from `"settlements.settlement:<pk>"` to a record's name and admin page."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.core.exceptions import ValidationError
from django.db import connections, models, router, transaction
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from jobqueue import masking
from jobqueue.admin.words import mask_address, mask_addresses
from jobqueue.models import is_shortened
from jobqueue.operating.reading import shown_text
from jobqueue.operating.words import printable
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)

_SHOWN_OF_KEY = 8
_LONGEST_TITLE = 80


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject as a page shows it; without `url` there is nothing to look at, or no permission."""

    text: str
    label: str
    url: str = ""

    def as_html(self) -> SafeString | str:
        """The label, linked to the record where that can be."""
        if not self.url:
            return format_html('<span title="{}">{}</span>', self.text, self.label) if self.text else "–"
        return format_html('<a href="{}" title="{}">{}</a>', self.url, self.text, self.label)


def describe_subjects(texts: Iterable[str], request: HttpRequest, site: AdminSite) -> dict[str, Subject]:
    """The subjects of a page by their text, read with one query for each model."""
    by_model: dict[type[models.Model], dict[str, str]] = defaultdict(dict)
    subjects = {text: Subject(text, _short(text)) for text in texts}
    for text in subjects:
        model, key = (None, "") if is_shortened(text) else _split(text)
        if model is not None and _may_view(model, request, site):
            by_model[model][text] = key
    for model, keys in by_model.items():
        subjects |= _read(model, keys, site)
    # A record's key may be an address.
    return {text: replace(one, text=shown_text(text, request)) for text, one in subjects.items()}


def page_of_record(record: models.Model, request: HttpRequest, site: AdminSite) -> str:
    """The address of the record's page; empty if it has none, or none that the user may see."""
    model = type(record)
    return _url(model, str(record.pk), site) if _may_view(model, request, site) else ""


def page_of_object(label: str, key: str, request: HttpRequest, site: AdminSite) -> str:
    """The address of the page of what stands in a log as `app.model` and key; empty as above."""
    try:
        model = apps.get_model(label) if key else None
    except (LookupError, ValueError):
        return ""
    return _url(model, key, site) if model is not None and _may_view(model, request, site) else ""


def shown_title(title: str) -> str:
    """What a record calls itself, short and without addresses; of one that is an address its beginning."""
    is_address = bool(title) and not masking.mask_addresses(title, "")
    shown = mask_address(title) if is_address else mask_addresses(title)
    return printable(shown[:_LONGEST_TITLE])


def _read(model: type[models.Model], keys: dict[str, str], site: AdminSite) -> dict[str, Subject]:
    by_key = {str(pk): record for pk, record in _records(model, list(keys.values())).items()}
    found = {}
    for text, key in keys.items():
        if key in by_key:
            found[text] = Subject(text, _name_of(by_key[key]) or _short(text), _url(model, key, site))
        else:
            found[text] = Subject(text, gettext("%(name)s (deleted)") % {"name": _short(text)})
    return found


def _records(model: type[models.Model], keys: list[str]) -> dict[Any, models.Model]:
    """The records by their keys. A key that no column of theirs can hold has none."""
    try:
        with _apart(router.db_for_read(model)):
            return model._default_manager.in_bulk(keys)
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        return (
            {pk: one for key in keys for pk, one in _records(model, [key]).items()} if len(keys) > 1 else {}
        )


def _apart(using: str) -> AbstractContextManager[object]:
    """What fails in a transaction of the request must not take the page along."""
    return transaction.atomic(using=using) if connections[using].in_atomic_block else nullcontext()


def _name_of(record: models.Model) -> str:
    """What the record calls itself; empty if it cannot say."""
    try:
        return printable(mask_addresses(str(record))[:_LONGEST_TITLE])
    except Exception as error:
        logger.warning("a %s has no name: %s", record._meta.label, type(error).__name__)
        return ""


def _split(text: str) -> tuple[type[models.Model] | None, str]:
    label, _, key = text.partition(":")
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None, key
    return (model, _as_key(model, key)) if _as_key(model, key) else (None, key)


def _as_key(model: type[models.Model], text: str) -> str:
    """The primary key as the model's own text; empty if the text can be none."""
    try:
        key = model._meta.pk.to_python(text) if text else None
    except (ValidationError, ValueError, OverflowError):
        return ""
    return "" if key is None else str(key)


def _may_view(model: type[models.Model], request: HttpRequest, site: AdminSite) -> bool:
    return site.is_registered(model) and site.get_model_admin(model).has_view_permission(request)


def _url(model: type[models.Model], key: str, site: AdminSite) -> str:
    name = f"{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(f"{site.name}:{name}", args=[quote(key)])
    except NoReverseMatch:
        return ""


def _short(text: str) -> str:
    """`settlement 3f2a9c1e` for a long key; a text that is no subject of a record stays as it is."""
    masked = mask_addresses(text)
    label, colon, key = text.partition(":")
    if not colon or masked != text:
        return masked
    return f"{label.rpartition('.')[2]} {key[:_SHOWN_OF_KEY]}"
