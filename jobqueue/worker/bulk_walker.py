"""Walks bulk actions, beside the relay and the rescue: it waits for no queue and for no pause.

Of all workers one walks an action at a time, by a lease on its row; several actions take turns. What walks
looks after failures of older workers too, which have no cause yet.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from jobqueue.delivery import rescue
from jobqueue.models import BulkAction, bulk, bulk_forward, bulk_moves, failures
from jobqueue.models.bulk_verbs import ONE_BY_ONE
from jobqueue.sql.blame import may_be_of_a_row
from jobqueue.worker.database_threads import IN_TURN

logger = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
_NAME_CAUSES_EVERY = 5.0
# Ids that are read at once: the walk by id reads what lies between, which is worth it for many.
_READ_AHEAD = 10_000
# Seconds of lateness that are made good at most.
_MADE_GOOD = 0.5


@dataclass
class _Walk:
    """What this process knows of an action that it walks: the ids that are next, and when it may go on."""

    batches: deque[list[int]] = field(default_factory=deque)
    not_before: float = 0.0


class BulkWalker:
    """Changes the jobs of bulk actions, a batch of each at a time, whenever `look` is called."""

    def __init__(self, holder: uuid.UUID, retried: Callable[[], None]) -> None:
        """`holder` is the worker that walks; `retried` is called where jobs have become due."""
        self._holder, self._retried = holder, retried
        self.threads = IN_TURN
        """They walk, each in one database."""
        self._walks: dict[str, dict[int, _Walk]] = {}
        self._pause = _LOOK_EVERY
        self._next_naming = 0.0
        self._without_rate = 0

    def look(self) -> float:
        """Change a batch of each action that this one may walk. Returns the seconds until the next look."""
        self._pause = _LOOK_EVERY
        names = time.monotonic() >= self._next_naming
        if names:
            self._next_naming = time.monotonic() + _NAME_CAUSES_EVERY

        def look_into(using: str) -> None:
            self._walk_all(using)
            if names and failures.name_causes(using) == failures.NAMED_AT_ONCE:
                self._next_naming = 0.0

        self.threads.each(look_into)
        return self._pause

    def give_up(self, using: str) -> None:
        """Let others go on at once in that database."""
        bulk.give_up(self._holder, using)

    def _walk_all(self, using: str) -> None:
        actions = list(bulk.walkable_actions(using))
        self._without_rate = sum(not action.per_second for action in actions)
        before = self._walks.get(using, {})
        walks = self._walks[using] = {action.pk: before.get(action.pk) or _Walk() for action in actions}
        first: Exception | None = None
        for action in actions:
            try:
                self._walk_on(action, walks[action.pk], using)
            except Exception as error:  # the others have their turn first
                first = first or error
        if first is not None:
            raise first

    def _walk_on(self, action: BulkAction, walk: _Walk, using: str) -> None:
        wait = walk.not_before - time.monotonic()
        if wait > 0:
            self._pause = min(self._pause, wait)
        elif bulk.take(action, self._holder, using) and self._can_read_ahead(action, walk, using):
            self._one_batch(action, walk, using)

    def _can_read_ahead(self, action: BulkAction, walk: _Walk, using: str) -> bool:
        """Read which jobs are next, if none are known; an action that prevents that is stopped."""
        # What was read stays while others walk: reading may take longer than the lease.
        held = set(action.waiting_for)
        while walk.batches and walk.batches[0][-1] <= action.position and held.isdisjoint(walk.batches[0]):
            walk.batches.popleft()
        if walk.batches:
            return True
        size = min(bulk.BATCH, action.per_second or bulk.BATCH_OF_PACE)
        try:
            ids = bulk.next_ids(action, _READ_AHEAD, using)
        except Exception as error:
            if not may_be_of_a_row(error):
                raise
            logger.error("bulk action %d is stopped, its selection cannot be read: %s", action.pk, error)
            bulk.stop(action, bulk.UNREADABLE, using)
            return False
        walk.batches.extend(ids[start : start + size] for start in range(0, len(ids), size))
        return True

    def _one_batch(self, action: BulkAction, walk: _Walk, using: str) -> None:
        self._pause = 0.0
        if not walk.batches and action.waiting_for:
            # Somebody keeps these locked: look again, and hold up nothing else meanwhile.
            walk.not_before = time.monotonic() + _LOOK_EVERY
            self._pause = _LOOK_EVERY
            walk.batches.append(action.waiting_for[: bulk.BATCH])
            self._change(action, walk, walk.batches.popleft(), using)
            return
        if not walk.batches:
            if bulk.finish(action, self._holder, using):
                logger.info("bulk action %d ended: %d jobs changed", action.pk, action.changed)
            return
        ids = walk.batches.popleft()
        walk.not_before = self._when_next(action, walk, len(ids))
        self._change(action, walk, ids, using)

    def _when_next(self, action: BulkAction, walk: _Walk, size: int) -> float:
        now = time.monotonic()
        if action.per_second:
            return now + size / action.per_second
        # What it is late by, on a busy machine, is made good: nobody asked for that pace as a limit.
        due = max(walk.not_before or now, now - _MADE_GOOD)
        return due + size * max(1, self._without_rate) / bulk.PACE

    def _change(self, action: BulkAction, walk: _Walk, ids: list[int], using: str) -> None:
        try:
            if action.verb in ONE_BY_ONE:
                step = bulk_moves.change(action, ids, self._holder, using)
            elif action.verb in bulk_forward.VERBS:
                step = bulk_forward.change(action, ids, self._holder, using)
            else:
                step = bulk.change(action, ids, self._holder, using, rescue.IN_BULK.get(action.verb))
        except Exception as error:
            walk.batches.appendleft(ids)
            if not may_be_of_a_row(error):
                raise
            self._take_apart(action, walk, error, using)
            return
        if not step.is_ours:
            walk.batches.appendleft(ids)
        if step.changed:
            self._retried()

    def _take_apart(self, action: BulkAction, walk: _Walk, error: Exception, using: str) -> None:
        """A batch that a row keeps from being changed is changed in halves, until that row stands alone."""
        ids = walk.batches.popleft()
        if len(ids) > 1:
            middle = len(ids) // 2
            walk.batches.extendleft((ids[middle:], ids[:middle]))
            return
        logger.warning("bulk action %d leaves job %d out: %s", action.pk, ids[0], type(error).__name__)
        bulk.pass_over(action, ids[0], self._holder, using)
