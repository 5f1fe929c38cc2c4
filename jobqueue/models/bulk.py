"""A bulk action: one verb for very many jobs, walked in the background by one worker at a time.

Which jobs are meant is frozen when it is asked for: a selection, the highest id, and the moment. A job that
fails once more after that moment is not meant, so no action takes a job twice, nor do two that were asked
for at once. The walk goes by id; its position is written in the transaction that changes the jobs, so whoever
ends, and wherever, the next one goes on behind the last job that was changed.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import IntegrityError, connections, models
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from jobqueue.models.bulk_verbs import APPLY, Apply, BulkVerb, taken
from jobqueue.models.job import Job, jobs_in
from jobqueue.models.querysets import JobQuerySet
from jobqueue.models.selection import UNKNOWN_CAUSE, Selection
from jobqueue.models.written import TolerantManager
from jobqueue.sql.writing import writing

BATCH = 500
"""Jobs that are changed in one transaction."""
PACE = 2_500
"""Jobs a second where nobody named a rate, of all such actions together. At full speed, 10,000 a second, an
action and the workers that run what it makes due take both cores of a small server from its pages."""
BATCH_OF_PACE = 200
"""Jobs of a batch at that pace: what 500 at once make due kept pages waiting for up to 0.3 s."""
LEASE = timedelta(seconds=10)
"""For so long after a batch nobody else walks the action; who leaves in order gives it up at once."""
OF_A_CAUSE = "of a cause"
UNREADABLE = gettext_noop("(its selection cannot be read)")
"""What stopped an action that nobody can walk, in the place of a name."""
_MOST_TURNS = 5
_MOST_NAMED = 1_000
_MOST_SAID = 5
_BEFORE_THE_FIRST = -(2**63)


class BulkAction(models.Model):
    """One verb for all jobs of a selection. `changed` of the `expected` jobs have been changed so far."""

    Verb = BulkVerb

    id = models.BigAutoField(primary_key=True)
    verb = models.CharField(_("verb"), max_length=20, choices=Verb.choices)
    selection = models.JSONField(_("selection"), default=dict)
    # What the verb needs to know beside the jobs: of a move {"days": 7, "zone": "Europe/Berlin"}.
    # With "chosen" the ids of those that were told are kept, and the selection is asked of each once more.
    details = models.JSONField(_("details"), null=True, blank=True)
    # What was asked for, in the words of the operator: while one is under way the same is not begun again.
    key = models.CharField(_("key"), max_length=64)
    highest_id = models.BigIntegerField(_("highest id"))
    position = models.BigIntegerField(_("position"), default=_BEFORE_THE_FIRST)
    expected = models.PositiveIntegerField(_("expected"))
    changed = models.PositiveIntegerField(_("changed"), default=0)
    per_second = models.PositiveIntegerField(_("at most so many a second"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, default="", blank=True)
    asked_by = models.CharField(_("asked for by"), max_length=200, default="", blank=True)
    asked_at = models.DateTimeField(_("asked for"), db_default=Now())
    began_at = models.DateTimeField(_("began"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    stopped_by = models.CharField(_("stopped by"), max_length=200, default="", blank=True)
    # By why: how many jobs were left out, and the first of them: {"refused": {"number": 1, "ids": [7]}}.
    left_out = models.JSONField(_("left out"), null=True, blank=True)
    # Jobs that somebody else kept locked when their turn came: they are come back to.
    held_back = models.JSONField(_("held back"), null=True, blank=True)
    holder = models.UUIDField(_("walked by"), null=True, blank=True)
    held_until = models.DateTimeField(_("held until"), null=True, blank=True)

    objects = TolerantManager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        verbose_name = _("bulk action")
        verbose_name_plural = _("bulk actions")
        permissions = [("stop_bulkaction", _("Can stop bulk actions"))]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(ended_at__isnull=True), name="jobqueue_bulkaction_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()} #{self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether there is, or may be, something left to do."""
        return self.ended_at is None

    @property
    def is_listed(self) -> bool:
        """Whether what it means are the ids that a list showed, kept as its choices."""
        return isinstance(self.selection, dict) and bool(self.selection.get("listed"))

    @property
    def has_choice(self) -> bool:
        """Whether the ids of the jobs that it means are kept."""
        return self.is_listed or (isinstance(self.details, dict) and bool(self.details.get("chosen")))

    @property
    def waiting_for(self) -> list[int]:
        """The ids of the jobs that are come back to."""
        held = self.held_back if isinstance(self.held_back, list) else []
        return [number for number in held if isinstance(number, int)]

    def jobs(self, using: str) -> JobQuerySet:
        """The jobs that are meant and that the walk has not come to yet."""
        return self.meant(using).filter(pk__gt=self.position)

    def meant(self, using: str) -> JobQuerySet:
        """The jobs that are meant and have not been changed yet."""
        chosen = Selection.from_json(self.selection).of(jobs_in(using).all())
        if self.is_listed:
            chosen = taken(self.verb, chosen, self.asked_at)
        # What ended after this was asked for was not meant by it.
        ended_before = models.Q(finished_at__isnull=True) | models.Q(finished_at__lte=self.asked_at)
        return chosen.filter(ended_before, pk__lte=self.highest_id)


