"""Which permission each verb takes, by the model that it changes."""

from __future__ import annotations

from django.contrib.auth import get_permission_codename
from django.db import models
from django.http import HttpRequest


def may(request: HttpRequest, action: str, model: type[models.Model]) -> bool:
    """Whether the operator has this permission of a model: `view`, `complete`, `close` …"""
    return bool(request.user.has_perm(right(action, model)))


def right(action: str, model: type[models.Model]) -> str:
    """What the permission is called, as `has_perm` is asked for it."""
    return f"{model._meta.app_label}.{get_permission_codename(action, model._meta)}"
