"""Which permission each verb takes: exactly one, and no two verbs the same, beside that to see its object.

Also the two ends of one thing are two verbs: who may hold letters back need not be who lets them go out.
To look is no verb: `view_…` of the models, `view_payload` and `view_audit`. Each face asks for what
`permissions_of` names, so that none lets anybody do what another refuses.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import ngettext


@unique
class Right(StrEnum):
    """The permissions of the verbs, as `has_perm` is asked for them."""

    RETRY = "jobqueue.retry_job"
    RUN_NOW = "jobqueue.run_job"
    CANCEL = "jobqueue.cancel_job"
    PUT_BACK = "jobqueue.put_back_job"
    FAIL = "jobqueue.fail_job"
    DELETE = "jobqueue.delete_job"
    MOVE = "jobqueue.move_job"
    HOLD = "jobqueue.hold_job"
    RELEASE = "jobqueue.release_job"
    STOP = "jobqueue.stop_job"
    COPY = "jobqueue.copy_job"
    PUT_BACK_SET_ASIDE = "jobqueue.put_back_set_aside"
    STOP_BULK_ACTION = "jobqueue.stop_bulkaction"
    PAUSE_QUEUE = "jobqueue.pause_queue"
    RESUME_QUEUE = "jobqueue.resume_queue"
    LIMIT_QUEUE = "jobqueue.limit_queue"
    LIMIT_PROCESSOR = "jobqueue.limit_processor"
    QUIET_WORKER = "jobqueue.quiet_worker"
    RESUME_WORKER = "jobqueue.resume_worker"
    STOP_WORKER = "jobqueue.stop_worker"
    MUTE_CAUSE = "jobqueue.mute_cause"
    UNMUTE_CAUSE = "jobqueue.unmute_cause"


VIEW_JOB: Final = "jobqueue.view_job"
VIEW_QUEUE: Final = "jobqueue.view_queue"
VIEW_WORKER: Final = "jobqueue.view_worker"
_LOOK: Final = {
    **dict.fromkeys(
        (Right.PAUSE_QUEUE, Right.RESUME_QUEUE, Right.LIMIT_QUEUE, Right.LIMIT_PROCESSOR), VIEW_QUEUE
    ),
    **dict.fromkeys((Right.QUIET_WORKER, Right.RESUME_WORKER, Right.STOP_WORKER), VIEW_WORKER),
}


def permissions_of(right: str) -> tuple[str, str]:
    """All that a verb takes, in every face: to see what it is done to, and its own permission."""
    return _LOOK.get(Right(right), VIEW_JOB), right


def may(request: HttpRequest, right: str) -> bool:
    """Whether the user may do it, in whichever face."""
    return bool(request.user.has_perms(permissions_of(right)))


def demand(request: HttpRequest, *permissions: str) -> None:
    """Raise PermissionDenied, which names all that is missing, if the user lacks one of these."""
    if lacking := told_lacking(request, *permissions):
        raise PermissionDenied(lacking)


def told_lacking(request: HttpRequest, *permissions: str) -> str:
    """Which of these the user lacks, in a sentence; empty where none is missing."""
    names = [str(name) for name in dict.fromkeys(permissions) if not request.user.has_perm(name)]
    if not names:
        return ""
    text = ngettext(
        "That takes the permission %(names)s.", "That takes the permissions %(names)s.", len(names)
    )
    return text % {"names": ", ".join(names)}
