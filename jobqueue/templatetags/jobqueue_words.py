"""How pages of the job queue say what they show."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def worker_word(name: str) -> SafeString:
    """A worker's name, shortened where it was made up."""
    # Django imports this file in projects without its admin too.
    from jobqueue.admin import words

    return words.worker_word(name)


@register.filter
def grouped(number: int) -> str:
    """A number with separators, `12,345`; one that was not counted to its end says so itself."""
    from jobqueue.operating import words

    return str(number) if hasattr(number, "stopped") else words.grouped(number)


@register.filter
def for_reader(text: str, may_read: bool) -> str:
    """What is kept as it is for who may read payloads; for others without what `mask_text` hides."""
    from jobqueue.operating import words

    return words.printable(text if may_read else words.mask_text(text))


@register.simple_tag
def moment(moment: datetime | None) -> SafeString | str:
    """A moment exactly, with its zone, and how far from now it is."""
    from jobqueue.admin import words
    from jobqueue.sql.clock import about_now

    return words.time_tag(moment, about_now())
