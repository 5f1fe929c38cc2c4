"""System checks: what would lose or double jobs is said at the start, with the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from jobqueue import plain_rq
from jobqueue.broker import server
from jobqueue.broker.message import DATABASE_ALIAS
from jobqueue.conf import get_settings
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.registry import all_processors, name_meant
from jobqueue.sql.databases import databases
from jobqueue.values import rate, shown, trouble_with


@register("jobqueue")
def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """JOBQUEUE and RQ_QUEUES are usable."""
    queues: Any = getattr(django_settings, "RQ_QUEUES", None)
    if not queues:
        return [
            Error(
                "RQ_QUEUES names no queue",
                hint="Configure django-rq's queues, see its README.",
                id="jobqueue.E001",
            )
        ]
    if not isinstance(queues, dict):
        return [
            Error(
                f"RQ_QUEUES must be a dict of queues by name, not {shown(queues)}",
                hint="Configure django-rq's queues, see its README.",
                id="jobqueue.E001",
            )
        ]
    try:
        get_settings()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        return [Error(f"JOBQUEUE cannot be used: {error}", id="jobqueue.E002")]
    return []


@register("jobqueue")
def check_rates_of_the_api(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """How often one user may ask is read with each request: the first one is not to find out."""
    configured: Any = getattr(django_settings, "REST_FRAMEWORK", None)
    rates = configured.get("DEFAULT_THROTTLE_RATES") if isinstance(configured, Mapping) else None
    return [
        Error(
            f"DEFAULT_THROTTLE_RATES of REST_FRAMEWORK cannot be used: {scope!r} {trouble}",
            hint="Correct it, or leave it out: then the API has its own.",
            id="jobqueue.E028",
        )
        for scope in ("api-read", "api-change")
        if isinstance(rates, Mapping) and (trouble := trouble_with(rate, rates.get(scope)))
    ]


@register("jobqueue")
def check_databases(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The databases are there; the alias of one stands in the ids of its messages."""
    if check_settings(None):
        return []
    unknown: list[CheckMessage] = [
        Error(
            f"JOBQUEUE DATABASES names {using!r}, which DATABASES does not have",
            hint=f"Use some of: {', '.join(connections)}.",
            id="jobqueue.E020",
        )
        for using in databases()
        if DATABASE_ALIAS.fullmatch(using) and using not in connections
    ]
    unfit = [
        Error(
            f"the jobs of the database {using!r} cannot be run: their messages would not be recognised",
            hint="Name it with letters, digits and underscores, or leave it out of JOBQUEUE DATABASES.",
            id="jobqueue.E006",
        )
        for using in databases()
        if not DATABASE_ALIAS.fullmatch(using)
    ]
    return [*unknown, *unfit]


