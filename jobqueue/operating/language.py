"""In which language something is said: pages in that of who looks, what is kept and the API in English."""

from __future__ import annotations

from django.utils import translation

ENGLISH = "en"


def in_english() -> translation.override:
    """For what is written down, and for programs: the same words whoever asks, in whatever language."""
    return translation.override(ENGLISH)
