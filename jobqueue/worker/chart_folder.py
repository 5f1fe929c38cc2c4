"""Folds the chart, beside the relay and the rescue: one worker at a time, and never on the way of a job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from jobqueue.broker import folded
from jobqueue.charting.folding import fold, home
from jobqueue.conf import get_settings
from jobqueue.models.chart import note_version, prune_hours

logger = logging.getLogger(__name__)

EVERY = 300
"""Seconds between two folds, of all workers together."""
_LOOK_EVERY = 60.0
# What was told late, after Redis was away, belongs to hours before this one.
_FEW, _ALL = 2, 48
_ALL_EVERY = 3_600.0


def folder(candidate: str) -> Callable[[], float]:
    """The body of a loop: folds when it is this worker's turn, and notes once which version it runs."""
    next_whole = 0.0
    is_noted = False

    def body() -> float:
        nonlocal next_whole, is_noted
        if not is_noted:
            is_noted = _note_version()
        if folded.take_turn(candidate, EVERY):
            is_whole = time.monotonic() >= next_whole
            fold(_ALL if is_whole else _FEW)
            if is_whole:
                prune_hours(home())
                next_whole = time.monotonic() + _ALL_EVERY
        return _LOOK_EVERY

    return body


def _note_version() -> bool:
    version = str(getattr(get_settings(), "version", ""))
    if version and note_version(version, home()):
        logger.info("workers run version %s from now on", version)
    return True
