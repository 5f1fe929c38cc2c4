"""What is not there, not allowed or not to be opened: a page that says so, inside the frame of the admin.

One rule for every page of ours: whatever raises Http404 below the address of a `FramedNotFound`, in its own
pages and in those that Django makes, is answered so, with the ways on. Django itself leads to the index, with
a message there, as if that were found. A refusal names the permission that it takes, and an address that
takes what a button sends says so to who opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, NoReturn

from django.contrib.admin import ModelAdmin
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _

from jobqueue.admin.given_keys import GivenKeys
from jobqueue.operating.rights import told_lacking
from jobqueue.operating.words import printable

_LONGEST_NUMBER = 80
_FORMS = ("add", "change", "delete")
"""The pages of Django's that write."""


class FramedNotFound(GivenKeys):
    """Pages below which what is unknown is a page with status 404, and a refusal names what is missing."""

    view_permission = ""
    """What it takes to look, where that is not Django's permission to view the model."""
    form_permissions: Mapping[str, str] = {}
    """What it takes to `add`, `change` or `delete`, where Django is not asked; what is missing nobody may."""

    @property
    def urls(self) -> list[URLPattern]:
        """The addresses of all pages, each of which answers so."""
        return [self._framed(pattern) for pattern in self.get_urls()]

    def _framed(self, pattern: URLPattern) -> URLPattern:
        if isinstance(pattern, URLPattern):  # Django's own list ends with a redirect that may be more
            form = (pattern.name or "").removeprefix(f"{self.opts.app_label}_{self.opts.model_name}_")
            pattern.callback = self._answering(pattern.callback, form if form in _FORMS else "")
        return pattern

    def _answering(self, view: Callable[..., HttpResponse], form: str) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answering(request: HttpRequest, *arguments: Any, **values: Any) -> HttpResponse:
            try:
                answer = view(request, *arguments, **values)
            except Http404 as error:
                return self._not_found_page(request, error)
            except PermissionDenied as refused:
                raise PermissionDenied(*(refused.args or self._why_refused(request, form))) from None
            if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method in ("GET", "HEAD"):
                return self._not_to_open_page(request, answer)
            return answer

        return answering

    def _why_refused(self, request: HttpRequest, form: str) -> tuple[str, ...]:
        """What a refusal says that names no permission: those that the user lacks, if it is for these."""
        view = self.view_permission or f"{self.opts.app_label}.{get_permission_codename('view', self.opts)}"
        lacking = ""
        if form and not (form == "change" and request.method == "GET"):
            its_own = self._permission_of(form)
            if its_own is None:
                return (_("Nobody may do that, whatever permissions they have."),)
            lacking = told_lacking(request, its_own)
        # Not both at once: to add what one may not see Django asks for no more than to add.
        lacking = lacking or told_lacking(request, view)
        return (lacking,) if lacking else ()

    def _permission_of(self, form: str) -> str | None:
        """What it takes to send such a form; None if nobody may."""
        method = f"has_{form}_permission"
        if getattr(type(self), method) is getattr(ModelAdmin, method):
            return f"{self.opts.app_label}.{get_permission_codename(form, self.opts)}"
        return self.form_permissions.get(form)

    def _not_found_page(self, request: HttpRequest, error: Http404) -> HttpResponse:
        said = error.args[0] if error.args and isinstance(error.args[0], str) else ""
        context = {
            "title": _("Not found"),
            "said": printable(said) or _("There is nothing at this address, or not any more."),
            "hint": _(
                "What is over is deleted after a while, and what somebody deleted is gone. Look for it where"
                " there are others."
            ),
        }
        return self._page_with_ways(request, context, HTTPStatus.NOT_FOUND)

    def _not_to_open_page(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        """To who comes back here after a log-in, or opens the address of a button."""
        context = {
            "title": _("Nothing was done"),
            "said": _("This address takes what a button sends, and shows nothing by itself."),
            "hint": _("If you had to log in first, go back to where the button is and press it again."),
        }
        page = self._page_with_ways(request, context, answer.status_code)
        page.headers["Allow"] = answer.headers["Allow"]
        return page

    def _page_with_ways(self, request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        context = {**frame, **context, "ways": list(self._ways(request))}
        return TemplateResponse(request, "admin/jobqueue/not_found.html", context, status=status)

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
