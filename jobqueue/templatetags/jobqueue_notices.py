"""The tag that shows on the admin's index pages what operators ought to know."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("admin/jobqueue/notices.html", takes_context=True)
def jobqueue_notices(context: dict[str, Any]) -> dict[str, Any]:
    """What is set aside, and that another installation uses our Redis, for who may look at these."""
    # Django imports the tags of every app, also of a project without an admin.
    from jobqueue.admin import notices

    request = context.get("request")
    return {"notices": notices.on_index(request) if request is not None else []}


@register.inclusion_tag("admin/jobqueue/recent_actions.html", takes_context=True)
def jobqueue_recent_actions(context: dict[str, Any]) -> dict[str, Any]:
    """What the user did last, one line an action: Django's own list has a line for each job of it."""
    from jobqueue.admin import audit_pages

    request = context.get("request")
    return audit_pages.recent_actions(request) if request is not None else {}
