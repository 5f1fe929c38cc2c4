"""What a search did not look at, in words."""

from __future__ import annotations

from django.utils.translation import gettext

from jobqueue.operating.words import grouped
from jobqueue.searching import NEWEST, Found, RecordSource


def not_looked_at(found: Found) -> list[str]:
    """Why there may be more jobs than were found, a sentence each."""
    texts = []
    if found.newest_only:
        text = gettext("What no index answers was looked for among the newest %(rows)s rows only.")
        texts.append(text % {"rows": grouped(NEWEST)})
    if found.records_cut:
        text = gettext(
            "More records match than were looked at: only the jobs about the newest of each kind were found, "
            "or left out. Say more of what you look for."
        )
        texts.append(text)
    if found.by_worker:
        text = gettext("Of a worker that has ended only those jobs are known that failed there.")
        texts.append(text)
    if found.errors_cut:
        text = gettext(
            "Of an error in which an e-mail address has quotes or a comment, or is written in another odd "
            "way, only what stands behind the addresses was looked into: they are hidden from you."
        )
        texts.append(text)
    if found.hidden:
        text = gettext("Not looked in, as you may not see them: %(places)s.")
        texts.append(text % {"places": ", ".join(map(_not_seen, found.hidden))})
    return texts


def _not_seen(source: RecordSource) -> str:
    """What is there, and what it takes to see it."""
    allowed = gettext(" or ").join(source.permissions)
    text = gettext("%(what)s (that takes the permission %(allowed)s)")
    return text % {"what": source.title, "allowed": allowed}
