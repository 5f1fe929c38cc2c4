"""What operators can do to jobs: each verb has a permission, the jobs it takes, and one call that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext, ngettext_lazy

from jobqueue.delivery import rescue
from jobqueue.models import Job, JobQuerySet, stopping
from jobqueue.models.bulk_verbs import TAKES
from jobqueue.models.holding import due_time, hold_all, reason_of, release_all
from jobqueue.operating.rights import Right
from jobqueue.operating.words import absolute, grouped


class Mail(Enum):
    """What a verb does to the e-mails of its jobs."""

    GOES_OUT = "goes out"
    STAYS_IN = "stays in"

    def of(self, emails: int, perhaps_sent: int = 0) -> str:
        """What happens to so many e-mails, of which some perhaps went out already; empty without any."""
        told = [self._of(emails) if emails else "", _perhaps(perhaps_sent) if perhaps_sent else ""]
        return " ".join(filter(None, told))

    def _of(self, emails: int) -> str:
        if self is Mail.GOES_OUT:
            text = ngettext(
                "Up to %(number)s e-mail will go out.", "Up to %(number)s e-mails will go out.", emails
            )
        else:
            text = ngettext(
                "Up to %(number)s e-mail will not go out.",
                "Up to %(number)s e-mails will not go out.",
                emails,
            )
        return text % {"number": grouped(emails)}


def _perhaps(number: int) -> str:
    text = ngettext(
        "%(number)s e-mail perhaps went out already: its run ended while the mail server was asked.",
        "%(number)s e-mails perhaps went out already: their runs ended while the mail server was asked.",
        number,
    )
    return text % {"number": grouped(number)}


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing an operator can do.

    `takes` says in words which jobs `eligible` lets through, `states` which lists of a state offer the verb.
    """

    name: str
    permission: str
    label: Promise
    done: Promise
    takes: Promise
    after: str
    apply: Callable[[JobQuerySet, str, str], int]
    """Does it to these jobs, for whoever does it and why; how many it changed."""
    mail: Mail
    is_dangerous: bool = False
    notice: Promise | str = ""
    """What it means for the jobs, of one and of many."""
    states: tuple[str, ...] = ()

    @property
    def right(self) -> str:
        """The permission that it takes, of one job and of many."""
        return Right(f"jobqueue.{self.permission}_job")

    def eligible(self, jobs: JobQuerySet) -> JobQuerySet:
        """Those of the jobs that it takes as they are now."""
        return TAKES[self.name](jobs)

    def means(self, number: int) -> str:
        """What it means for so many jobs."""
        return f"{self.notice % {'number': number}}"

    def before(self, job: Job) -> str:
        """The job's state before, for the audit entry."""
        words = _BEFORE.get(self.name)
        return f"{words} {absolute(due_time(job))}" if words else job.state

    def after_of(self, job: Job) -> str:
        """The job's state afterwards, for the audit entry."""
        return ENDS_STOPPED if self.ends_stopped(job) else self.after

    def ends_stopped(self, job: Job) -> bool:
        """Whether the job ends as cancelled instead: whatever ends a claim whose stop was asked for."""
        return self.name in _ENDS_CLAIMS and job.stop_asked_at is not None


