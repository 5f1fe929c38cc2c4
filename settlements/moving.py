"""A reminder moves only between its neighbours, out of quiet hours, and stays what it says it is.

Asked by the job queue before a job gets another time (`job_moving`), in the transaction that moves it; to run
it now, or to retry one that was cancelled before its time, is a move to this moment, and the one before it
must not wait any more: of two that are due at once the first would be left out. The
settlement is locked first, as by whoever plans: two operators who move two reminders at once cannot bring
them out of order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from jobqueue.exceptions import JobMoveRefused
from jobqueue.jobs import database_now
from jobqueue.models import Job
from jobqueue.signals import moves_jobs_of
from settlements.decisions import REMINDERS, key_of
from settlements.models import MovedReminder, ReminderType, Settlement
from settlements.moves import moves_of
from settlements.reminders import (
    PlannedReminder,
    ReminderPolicy,
    calendar,
    current_policy,
    day_of,
    is_far_enough,
    moved,
    not_after,
    not_before,
    out_of_quiet_hours,
    plan_begins_at,
)

_BETWEEN = gettext_noop("%(name)s moves between its neighbours only: to a time %(window)s")
_NONE_FREE = gettext_noop(
    "%(name)s cannot move: no time is free between %(earliest)s and its next one, %(latest)s, "
    "as far from each as is set and out of quiet hours"
)
_NOT_YET = gettext_noop(
    "%(name)s goes out between its neighbours only, %(window)s; "
    "“Send a reminder now” of its settlement sends one beside the plan"
)
_STILL_WAITS = gettext_noop("%(name)s goes out when the one before, %(moment)s, does not wait any more")
_TOO_CLOSE = gettext_noop(
    "%(name)s would be too close to the next one, %(moment)s: it moves to a time %(window)s"
)
_TOO_CLOSE_BEHIND = gettext_noop(
    "%(name)s would be too close to the one before, %(moment)s: it moves to a time %(window)s"
)
_QUIET = gettext_noop("%(moment)s lies in quiet hours, which end %(end)s")
_BEFORE_DUE = gettext_noop("%(name)s goes out before the due date, %(moment)s")
_AFTER_DUE = gettext_noop("%(name)s goes out after the day on which it is due, %(day)s")
_NAME = gettext_noop("the %(stage)s reminder")
_AFTER, _WITHIN = gettext_noop("after %(earliest)s"), gettext_noop("after %(earliest)s and before %(latest)s")
_FROM, _FROM_TO = gettext_noop("from %(earliest)s"), gettext_noop("from %(earliest)s to %(latest)s")
REFUSALS = (
    _BETWEEN, _NONE_FREE, _NOT_YET, _STILL_WAITS, _TOO_CLOSE, _TOO_CLOSE_BEHIND, _QUIET, _BEFORE_DUE,
    _AFTER_DUE, _NAME, _WITHIN, _AFTER, _FROM_TO, _FROM,
)  # fmt: skip
"""What is said where a reminder cannot move, and what stands in its places; those that say more first."""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Between which moments a reminder may move, after both `now` and the one `before` it, if there is one.

    Without `latest` no other follows it. From each it keeps the distance that the policy says.
    """

    now: datetime
    before: datetime | None
    latest: datetime | None
    policy: ReminderPolicy

    @property
    def earliest(self) -> datetime:
        """The moment behind which it stays."""
        return self.now if self.before is None else max(self.before, self.now)

    def has(self, moment: datetime) -> bool:
        """Whether the moment lies in it."""
        is_behind = self.before is None or moment > self.before
        return moment >= self.now and is_behind and (self.latest is None or moment < self.latest)

    @property
    def is_full(self) -> bool:
        """Whether no whole second in it is free."""
        last = self._last
        if last is None or self.latest is None:
            return False
        is_out = last >= self.latest  # the moment of the next one is never free
        first = out_of_quiet_hours(self._first, self.policy)
        return first >= last if is_out else first > last

    @property
    def _first(self) -> datetime:
        """The first whole second that keeps the distance from the one before."""
        begin = None if self.before is None else not_before(self.before, self.policy)
        first = max(self.earliest, begin or self.earliest)
        is_free = begin is not None and first == begin > self.earliest and not first.microsecond
        return first if is_free else first.replace(microsecond=0) + _SECOND

    @property
    def _last(self) -> datetime | None:
        """The last whole second that keeps the distance from the next one."""
        end = None if self.latest is None else not_after(self.latest, self.policy)
        return self.latest if end is None else end.replace(microsecond=0)

    def __str__(self) -> str:
        """In whole seconds, as forms take them: what it tells is free, but for quiet hours and due dates."""
        if not self.policy.minimum_gap:
            words = {"earliest": _text(self.earliest), "latest": _text(self.latest or self.earliest)}
            return _(_AFTER if self.latest is None else _WITHIN) % words
        last = self._last
        words = {"earliest": _text(self._first), "latest": _text(last or self._first)}
        return _(_FROM if last is None else _FROM_TO) % words


