"""This site's admin: Django's, with rules that hold for the pages of every app in it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig

from spendsync_site.compiling import compile_nothing


class BoundedAdminConfig(AdminConfig):
    """The admin; its search boxes take what a person would type, its forms and lists no key of no row.

    What no row has is a page with status 404 everywhere.
    """

    def ready(self) -> None:
        """Find the pages of all apps, and give these rules to those that do not keep them by themselves."""
        super().ready()
        compile_nothing()
        from knox.models import AuthToken

        from jobqueue.admin import BoundedSearch, FramedNotFound

        # Whoever may add a token on a page could act as anybody: `manage.py api_token` makes them.
        if admin.site.is_registered(AuthToken):
            admin.site.unregister(AuthToken)
        for model, pages in list(admin.site._registry.items()):
            added = [rule for rule in (BoundedSearch, FramedNotFound) if not isinstance(pages, rule)]
            if added:
                admin.site.unregister(model)
                admin.site.register(model, _with(added, type(pages)))


def _with(rules: list[type[Any]], pages: type[Any]) -> type[Any]:
    return type(pages.__name__, (*rules, pages), {"__module__": pages.__module__})
