"""The tag that shows on the admin's index pages what operators ought to know."""

from __future__ import annotations

from typing import Any

from django import template

from jobqueue.admin import notices

register = template.Library()


@register.inclusion_tag("admin/jobqueue/notices.html", takes_context=True)
def jobqueue_notices(context: dict[str, Any]) -> dict[str, Any]:
    """What is set aside, and that another installation uses our Redis, for who may look at these."""
    request = context.get("request")
    return {"notices": notices.on_index(request) if request is not None else []}
