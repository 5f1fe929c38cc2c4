"""The page of a user has a panel on his letters, and says when nothing is sent to his address.

Whatever admin the users of the site have.
"""

from __future__ import annotations

from copy import copy
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.module_loading import module_has_submodule
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import FramedNotFound, LiveRecordMixin
from settlements.admin.input_names import name_parts
from settlements.admin.notices import barred_text
from settlements.admin.person_page import BARRED, at_a_glance, urls_of
from settlements.admin.ways_to_people import may_look
from settlements.operating.people import barred_of

_NOTICE = "barred_address_notice"
_PANEL = "letters_panel"
_STORED = "user_as_stored"
"""A form that is refused has written into the user what nobody saved."""


class BarredAddressMixin(LiveRecordMixin, FramedNotFound):
    """Adds the letters to a user's page; for who may not see these, why nothing is sent to the address."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The user, with what is to be said of the address."""
        user = super().get_object(request, object_id, from_field)
        if user is not None:
            vars(user)[_STORED] = copy(user)
            row = vars(user)[BARRED] = barred_of(user)
            if row is not None:
                vars(user)[_NOTICE] = barred_text(row, request)
        return user

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The admin's own, and before them that nothing reaches the user."""
        added = self._added(request, obj)
        fieldsets = super().get_fieldsets(request, obj)
        return [(None, {"fields": added}), *fieldsets] if added else fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The admin's own, whose dates and times have names for who does not see what stands beside them."""
        form = super().get_form(request, obj, change=change, **kwargs)
        name_parts(form.base_fields)
        return form

    def _added(self, request: HttpRequest, user: Any) -> list[str]:
        if user is None:
            return []
        if may_look(request):
            return ["shown_letters"]
        return ["shown_barred_address"] if _NOTICE in vars(user) else []

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The page; for who may see letters with what the panel says of them."""
        user = context.get("original")
        if user is not None and may_look(request):
            shown = at_a_glance(vars(user).get(_STORED, user), request, vars(user).get(BARRED))
            vars(user)[_PANEL] = partial(_drawn, shown, context, request)
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    def get_urls(self) -> Any:
        """With the page of the user's letters."""
        return [*urls_of(self), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The admin's own, and the notice."""
        fields = super().get_readonly_fields(request, obj)
        return [*fields, *self._added(request, obj)]

    @admin.display(description=_("Letters"))
    def shown_letters(self, user: Any) -> SafeString:
        """What comes next, what was sent last and what was not and why, and the ways to change that."""
        panel: SafeString = vars(user)[_PANEL]()
        return panel

    @admin.display(description=_("E-mail"))
    def shown_barred_address(self, user: Any) -> SafeString:
        """That nothing reaches the user, since when and why."""
        return format_html(
            '<strong class="jq-bad">{}</strong> {} {}.',
            _("No e-mail goes out to this user:"),
            _("the address is"),
            vars(user)[_NOTICE],
        )


class _Media:
    css: ClassVar[dict[str, list[str]]] = {"all": ["jobqueue/admin.css"]}
    js: ClassVar[list[str]] = ["settlements/icon_roles.js"]


def _drawn(shown: dict[str, Any], context: dict[str, Any], request: HttpRequest) -> SafeString:
    """The panel, drawn with the page, which says by then how often it is asked for anew."""
    shown["seconds"] = context.get("seconds")
    return render_to_string("admin/settlements/person_panel.html", shown, request)


def show_barred_addresses_of_users(site: admin.AdminSite) -> None:
    """Put the notice on the page of users, if the site has one."""
    user_model = get_user_model()
    config = apps.get_app_config(user_model._meta.app_label)
    if config.module is not None and module_has_submodule(config.module, "admin"):
        import_module(f"{config.name}.admin")  # autodiscovery may not have come to it yet
    if not site.is_registered(user_model):
        return
    found = type(site.get_model_admin(user_model))
    if not issubclass(found, BarredAddressMixin):
        site.unregister(user_model)
        # The panel brings what is kept up to date: the page keeps the template that the site gave it.
        own = {"Media": _Media, "change_form_template": found.change_form_template}
        site.register(user_model, type(found.__name__, (BarredAddressMixin, found), own))