# Asked for, and stopped, by people -----------------------------------------------------------------


def key_of(verb: str, words: Mapping[str, str]) -> str:
    """The key of an action: the same for two operators who ask for the same in the same words.

    Of a cause one action at a time is under way, whatever its verb and the other words: a second one would
    take the jobs of the first past its rate.
    """
    if words.get("cause"):
        verb, words = OF_A_CAUSE, {"cause": words["cause"]}
    asked = json.dumps([verb, sorted((name, text) for name, text in words.items() if text)])
    return hashlib.sha256(asked.encode("utf-8", "backslashreplace")).hexdigest()


def ask(action: BulkAction, using: str) -> tuple[BulkAction, bool]:
    """Write it down, so that a worker begins; or the one that is under way already. Whether it is new."""
    for _turn in range(_MOST_TURNS):
        try:
            with writing(using):
                action.save(using=using, force_insert=True)
                action.refresh_from_db(using=using)
            return action, True
        except IntegrityError as error:
            refused = error
        under_way = open_actions(using).filter(key=action.key).first()
        if under_way is not None:
            return under_way, False
        action.pk = None  # the other one has ended since: this one may begin
    raise refused


def stop(action: BulkAction, who: str, using: str) -> bool:
    """Let it end after the batch that is under way. False if it had ended already."""
    with writing(using):
        rows = open_actions(using).filter(pk=action.pk)
        ended = rows.update(ended_at=Now(), stopped_by=who[:200] or "?", holder=None, held_until=None)
        if ended:  # whoever walks it has its row locked for each batch, and looks there first
            _forget_choice(action, using)
        return bool(ended)


# Walked by workers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a batch."""

    changed: int
    is_ours: bool
    """Whether the action is still walked by whom it was: nobody else took it, and it was not stopped."""


@dataclass
class Batch:
    """What became of those jobs of a batch that are changed one by one."""

    changed: int = 0
    gone: list[int] = field(default_factory=list)
    locked: list[int] = field(default_factory=list)
    declined: dict[int, str] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)


def open_actions(using: str) -> models.QuerySet[BulkAction]:
    """The actions that have not ended, the first that was asked for first."""
    return BulkAction.objects.using(using).filter(ended_at__isnull=True).order_by("pk")


def walkable_actions(using: str) -> models.QuerySet[BulkAction]:
    """Those of them whose verb is known here: what newer code asks for is left to newer workers."""
    return open_actions(using).filter(verb__in=BulkVerb.values)


def take(action: BulkAction, holder: uuid.UUID, using: str) -> bool:
    """Take or keep the right to walk it, for LEASE by the database's clock. Whether it was got."""
    is_free = models.Q(holder__isnull=True) | models.Q(holder=holder) | models.Q(held_until__lt=Now())
    rows = open_actions(using).filter(is_free, pk=action.pk)
    return bool(rows.update(holder=holder, held_until=Now() + LEASE, began_at=Coalesce("began_at", Now())))


def give_up(holder: uuid.UUID, using: str) -> None:
    """Let others walk at once what this one walked."""
    open_actions(using).filter(holder=holder).update(holder=None, held_until=None)


def is_meant_by_no_cause(using: str) -> bool:
    """Whether an action is under way on the failures without a cause: with one they are meant no more."""
    selections = [action.selection for action in open_actions(using)]
    return any(
        isinstance(selection, dict) and selection.get("cause") == UNKNOWN_CAUSE for selection in selections
    )


def next_ids(action: BulkAction, most: int, using: str) -> list[int]:
    """The ids of the next jobs that are meant, in their order."""
    if action.has_choice:
        rows = action.choices.using(using).filter(last__gt=action.position).order_by("last")
        return [number for row in rows[:1] for number in row.ids if number > action.position][:most]
    return list(action.jobs(using).order_by("pk").values_list("pk", flat=True)[:most])


