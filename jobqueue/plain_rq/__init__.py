"""The door to what plain RQ puts on our queues: the rest of the job queue knows only that it is not ours."""

from jobqueue.broker.foreign import Report
from jobqueue.plain_rq.adoption import (
    PROCESSOR,
    database,
    look_after,
    look_after_due,
    look_after_strays,
    register,
    report_of,
    tell,
)

__all__ = [
    "PROCESSOR",
    "Report",
    "database",
    "look_after",
    "look_after_due",
    "look_after_strays",
    "register",
    "report_of",
    "tell",
]
