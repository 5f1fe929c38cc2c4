"""What no row has: a page that says so, with the ways on, inside the frame of the admin.

One rule for every page of ours: whatever raises Http404 below the address of a `FramedNotFound`, in its own
pages and in those that Django makes, is answered so. Django itself leads to the index, with a message there,
as if that were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NoReturn

from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _

from jobqueue.admin.given_keys import GivenKeys
from jobqueue.operating.words import printable

_LONGEST_NUMBER = 80


class FramedNotFound(GivenKeys):
    """Pages below which what is unknown is a page with status 404, and a refusal names what is missing."""

    view_permission = ""
    """What it takes to look, where that is not Django's permission to view the model."""

    @property
    def urls(self) -> list[URLPattern]:
        """The addresses of all pages, each of which answers so."""
        return [self._framed(pattern) for pattern in self.get_urls()]

    def _framed(self, pattern: URLPattern) -> URLPattern:
        if isinstance(pattern, URLPattern):  # Django's own list ends with a redirect that may be more
            pattern.callback = self._answering(pattern.callback)
        return pattern

    def _answering(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answering(request: HttpRequest, *arguments: Any, **values: Any) -> HttpResponse:
            try:
                return view(request, *arguments, **values)
            except Http404 as error:
                return self._not_found_page(request, error)
            except PermissionDenied as refused:
                raise PermissionDenied(*(refused.args or self._missing(request))) from None

        return answering

    def _missing(self, request: HttpRequest) -> tuple[str, ...]:
        """What a refusal says that names no permission: that to look, if the user lacks it."""
        name = self.view_permission or f"{self.opts.app_label}.{get_permission_codename('view', self.opts)}"
        if request.user.has_perm(name):
            return ()
        return (_("That takes the permission %(name)s.") % {"name": name},)

    def _not_found_page(self, request: HttpRequest, error: Http404) -> HttpResponse:
        said = error.args[0] if error.args and isinstance(error.args[0], str) else ""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Not found"),
            "opts": self.opts,
            "said": printable(said),
            "ways": list(self._ways(request)),
        }
        return TemplateResponse(request, "admin/jobqueue/not_found.html", context, status=404)

    def _ways(self, request: HttpRequest) -> Iterator[tuple[str, str]]:
        """Where to go on from here: what there is of its kind, and the pages of its app."""
        site = self.admin_site.name
        names: list[tuple[Any, str, list[str]]] = []
        if request.user.has_module_perms(self.opts.app_label):
            names.append((capfirst(self.opts.app_config.verbose_name), "app_list", [self.opts.app_label]))
        if self.has_view_or_change_permission(request):
            list_name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
            names.insert(0, (capfirst(self.opts.verbose_name_plural), list_name, []))
        for label, name, arguments in names:
            try:
                yield str(label), reverse(f"{site}:{name}", args=arguments)
            except NoReverseMatch:
                continue

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> NoReturn:
        """Instead of Django's way back to the index."""
        self.raise_not_found(object_id)

    def raise_not_found(self, number: object) -> NoReturn:
        """Say that there is none with this number or key."""
        words = {
            "name": self.opts.verbose_name,
            "number": Truncator(printable(str(number))).chars(_LONGEST_NUMBER),
        }
        raise Http404(_("There is no %(name)s %(number)s: perhaps it was deleted.") % words)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The history; who may not see it does not learn what there is either."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)
