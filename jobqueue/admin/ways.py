"""Where the pages of models are, in an admin that may do without some of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import models
from django.urls import NoReverseMatch, reverse


def address_of(
    model: type[models.Model], page: str, key: Any = None, *, site: admin.AdminSite = admin.site, **query: str
) -> str:
    """The address of a model's page (`changelist`, `change`, `history`); empty where the admin has none."""
    options = model._meta
    name = f"{site.name}:{options.app_label}_{options.model_name}_{page}"
    try:
        return reverse(name, args=[] if key is None else [quote(key)], query=query or None)
    except NoReverseMatch:
        return ""
