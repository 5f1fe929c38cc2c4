"""What operators do and ask, whichever face they use: verbs with their audit, questions, answers in words.

The admin's pages and the API stay thin over this room, and neither knows of the other. An app tells here what
its jobs mean to people: the door is what is named here.
"""

from jobqueue.operating.audit import log_addition, log_change
from jobqueue.operating.concerns import Concern, tells_concerns
from jobqueue.operating.consequences import sends_emails
from jobqueue.operating.explain import what_keeps
from jobqueue.operating.kinds import names_kinds, tells_quiet_hours
from jobqueue.operating.language import in_english
from jobqueue.operating.previews import (
    Departure,
    Preview,
    departure_of,
    skips_of,
    tells_preview,
    tells_skips,
    would_be_skipped,
)
from jobqueue.operating.reading import carried_text, may_read, shown_address, shown_text
from jobqueue.operating.retelling import retold_reason, tell_also, tell_refusals, told_reason
from jobqueue.operating.retelling_failures import tell_failure
from jobqueue.operating.retelling_names import tell_names
from jobqueue.operating.rights import demand, told_lacking
from jobqueue.operating.words import grouped, mask_address, span, state_word

__all__ = [
    "Concern",
    "Departure",
    "Preview",
    "carried_text",
    "demand",
    "departure_of",
    "grouped",
    "in_english",
    "log_addition",
    "log_change",
    "mask_address",
    "may_read",
    "names_kinds",
    "retold_reason",
    "sends_emails",
    "shown_address",
    "shown_text",
    "skips_of",
    "span",
    "state_word",
    "tell_also",
    "tell_failure",
    "tell_names",
    "tell_refusals",
    "tells_concerns",
    "tells_preview",
    "tells_quiet_hours",
    "tells_skips",
    "told_lacking",
    "told_reason",
    "what_keeps",
    "would_be_skipped",
]
