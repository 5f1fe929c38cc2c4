"""The rows that remember: jobs, their failed attempts, queues and workers, with their verbs."""

from jobqueue.models.attempt import Attempt
from jobqueue.models.attempt_log import AttemptLog, KeptLog, LogLine, latest_logs, write_logs
from jobqueue.models.audit import AuditEntry
from jobqueue.models.bulk import BulkAction
from jobqueue.models.bulk_choice import BulkChoice, keep_choice
from jobqueue.models.cause import Cause, muted_causes
from jobqueue.models.chart import ChartHour, Charts, VersionStart
from jobqueue.models.holding import due_time
from jobqueue.models.job import FailedJob, Job, SetAsideJob, StuckJob, jobs_in
from jobqueue.models.kept_answers import AnyKeptAnswer, KeptAnswer
from jobqueue.models.processor import ProcessorLimits
from jobqueue.models.querysets import (
    OUTAGE_PREFIX,
    SKIPPED_PREFIX,
    JobManager,
    JobQuerySet,
)
from jobqueue.models.queue import Queue
from jobqueue.models.saving import AtomicSaveMixin
from jobqueue.models.selection import UNKNOWN_CAUSE, Selection
from jobqueue.models.subjects import is_shortened, subject_of, subject_text
from jobqueue.models.tally import JobTally
from jobqueue.models.unknown import UNKNOWN_PREFIX
from jobqueue.models.worker import Worker, title_of
from jobqueue.models.written import WrittenManager, alias_of

__all__ = [
    "OUTAGE_PREFIX",
    "SKIPPED_PREFIX",
    "UNKNOWN_CAUSE",
    "UNKNOWN_PREFIX",
    "AnyKeptAnswer",
    "AtomicSaveMixin",
    "Attempt",
    "AttemptLog",
    "AuditEntry",
    "BulkAction",
    "BulkChoice",
    "Cause",
    "ChartHour",
    "Charts",
    "FailedJob",
    "Job",
    "JobManager",
    "JobQuerySet",
    "JobTally",
    "KeptAnswer",
    "KeptLog",
    "LogLine",
    "ProcessorLimits",
    "Queue",
    "Selection",
    "SetAsideJob",
    "StuckJob",
    "VersionStart",
    "Worker",
    "WrittenManager",
    "alias_of",
    "due_time",
    "is_shortened",
    "jobs_in",
    "keep_choice",
    "latest_logs",
    "muted_causes",
    "subject_of",
    "subject_text",
    "write_logs",
    "title_of",
]
