"""Times, states and names as the pages show them. Everything that reaches HTML is escaped here."""

from __future__ import annotations

import re
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from jobqueue.models import Worker, title_of
from jobqueue.operating import words
from jobqueue.operating.words import absolute, printable, relative
from jobqueue.operating.words import span as length
from jobqueue.operating.workers import state_of

NOTHING = "–"

_STATES = {
    "waiting": _("waiting"),
    "delayed": _("delayed"),
    "held": _("held"),
    "active": _("active"),
    "stuck": _("stuck"),
    "completed": _("completed"),
    "skipped": _("skipped"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
    "paused": _("paused"),
    "running": _("running"),
    "alive": _("alive"),
    "quiet": _("quiet"),
    "silent": _("silent"),
    "stopping": _("stopping"),
    "retried": _("retried"),
    "stopped": _("stopped"),
}
_NAME_PARTS = re.compile(r"[^._]*[._]?")


def time_tag(moment: datetime | None, now: datetime) -> SafeString | str:
    """`2026-11-26 16:00:00 UTC · in 3 h`: both are read, none has to be pointed at."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time class="jq-time" datetime="{}">{} · <small>{}</small></time>',
        moment.isoformat(),
        absolute(moment),
        relative(moment, now),
    )


def length_tag(since: datetime, now: datetime) -> SafeString:
    """`12 min`: how long it has been so; the page counts on by itself."""
    return format_html(
        '<time class="jq-length" datetime="{}">{}</time>', since.isoformat(), length(now - since)
    )


def badge(word: str, label: str = "") -> SafeString:
    """A state as coloured text in a frame; the word says it too."""
    return format_html('<span class="jq-badge jq-{}">{}</span>', word, label or state_label(word))


def worker_badge(worker: Worker, now: datetime) -> SafeString:
    """How a worker stands at that moment; one that is quiet looks as what is paused."""
    word = state_of(worker, now)
    return badge("paused" if word == "quiet" else word, state_label(word))


def state_label(word: str) -> str:
    """The word for a state in the language of the page."""
    return str(_STATES.get(word, word))


def breakable(name: str) -> SafeString:
    """A processor's name, with places where a narrow column may break it."""
    parts = ((part,) for part in _NAME_PARTS.findall(name))
    return format_html_join(mark_safe("<wbr>"), "{}", parts)


def worker_word(name: str) -> SafeString:
    """What people call the worker of this name, which is told in full where it is pointed at."""
    return format_html('<span title="{}">{}</span>', printable(name), printable(title_of(name)))


def mask_addresses(text: str) -> str:
    """`text` as a page can show it, without the e-mail addresses in it."""
    return printable(words.mask_addresses(text))


def mask_address(address: str) -> str:
    """Enough of an address to recognise it by, as a page can show it."""
    return printable(words.mask_address(address))
