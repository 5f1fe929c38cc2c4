"""Where the letters of a person are, and who may go there."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.utils import quote
from django.contrib.auth import get_permission_codename, get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from jobqueue.operating import told_lacking
from settlements.operating.rights import may
from settlements.searching import LETTERS, VIEW_PERSON


def may_look(request: HttpRequest) -> bool:
    """Whether the user may see letters."""
    return request.user.has_perms(LETTERS.permissions)


def may_see_people(request: HttpRequest) -> bool:
    """Whether people are for the user to see at all, as the API and the admin of users ask."""
    users = get_user_model()
    return request.user.has_perm(VIEW_PERSON) or may(request, "view", users) or may(request, "change", users)


def may_see(person: Any, request: HttpRequest, pages: ModelAdmin[Any]) -> bool:
    """Whether this person is for the user to see: people have a permission of their own beside users."""
    return request.user.has_perm(VIEW_PERSON) or pages.has_view_permission(request, person)


def demand_to_see(person: Any, request: HttpRequest, pages: ModelAdmin[Any]) -> None:
    """Raise PermissionDenied, which names all that is missing, if this user may not see the letters."""
    said = [told_lacking(request, *LETTERS.permissions)]
    if not may_see(person, request, pages):
        users = pages.opts
        either = f"{VIEW_PERSON}, {users.app_label}.{get_permission_codename('view', users)}"
        said.append(_("That takes one of the permissions %(names)s.") % {"names": either})
    if any(said):
        raise PermissionDenied(" ".join(filter(None, said)))


def letters_of(person: Any, request: HttpRequest, site: AdminSite) -> str:
    """The address of a person's letters; empty where there is none that this user may see."""
    user_model = get_user_model()
    if not may_look(request) or not site.is_registered(user_model):
        return ""
    if not may_see(person, request, site.get_model_admin(user_model)):
        return ""
    return address_of_letters(person.pk, site)


def address_of_letters(key: Any, site: AdminSite) -> str:
    """The page of the person with this key; empty in an admin that has none."""
    try:
        return reverse(f"{site.name}:{LETTERS.name}", args=[quote(key)])
    except NoReverseMatch:
        return ""