def change(
    action: BulkAction,
    ids: Sequence[int],
    holder: uuid.UUID,
    using: str,
    apply: Apply | None = None,
    *,
    done: Batch | None = None,
) -> Step:
    """Change those of these jobs that are still meant, and note how far that was, in one transaction.

    Nobody is waited for: a job that somebody else keeps locked is held back until he lets go of it. `apply`
    is what the verb does, where that is more than a change of rows. What is `done` was changed one by one
    just before, or was not, and is noted here.
    """
    with writing(using):
        current = locked(action, holder, using)
        if current is None:
            return Step(0, is_ours=False)
        known = set(current.waiting_for)
        asked = [number for number in ids if number > current.position or number in known]
        if done is not None:
            asked = _without(asked, done, current, using)
        meant = current.meant(using).filter(pk__in=asked)
        there = set(meant.values_list("pk", flat=True))
        free = _lock_what_is_free(meant, using)
        do = apply or APPLY[current.verb]
        changed = do(jobs_in(using).filter(pk__in=free), current) if free else 0
        locked_before = set(done.locked) if done is not None else set()
        current.held_back = sorted((known - set(ids)) | (there - set(free)) | locked_before)
        leave_out(current, "changed", sorted(set(asked) - there))
        leave_out(current, "kept", _still_there(free, using) if changed < len(free) else [])
        move_to(current, ids[-1], changed, using)
        return Step(changed, is_ours=True)


def _without(asked: Sequence[int], done: Batch, current: BulkAction, using: str) -> list[int]:
    """Those that were not looked at one by one, nor changed so before a crash; notes what was declined."""
    leave_out(current, "declined", list(done.declined), list(done.declined.values()))
    looked_at = {*done.done, *done.locked, *done.declined}
    rest = [number for number in asked if number not in looked_at]
    meant = set(current.meant(using).filter(pk__in=rest).values_list("pk", flat=True))
    own = jobs_in(using).filter(pk__in=set(rest) - meant, bulk_action=current.pk)
    looked_at = set(own.values_list("pk", flat=True))
    return [number for number in rest if number not in looked_at]


def pass_over(action: BulkAction, job_id: int, holder: uuid.UUID, using: str) -> None:
    """Leave out a job that cannot be changed."""
    with writing(using):
        current = locked(action, holder, using)
        if current is not None:
            current.held_back = [number for number in current.waiting_for if number != job_id]
            leave_out(current, "refused", [job_id])
            move_to(current, job_id, 0, using)


def _lock_what_is_free(jobs: JobQuerySet, using: str) -> list[int]:
    """Lock those that nobody else has locked; a database without such locks has them all to itself."""
    can_skip = connections[using].features.has_select_for_update_skip_locked
    rows = jobs.select_for_update(skip_locked=can_skip).order_by("pk")
    return list(rows.values_list("pk", flat=True))


def _still_there(ids: Sequence[int], using: str) -> list[int]:
    """Those that the verb did not take: what is set aside is not deleted."""
    return list(jobs_in(using).filter(pk__in=ids).exclude(set_aside="").values_list("pk", flat=True))


def leave_out(current: BulkAction, why: str, ids: Sequence[int], said: Sequence[str] = ()) -> None:
    """Note why these were left out, and the first of what was `said` of them; it is not written yet."""
    if not ids:
        return
    found = current.left_out if isinstance(current.left_out, dict) else {}
    before = found.get(why, {"number": 0, "ids": []})
    named = [*before["ids"], *ids][:_MOST_NAMED]
    entry = {"number": before["number"] + len(ids), "ids": named}
    if texts := [*before.get("said", []), *said][:_MOST_SAID]:
        entry["said"] = texts
    current.left_out = {**found, why: entry}


def finish(action: BulkAction, holder: uuid.UUID, using: str) -> bool:
    """Note that nothing is left. False if somebody else walks it, or it was stopped."""
    rows = open_actions(using).filter(pk=action.pk, holder=holder)
    is_finished = bool(rows.update(ended_at=Now(), holder=None, held_until=None))
    if is_finished:
        _forget_choice(action, using)
    return is_finished


def _forget_choice(action: BulkAction, using: str) -> None:
    """Let go of the ids that a list showed: of an action that has ended nobody asks for them."""
    if action.has_choice:
        action.choices.using(using).all().delete()


def locked(action: BulkAction, holder: uuid.UUID, using: str) -> BulkAction | None:
    """The row as it is, kept from changing, if this one walks it."""
    return open_actions(using).select_for_update().filter(pk=action.pk, holder=holder).first()


def move_to(current: BulkAction, job_id: int, changed: int, using: str) -> None:
    """Note how far the walk has come, how much it changed since, and what it left out."""
    BulkAction.objects.using(using).filter(pk=current.pk).update(
        position=max(job_id, current.position),
        changed=models.F("changed") + changed,
        left_out=current.left_out,
        held_back=current.held_back or None,
        held_until=Now() + LEASE,
    )


def of_job(job: Job, using: str) -> BulkAction | None:
    """The bulk action that last changed this job, while its row is kept."""
    return BulkAction.objects.using(using).filter(pk=job.bulk_action).first() if job.bulk_action else None
