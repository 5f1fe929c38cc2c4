"""The tags that show on the admin's pages what operators ought to know."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.conf import get_settings

# Django imports the tags of every app, also of a project without an admin: pages are imported when shown.

register = template.Library()

_ELSEWHERE = "#content-start"
"""At the end of an address in the menu: Django does not mark it as that of the page that is shown."""


@register.inclusion_tag("admin/jobqueue/notices.html", takes_context=True)
def jobqueue_notices(context: dict[str, Any]) -> dict[str, Any]:
    """What is set aside, and that another installation uses our Redis, for who may look at these."""
    from jobqueue.admin import notices

    request = context.get("request")
    return {"notices": notices.on_index(request) if request is not None else []}


@register.inclusion_tag("admin/jobqueue/overview.html", takes_context=True)
def jobqueue_overview(context: dict[str, Any]) -> dict[str, Any]:
    """Whether anything is wrong, and a tile for each queue."""
    from jobqueue.admin import overview

    request = context.get("request")
    found: dict[str, Any] = overview.context_of(request) if request is not None else {"seen": None}
    seen = found["seen"]
    if request is not None and request.user.has_perm("jobqueue.view_job"):
        found["search_url"] = _url(request, "jobqueue_job_changelist")
    # A database that hangs is not asked once more.
    if request is not None and seen is not None and not seen.away:
        found |= overview.chart_of(request, seen.now)
    return found | {"csrf_token": context.get("csrf_token")}


@register.simple_tag(takes_context=True)
def jobqueue_seen(context: dict[str, Any]) -> str:
    """Ask all that the overview shows before the rest of the page is drawn, which has its numbers from it."""
    from jobqueue.admin import overview

    request = context.get("request")
    if request is not None:
        overview.seen_by(request)
    return ""


@register.simple_tag(takes_context=True)
def jobqueue_failed(context: dict[str, Any]) -> str:
    """What stands before the title of every page: how many jobs are failed, for who may see jobs."""
    request = context.get("request")
    if not isinstance(request, HttpRequest) or context.get("is_popup"):
        return ""
    from jobqueue.admin import on_every_page

    return on_every_page.before_title(request)


@register.simple_tag(takes_context=True)
def jobqueue_banner(context: dict[str, Any]) -> SafeString:
    """What is paused, by whom, why, until when, and how many jobs wait for it."""
    request = context.get("request")
    if not isinstance(request, HttpRequest) or context.get("is_popup"):
        return SafeString("")
    from jobqueue.admin import on_every_page

    return on_every_page.banner(request)


@register.simple_tag
def jobqueue_environment() -> str:
    """What this site is called in JOBQUEUE["ENVIRONMENT"]: production, say."""
    return get_settings().environment


@register.simple_tag(takes_context=True)
def jobqueue_menu(context: dict[str, Any]) -> str:
    """Put the overview first of all pages, in the menu and on the index, before the job queue's others.

    What runs now and the calendar follow: they are pages below that of jobs, and asked for at night.
    """
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        return ""
    url = _url(request, "app_list", "jobqueue")
    for apps in (context.get("available_apps"), context.get("app_list")):
        ours = next((app for app in apps or () if app["app_label"] == "jobqueue"), None)
        if apps is None or ours is None or not url:
            continue
        apps[:] = [ours, *(app for app in apps if app is not ours)]
        pages = ours["models"]
        if pages and pages[0]["object_name"] != "Overview":
            pages[:] = [*_first(url, request, pages), *pages]
    return ""


def _first(url: str, request: HttpRequest, pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [_menu_entry("Overview", _("Overview"), _distinct(url, request))]
    jobs = next((page for page in pages if page["object_name"] == "Job"), None)
    if jobs is None:
        return found
    for name, label in (("running", _("Running")), ("calendar", _("Calendar"))):
        below = _url(request, f"jobqueue_job_{name}")
        if below and request.path.startswith(below):
            jobs["admin_url"] += _ELSEWHERE
        found += [_menu_entry(name.capitalize(), label, below)] if below else []
    return found


@register.inclusion_tag("admin/jobqueue/recent_actions.html", takes_context=True)
def jobqueue_recent_actions(context: dict[str, Any]) -> dict[str, Any]:
    """What the user did last, one line an action: Django's own list has a line for each job of it."""
    from jobqueue.admin import audit_pages

    request = context.get("request")
    return audit_pages.recent_actions(request) if request is not None else {}


def _distinct(url: str, request: HttpRequest) -> str:
    """Django marks an entry on all pages whose paths contain its address, and each of ours begins so."""
    return url + _ELSEWHERE if request.path != url and request.path.startswith(url) else url


def _menu_entry(name: str, label: str, url: str) -> dict[str, Any]:
    return {
        "name": label,
        "object_name": name,
        "admin_url": url,
        "add_url": None,
        "view_only": True,
        "perms": {"view": True},
    }


def _url(request: Any, name: str, *arguments: str) -> str:
    try:
        return reverse(f"admin:{name}", args=arguments, current_app=getattr(request, "current_app", None))
    except NoReverseMatch:
        return ""
