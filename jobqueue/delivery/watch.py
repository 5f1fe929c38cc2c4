"""Which workers are gone, by what a rescuer saw itself: clocks step, also the database's.

By the database's clock alone a step forwards makes every live worker look silent, and a step backwards lets a
dead one look alive for as long. So whoever judges notes when, on its own monotonic clock, it first saw each
heartbeat: a worker is gone if that value did not change for WORKER_SILENCE. Who has just begun to watch need
not wait so long where the database's clock tells of that silence too; half of it and more it has to see
itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from jobqueue.conf import get_settings
from jobqueue.models import Worker

# Heartbeats that a worker must have missed while it was watched. A supervisor vouches after two for an
# executor that cannot write its own, and takes up to two seconds for that.
_MISSED = 3
# A watch that was interrupted for longer begins anew: without the database nobody can give a sign of life.
_LONGEST_BREAK = 3.0


@dataclass
class Watch:
    """The signs of life of the workers in one database, as seen by one process."""

    using: str
    clock: Callable[[], float] = time.monotonic
    _seen: dict[uuid.UUID, tuple[datetime, float]] = field(default_factory=dict, init=False)
    _last_look: float = field(default=0.0, init=False)

    def gone(self) -> list[uuid.UUID]:
        """Look at all heartbeats, each HEARTBEAT_INTERVAL; the ids of the workers that are gone."""
        settings = get_settings()
        rows = self._heartbeats(settings.worker_silence)
        now = self.clock()
        if now - self._last_look > 2 * settings.heartbeat_interval + _LONGEST_BREAK:
            self._seen.clear()
        self._last_look = now
        self._seen = {pk: (beat, self._since(pk, beat, now)) for pk, beat, _ in rows}
        enough = min(settings.worker_silence, _MISSED * settings.heartbeat_interval)
        return [
            pk
            for pk, _, is_silent in rows
            if now - self._seen[pk][1] >= (enough if is_silent else settings.worker_silence)
        ]

    def _heartbeats(self, silence: float) -> list[tuple[uuid.UUID, datetime, bool]]:
        """Each worker, its last sign of life, and whether that is too old by the database's clock."""
        is_old = Q(heartbeat_at__lt=Now() - timedelta(seconds=silence))
        workers = Worker.objects.using(self.using).annotate(
            is_silent=ExpressionWrapper(is_old, output_field=BooleanField())
        )
        return list(workers.values_list("pk", "heartbeat_at", "is_silent"))

    def _since(self, pk: uuid.UUID, beat: datetime, now: float) -> float:
        """When this heartbeat of the worker was first seen."""
        before = self._seen.get(pk)
        return before[1] if before is not None and before[0] == beat else now