@moves_jobs_of(REMINDERS)
def note_move(sender: Any, job: Job, moment: datetime, using: str, at_once: bool = False, **_: Any) -> None:
    """Keep with the settlement where its reminder moves to. Raises JobMoveRefused, which says what may be."""
    if job.processor != REMINDERS or not job.payload.get("planned"):
        return
    rows = Settlement.objects.using(using).select_for_update(no_key=True)
    settlement = rows.filter(pk=job.payload["settlement_id"]).first()
    if settlement is None or datetime.fromisoformat(job.payload["due_date"]) != settlement.due_date:
        return  # it will be skipped, whenever it runs
    stage, step = job.payload["reminder_type"], job.payload.get("step", 0)
    _check(settlement, stage, step, moment, using, at_once)
    if at_once:
        _check_the_one_before(settlement, stage, step, using)
    MovedReminder.objects.using(using).update_or_create(
        settlement=settlement,
        reminder_type=stage,
        step=step,
        due_date=settlement.due_date,
        payer_term=settlement.payer_term,
        defaults={"run_at": moment},
    )


def window_of(settlement: Settlement, stage: str, step: int, using: str, now: datetime) -> Window:
    """Where a reminder of the settlement's plan may move to."""
    all_of_plan, policy = _plan_of(settlement, using), current_policy()
    position = _position(all_of_plan, stage, step)
    if position is None:
        return Window(now, None, None, policy)
    before = all_of_plan[position - 1].run_at if position else None
    after = all_of_plan[position + 1].run_at if position + 1 < len(all_of_plan) else None
    return Window(now, before, after, policy)


def _plan_of(settlement: Settlement, using: str) -> list[PlannedReminder]:
    planned = calendar(plan_begins_at(settlement), settlement.due_date, current_policy())
    return moved(planned, moves_of(settlement, using))


def _position(planned: list[PlannedReminder], stage: str, step: int) -> int | None:
    stages = [(one.reminder_type.value, one.step) for one in planned]
    return stages.index((stage, step)) if (stage, step) in stages else None


def _check_the_one_before(settlement: Settlement, stage: str, step: int, using: str) -> None:
    """Of reminders that are due together only the latest goes out: none is made due beside another one."""
    all_of_plan = _plan_of(settlement, using)
    earlier = all_of_plan[: _position(all_of_plan, stage, step) or 0]
    due, term = settlement.due_date, settlement.payer_term
    keys = {key_of(settlement.pk, reminder, due, term): reminder for reminder in earlier}
    jobs = Job.objects.using(using).about(settlement).unfinished()
    late = jobs.filter(unique_key__in=keys, run_at__lte=database_now(using)).order_by("-run_at").first()
    if late is not None and late.unique_key is not None:
        name = _(_NAME) % {"stage": ReminderType(stage).label}
        words = {"name": name, "moment": _text(keys[late.unique_key].run_at)}
        raise JobMoveRefused(_(_STILL_WAITS) % words)


def _check(
    settlement: Settlement, stage: str, step: int, moment: datetime, using: str, at_once: bool
) -> None:
    policy = current_policy()
    name = _(_NAME) % {"stage": ReminderType(stage).label}
    window = window_of(settlement, stage, step, using, moment if at_once else database_now(using))
    check_distances(window, name, moment, at_once)
    quiet_until = out_of_quiet_hours(moment, policy)
    if quiet_until > moment:
        raise JobMoveRefused(_(_QUIET) % {"moment": _text(moment), "end": _text(quiet_until)})
    due_day, day = day_of(settlement.due_date, policy), day_of(moment, policy)
    if stage == ReminderType.FOLLOW_UP and moment >= settlement.due_date:
        raise JobMoveRefused(_(_BEFORE_DUE) % {"name": name, "moment": _text(settlement.due_date)})
    if stage == ReminderType.OVERDUE and day <= due_day:
        raise JobMoveRefused(_(_AFTER_DUE) % {"name": name, "day": due_day})


def check_distances(window: Window, name: str, moment: datetime, at_once: bool) -> None:
    """Refuse what is out of the window or too close to its ends; the text tells what is free, if anything."""
    trouble, words = "", {"name": name, "window": window}
    if not window.has(moment):
        trouble = _NOT_YET if at_once else _BETWEEN
    elif window.before is not None and not is_far_enough(window.before, moment, window.policy):
        trouble, words["moment"] = _TOO_CLOSE_BEHIND, _text(window.before)
    elif window.latest is not None and not is_far_enough(moment, window.latest, window.policy):
        trouble, words["moment"] = _TOO_CLOSE, _text(window.latest)
    if trouble and window.is_full and window.latest is not None:
        trouble = _NONE_FREE
        words |= {"earliest": _text(window.earliest), "latest": _text(window.latest)}
    if trouble:
        raise JobMoveRefused(_(trouble) % words)


def _text(moment: datetime) -> str:
    local = localtime(moment)
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
