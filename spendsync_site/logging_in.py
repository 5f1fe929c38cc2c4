"""Who somebody is, and what they may do: Django's own way, with a statement less."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.db.models import Q

_KNOWN = "_spendsync_permissions"


class OneQuestionBackend(ModelBackend):
    """As `ModelBackend`, which asks for a user's own permissions and for those of their groups apart.

    Every page of the admin asks what its user may do: together both take one statement.
    """

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Their own permissions and those of their groups, asked for once."""
        if not user_obj.is_active or user_obj.is_anonymous or user_obj.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        if not hasattr(user_obj, _KNOWN):
            own = user_obj.user_permissions.order_by().values("pk")
            of_groups = Permission.objects.filter(group__user=user_obj).order_by().values("pk")
            allowed = Permission.objects.filter(Q(pk__in=own) | Q(pk__in=of_groups)).order_by()
            rows = allowed.values_list("content_type__app_label", "codename")
            setattr(user_obj, _KNOWN, {f"{label}.{codename}" for label, codename in rows})
        known: set[str] = getattr(user_obj, _KNOWN)
        return known
