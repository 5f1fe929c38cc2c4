"""What of a page is data and not for translation: values of rows, names of the code, times and numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any
from zoneinfo import available_timezones

from django.apps import apps
from django.conf import settings as django_settings
from django.db import models
from djmoney.settings import CURRENCY_CHOICES

from jobqueue.registry import all_processors
from settlements.emails import TEMPLATE_TYPES
from settlements.templatetags.settlement_format import active_locale

_WORD = re.compile(r"[^\W\d_]{2,}")
_SYMBOLS = re.compile(
    r"\b(?:\d+(?:\.\d+)? (?:ms|s|min|h|d)|p\d\d|UTC|EUR|ID|HTML|JSON|SpendSync|Redis|AXES|Axes)\b"
    r"|\b\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?(?: [A-Z]{3,4})?)?"
)
_SEARCHED = re.compile(
    r"\b(?:email|error|args\.\w+|state|since|until|about|processor|id|bulk):(?:\"[^\"]*\"|\S*)"
)
_HIDDEN_ADDRESS = re.compile(r"\w?… at [\w.]+")
_OTHERS = ("Django_Rq", "Django-RQ", "Knox", "auth token", "nobody-has-this", "refused")


def data_of_pages() -> set[str]:
    """Every text that stands in a row where it is not chosen from a list, and names."""
    currencies = (str(name) for _code, name in CURRENCY_CHOICES)
    names = (one.name for one in all_processors())
    found = {
        *_OTHERS,
        *active_locale().currencies.values(),
        *currencies,
        *names,
        *TEMPLATE_TYPES,
        *django_settings.RQ_QUEUES,
        *available_timezones(),
    }
    for model in apps.get_models():
        if model._meta.managed and not model._meta.proxy:
            found |= set(_texts_of(model))
    return {text for text in found if _WORD.search(text)}


def _texts_of(model: type[models.Model]) -> Iterator[str]:
    fields: list[Any] = [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField | models.JSONField | models.UUIDField)
        and not field.choices
    ]
    for row in model._default_manager.values_list(*[field.attname for field in fields]):
        for value in row:
            yield from _leaves(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (leaf for part in [*value, *value.values()] for leaf in _leaves(part))
    elif isinstance(value, list):
        yield from (leaf for part in value for leaf in _leaves(part))
    elif value is not None:
        yield re.sub(r"\s+", " ", str(value)).strip()


def words_left(text: str, data: Collection[str]) -> str:
    """What of the text is words that are neither data nor symbols; empty if nothing is."""
    text = _HIDDEN_ADDRESS.sub(" ", _SEARCHED.sub(" ", text))
    for value in sorted((value for value in data if value in text), key=len, reverse=True):
        text = text.replace(value, " ")
    text = _SYMBOLS.sub(" ", text)
    return text.strip() if _WORD.search(text) else ""