@register("jobqueue")
def check_processors(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every processor's queue is configured, so that a worker can serve it."""
    configured: Any = getattr(django_settings, "RQ_QUEUES", None)
    if not isinstance(configured, dict):
        return []
    return [
        Error(
            f"processor {processor.name!r} uses the queue {processor.queue!r}, which RQ_QUEUES does not have",
            hint=f"Use one of: {', '.join(configured)}; or add the queue.",
            id="jobqueue.E003",
        )
        for processor in all_processors()
        if processor.queue not in configured and processor.name != plain_rq.PROCESSOR
    ]


@register("jobqueue")
def check_retries_by_processor(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every policy by name is for a processor that is there."""
    if check_settings(None):
        return []
    known = {processor.name for processor in all_processors()}
    return [
        Error(
            f"JOBQUEUE PROCESSOR_RETRY has {shown(name)}, and no processor has that name",
            hint=f"{_sentence(name_meant(name))} A processor is registered by @processor in processors.py.",
            id="jobqueue.E021",
        )
        for name in get_settings().processor_retry
        if name not in known
    ]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith('?') else '.'}"


@register("jobqueue")
def check_allowed_functions(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What plain RQ may call is named as RQ names it, and exists."""
    if check_settings(None):
        return []
    return [message for name in get_settings().allowed_functions for message in _check_allowed(name)]


def _check_allowed(name: object) -> list[CheckMessage]:
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return [
            Error(
                f"JOBQUEUE ALLOWED_FUNCTIONS has {name!r}, which is no dotted name",
                hint="Name the function with its module, such as 'shop.tasks.send_invoice'.",
                id="jobqueue.E007",
            )
        ]
    try:
        function = import_string(str(name))
        trouble = "" if callable(function) else "it cannot be called"
    except Exception as error:
        function, trouble = None, f"{type(error).__name__}: {error}"
    if trouble:
        return [
            Warning(
                f"JOBQUEUE ALLOWED_FUNCTIONS has {name!r}, whose jobs will fail: {trouble}",
                hint="Correct the name, or remove it.",
                id="jobqueue.W003",
            )
        ]
    own_name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    if own_name != name:
        return [
            Warning(
                f"JOBQUEUE ALLOWED_FUNCTIONS has {name!r}, which RQ calls {own_name!r}",
                hint="Name the function with the module that defines it, or enqueue it by that name.",
                id="jobqueue.W004",
            )
        ]
    return []


@register("jobqueue")
def check_order_of_apps(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Our rqworker command must win over django-rq's."""
    apps = [app.rsplit(".apps.", 1)[0] for app in django_settings.INSTALLED_APPS]
    if "django_rq" not in apps:
        return [Error("django_rq is not installed", hint="Add it to INSTALLED_APPS.", id="jobqueue.E004")]
    if apps.index("jobqueue") > apps.index("django_rq"):
        return [
            Error(
                "jobqueue stands behind django_rq in INSTALLED_APPS, so rqworker would be django-rq's",
                hint="Put jobqueue before django_rq.",
                id="jobqueue.E005",
            )
        ]
    return []


@register("jobqueue")
def check_admin_link(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """django-rq's own pages let every staff user empty a queue."""
    if getattr(django_settings, "RQ_SHOW_ADMIN_LINK", True):
        return [
            Warning(
                "django-rq's pages are mounted in the admin, where every staff user can empty a queue",
                hint="Set RQ_SHOW_ADMIN_LINK = False; the job queue has its own pages.",
                id="jobqueue.W001",
            )
        ]
    return []


@register("jobqueue")
def check_what_rqs_worker_did(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What django-rq's settings promise and only RQ's own worker, or plain RQ's calls, keep."""
    queues: Any = getattr(django_settings, "RQ_QUEUES", None)
    at_once: list[CheckMessage] = [
        Warning(
            f"RQ_QUEUES[{name!r}] has ASYNC off, which only calls of plain RQ heed: jobs wait for a worker",
            hint="Remove ASYNC. In tests jobqueue.testing.drain() runs what is due, without a worker.",
            id="jobqueue.W005",
        )
        for name, queue in (queues.items() if isinstance(queues, dict) else ())
        if isinstance(queue, dict) and not queue.get("ASYNC", True)
    ]
    if not getattr(django_settings, "RQ_EXCEPTION_HANDLERS", None):
        return at_once
    return [
        *at_once,
        Warning(
            "RQ_EXCEPTION_HANDLERS are not called: each job is run and retried by the job queue's own worker",
            hint="Listen to jobqueue.signals.job_failed, with its exception, and remove the setting.",
            id="jobqueue.W006",
        ),
    ]


# What is set for RQ's worker in RQ, for all queues or in RQ_QUEUES for one, and what to do instead.
_NO_CLASSES = "jobs are rows, which are run without RQ's classes"
_IGNORED = {
    "WORKER_CLASS": (
        "rqworker runs jobqueue.worker.supervisor.SupervisorWorker",
        "Remove it. A subclass of that worker is named on the command line: rqworker --worker-class.",
    ),
    "JOB_CLASS": (_NO_CLASSES, "Remove it. What is to surround a job's run belongs into its processor."),
    "QUEUE_CLASS": (_NO_CLASSES, "Remove it. Enqueue with jobqueue.jobs.enqueue()."),
    "SCHEDULER_CLASS": (
        "no scheduler is needed, for every worker starts delayed jobs",
        "Remove it. Enqueue delayed jobs with jobqueue.jobs.enqueue(), with run_at=… or delay=….",
    ),
    "EXCEPTION_HANDLERS": (
        "each job is run and retried by the job queue's own worker",
        "Remove it, and listen to jobqueue.signals.job_failed, with its exception.",
    ),
    "DEFAULT_RESULT_TTL": (
        "what a job returns is not kept in Redis",
        "Remove it. JOBQUEUE KEEP_COMPLETED says how long jobs are kept; a job saves what it finds out.",
    ),
    "DEFAULT_FAILURE_TTL": (
        "failed jobs are rows",
        "Remove it. JOBQUEUE KEEP_FAILED says how long they are kept.",
    ),
    "DEFAULT_WORKER_TTL": (
        "workers give signs of life in the database",
        "Remove it. JOBQUEUE WORKER_SILENCE says after how many seconds without one a worker counts as gone.",
    ),
}


@register("jobqueue")
def check_settings_of_rq(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What is set for RQ's own worker, or RQ's own calls, and would be ignored in silence."""
    if check_settings(None):
        return []
    found = list(_ignored_in("RQ", getattr(django_settings, "RQ", None)))
    for name, queue in django_settings.RQ_QUEUES.items():
        found += _ignored_in(f"RQ_QUEUES[{name!r}]", queue)
        found += _time_limit_of_rq(name, queue)
    return found


def _ignored_in(place: str, given: object) -> Iterator[CheckMessage]:
    for name, (why, hint) in _IGNORED.items():
        if isinstance(given, Mapping) and given.get(name) is not None:
            yield Warning(f"{place} has {name}, which is ignored: {why}", hint=hint, id="jobqueue.W007")


def _time_limit_of_rq(name: object, queue: object) -> Iterator[CheckMessage]:
    """The limit of a queue holds for what plain RQ puts there, and for no processor."""
    limit = queue.get("DEFAULT_TIMEOUT") if isinstance(queue, Mapping) else None
    ours = get_settings().timeout
    if limit is not None and limit != ours:
        yield Warning(
            f"RQ_QUEUES[{name!r}] has the DEFAULT_TIMEOUT {shown(limit)}, which only calls of plain RQ heed: "
            f"a processor that names no time limit has {ours:g} s",
            hint="Set JOBQUEUE TIMEOUT to the same, or give those processors a timeout=….",
            id="jobqueue.W008",
        )


@register("jobqueue", deploy=True)
def check_eviction(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Redis throws no message away when its memory is full. Asked with `check --deploy` only, by network."""
    if check_settings(None):
        return []
    try:
        policies = server.eviction_policies() - {"noeviction"}
    except BrokerUnavailable:
        # That it cannot be reached from here says nothing about its policy.
        return []
    return [
        Warning(
            f"Redis evicts keys when its memory is full (maxmemory-policy is {policy})",
            hint="Set maxmemory-policy noeviction: then a full Redis refuses messages, which are sent later.",
            id="jobqueue.W002",
        )
        for policy in sorted(policies)
    ]