ENDS_STOPPED: Final = gettext_noop("cancelled, as its stop was asked for")
_ENDS_CLAIMS = ("release", "fail")
_BEFORE = {"run_now": "delayed until", "hold": "runs", "let_go": "held, was to run"}
VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            name="retry",
            permission="retry",
            label=_("Retry"),
            done=_("retried"),
            takes=_("a failed or cancelled job"),
            after="waiting",
            apply=lambda jobs, _who, _why: jobs.retry_all(),
            mail=Mail.GOES_OUT,
            states=("failed", "cancelled"),
            notice=ngettext_lazy(
                "It runs at once, with a full budget of retries.",
                "They run at once, with a full budget of retries.",
                "number",
            ),
        ),
        Verb(
            name="run_now",
            permission="run",
            label=_("Run now"),
            done=_("made due now"),
            takes=_("a delayed job that is not held"),
            after="due now",
            apply=lambda jobs, _who, _why: jobs.run_all_now(),
            mail=Mail.GOES_OUT,
            states=("delayed",),
            notice=ngettext_lazy(
                "It does not wait for its time. What may not come before others, as a reminder, is left "
                "alone and told of.",
                "They do not wait for their time. What may not come before others, as a reminder, is left "
                "alone and told of.",
                "number",
            ),
        ),
        Verb(
            name="cancel",
            permission="cancel",
            label=_("Cancel"),
            done=_("cancelled"),
            takes=_("a waiting or delayed job"),
            after="cancelled",
            apply=lambda jobs, who, why: jobs.cancel_all(reason_of(who, why, "cancelled")),
            mail=Mail.STAYS_IN,
            states=("waiting", "delayed", "held"),
            notice=ngettext_lazy(
                "It will not run unless somebody retries it.",
                "They will not run unless somebody retries them.",
                "number",
            ),
        ),
        Verb(
            name="release",
            permission="put_back",
            label=_("Put back on the road"),
            done=_("put back on the road"),
            takes=_("a stuck job"),
            after="waiting",
            apply=lambda jobs, who, why: rescue.release(jobs, stopping.reason_of(who, why, "put back")),
            mail=Mail.GOES_OUT,
            states=("stuck",),
            notice=ngettext_lazy(
                "It runs again at once. What it did before it got stuck may happen a second time.",
                "They run again at once. What they did before they got stuck may happen a second time.",
                "number",
            ),
        ),
        Verb(
            name="fail",
            permission="fail",
            label=_("Fail"),
            done=_("failed"),
            takes=_("a stuck job"),
            after="failed",
            apply=lambda jobs, who, why: rescue.fail(jobs, stopping.reason_of(who, why, "failed")),
            mail=Mail.STAYS_IN,
            is_dangerous=True,
            states=("stuck",),
            notice=ngettext_lazy(
                "It ends as failed and stays for inspection.",
                "They end as failed and stay for inspection.",
                "number",
            ),
        ),
        Verb(
            name="delete",
            permission="delete",
            label=_("Delete"),
            done=_("deleted"),
            takes=_("a job that is neither running nor set aside"),
            after="deleted",
            apply=lambda jobs, who, why: jobs.delete_all(reason_of(who, why, "deleted")),
            mail=Mail.STAYS_IN,
            is_dangerous=True,
            states=("waiting", "delayed", "held", "failed", "completed", "skipped", "cancelled"),
            notice=ngettext_lazy(
                "Its payload, errors and tracebacks are gone for good.",
                "Their payloads, errors and tracebacks are gone for good.",
                "number",
            ),
        ),
    )
}


_OF_THE_CALENDAR = (
    Verb(
        name="hold",
        permission="hold",
        label=_("Hold"),
        done=_("held"),
        takes=_("a waiting or delayed job that is not held"),
        after="held",
        apply=lambda jobs, who, why: hold_all(jobs, reason_of(who, why)),
        mail=Mail.STAYS_IN,
        states=("waiting", "delayed"),
        notice=ngettext_lazy(
            "It does not run until somebody releases it.",
            "They do not run until somebody releases them.",
            "number",
        ),
    ),
    Verb(
        name="let_go",
        permission="release",
        label=_("Release"),
        done=_("released"),
        takes=_("a held job"),
        after="waiting",
        apply=lambda jobs, _who, _why: release_all(jobs),
        mail=Mail.GOES_OUT,
        states=("held",),
        notice=ngettext_lazy(
            "It runs at the time that it had, or at once where that is past.",
            "Each runs at the time that it had, or at once where that is past.",
            "number",
        ),
    ),
)
BULK_VERBS = VERBS | {verb.name: verb for verb in _OF_THE_CALENDAR}
"""What can be done in the background to all jobs that a list or a search shows."""


CALLED: Final = {
    "retry": "retry",
    "discard": "delete",
    "run_now": "run_now",
    "cancel": "cancel",
    "put_back": "release",
    "fail": "fail",
    "hold": "hold",
    "release": "let_go",
}
"""What a bulk action is called over HTTP and by the command, and the verb that it is."""


def permission_of(name: str) -> str:
    """What a bulk action of this verb takes; empty for one that is not known here."""
    verb = BULK_VERBS.get(name)
    return Right.MOVE if name == "move" else verb.right if verb else ""
