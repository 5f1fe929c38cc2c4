"""The tags with which a page is kept up to date: what changes of it, and the bar that says so."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

# Django imports the tags of every app, also of a project without an admin: nothing of it is imported here.

register = template.Library()


@register.simple_block_tag(takes_context=True)
def region(
    context: template.Context, content: SafeString, name: str, element: str = "div", url: str = ""
) -> SafeString:
    """A part of the page with this id, asked for every `seconds`; with 0 of them it stays as it is.

    It is asked for from the page's own address, unless another answers with it alone. It tells
    how many jobs are failed, for the title.
    """
    known: Any = getattr(context.get("cl"), "live", context)
    seconds = known.get("seconds") or 0
    often = format_html(' data-region-seconds="{}"', f"{seconds:d}") if seconds else ""
    where = format_html(' data-region-url="{}"', url) if seconds and url else ""
    from jobqueue.admin import live, on_every_page

    request = known.get("request")
    title = on_every_page.before_title(request) if seconds and request else ""
    told = format_html(' data-region-title="{}"', title) if seconds else ""
    shown = format_html('<{} id="{}"{}{}{}>{}</{}>', element, name, often, where, told, content, element)
    found: list[str] | None = getattr(request, live.REGIONS, None)
    if found is not None:
        found.append(shown)
    return shown


@register.inclusion_tag("admin/jobqueue/live_bar.html", takes_context=True)
def live_bar(context: template.Context) -> dict[str, Any]:
    """Whether and how often the page is refreshed, and the button that pauses this; with the script."""
    return {
        "seconds": context.get("seconds") or 0,
        "ahead": _("in %(span)s") % {"span": "{}"},
        "ago": _("%(span)s ago") % {"span": "{}"},
    }
