"""What somebody may do, asked for once: Django's own way takes a statement more."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Q

_KNOWN = "_spendsync_permissions"


class PermissionsAtOnce:
    """Answers what an active user may do; who that is, `ModelBackend` behind it finds out as ever.

    `ModelBackend` asks for a user's own permissions and for those of their groups apart, and every page of
    the admin asks what its user may do. Sessions keep the name of the backend that let their user in, so it
    stays the one that does.
    """

    def authenticate(self, request: Any, **_credentials: Any) -> None:
        """Let nobody in. It has no `get_user` either, by which Django chooses who lets users in."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Whether the user has the permission; if not, PermissionDenied, so that nobody else is asked."""
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return False
        return _said(perm in _permissions_of(user_obj))

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Whether the user has any permission of the app; raises as above."""
        if not user_obj.is_active or user_obj.is_anonymous:
            return False
        return _said(any(perm.partition(".")[0] == app_label for perm in _permissions_of(user_obj)))


def _said(is_allowed: bool) -> bool:
    if not is_allowed:
        raise PermissionDenied
    return True


def _permissions_of(user: Any) -> set[str]:
    """Their own permissions and those of their groups, as `app.codename`; read once."""
    if not hasattr(user, _KNOWN):
        own = user.user_permissions.order_by().values("pk")
        of_groups = Permission.objects.filter(group__user=user).order_by().values("pk")
        allowed = Permission.objects.filter(Q(pk__in=own) | Q(pk__in=of_groups)).order_by()
        rows = allowed.values_list("content_type__app_label", "codename")
        setattr(user, _KNOWN, {f"{label}.{codename}" for label, codename in rows})
    known: set[str] = getattr(user, _KNOWN)
    return known
