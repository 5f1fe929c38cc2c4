"""System checks: what would lose or double jobs is said at the start."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.core import checks as django_checks
from django.core.checks import CheckMessage
from django.db import connections

from jobqueue import checks
from jobqueue.jobs import processor
from spendsync_site.demo.redis_server import RedisServer
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import succeed


def _found() -> list[CheckMessage]:
    return django_checks.run_checks(tags=["jobqueue"])


def _ids() -> list[str | None]:
    return [message.id for message in _found()]


def test_the_site_passes() -> None:
    assert _found() == []


@pytest.mark.parametrize("queues", [{}, None])
def test_without_a_queue_nothing_can_run(settings: LazySettings, queues: Any) -> None:
    settings.RQ_QUEUES = queues

    assert "jobqueue.E001" in _ids()


@pytest.mark.parametrize("queues", [["email"], "email", 5])
def test_queues_that_are_no_dict_are_an_error(settings: LazySettings, queues: Any) -> None:
    settings.RQ_QUEUES = queues

    [message] = [message for message in _found() if message.id == "jobqueue.E001"]
    assert message.msg.startswith("RQ_QUEUES must be a dict of queues by name")


@pytest.mark.parametrize(
    "values",
    [
        {"TIMEOUT": "3m"},
        {"RETRY": True},
        {"THREADS": 0},
        {"DATABASES": "default"},
        [],
        {"TIMEOUTS": 1},
        {"RETRY": {"max_retries": -1}},
        {"RETRY": {"retries": 1}},
        {"WORKER_SILENCE": 1},
        {"PROCESSOR_RETRY": {"a": {"jitter": 2}}},
    ],
)
def test_settings_that_cannot_be_used_are_an_error(settings: LazySettings, values: dict[str, Any]) -> None:
    settings.JOBQUEUE = values
    [message] = _found()

    assert message.id == "jobqueue.E002"
    assert message.msg.startswith("JOBQUEUE cannot be used: ")


@pytest.mark.parametrize("scope", ["api-read", "api-change"])
@pytest.mark.parametrize("rate", ["100000", "1200/", "/min", "5/fortnight", "-1/min", 1200])
def test_a_rate_of_the_api_that_is_none_is_an_error(settings: LazySettings, scope: str, rate: Any) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {scope: rate}}

    [message] = [message for message in _found() if message.id == "jobqueue.E028"]
    assert scope in message.msg and "such as 1200/min" in message.msg


@pytest.mark.parametrize("rate", ["1/s", "1200/min", "5/hour", "100000/day", "0/day", "100/hours", None])
def test_a_rate_of_the_api_passes(settings: LazySettings, rate: Any) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"api-read": rate}}

    assert _found() == []


def test_a_processor_of_a_queue_that_is_not_configured_is_an_error_with_the_remedy() -> None:
    processor("sample.nowhere", queue="letters")(succeed)
    [message] = _found()

    assert message.id == "jobqueue.E003"
    assert "'sample.nowhere' uses the queue 'letters'" in message.msg
    assert message.hint == "Use one of: email, reminders, settlement; or add the queue."


def test_an_alias_that_is_no_database_is_an_error(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"DATABASES": ("default", "jobs")}
    [message] = _found()

    assert message.id == "jobqueue.E020"
    assert "'jobs', which DATABASES does not have" in message.msg


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("email.notificaton", "Did you mean 'email.notification'?"),
        ("zzz", "Registered are: "),
        (5, "Registered are: "),
    ],
)
def test_a_policy_for_a_processor_that_is_not_there_is_an_error(
    settings: LazySettings, name: Any, hint: str
) -> None:
    settings.JOBQUEUE = {"PROCESSOR_RETRY": {name: 5}}
    [message] = _found()

    assert message.id == "jobqueue.E021"
    assert repr(name) in message.msg
    assert message.hint is not None
    assert message.hint.startswith(hint)


@pytest.mark.parametrize("name", ["email.notification", "rq.function"])
def test_a_policy_for_a_processor_that_is_there_passes(settings: LazySettings, name: str) -> None:
    settings.JOBQUEUE = {"PROCESSOR_RETRY": {name: 5}}

    assert _found() == []


def test_a_database_whose_alias_does_not_fit_into_a_message_is_an_error(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"DATABASES": ("default", "read-replica")}
    [message] = _found()

    assert message.id == "jobqueue.E006"
    assert "'read-replica'" in message.msg


@pytest.mark.parametrize("vendor", ["mysql", "oracle"])
def test_a_database_that_is_not_served_is_an_error_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    monkeypatch.setattr(connections["other"], "vendor", vendor)
    [message] = _found()

    assert message.id == "jobqueue.E008"
    assert f"'other' cannot be run: {vendor} is not served" in message.msg
    assert (
        message.hint == "Keep jobs in PostgreSQL or SQLite, or leave the database out of JOBQUEUE DATABASES."
    )


def test_a_database_that_is_not_served_may_hold_other_things(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.JOBQUEUE = {"DATABASES": ("default",)}
    monkeypatch.setattr(connections["other"], "vendor", "mysql")

    assert _found() == []


def test_without_django_rq_nothing_can_run(settings: LazySettings) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_rq"]

    assert _ids() == ["jobqueue.E004"]


@pytest.mark.parametrize("name", ["jobqueue", "jobqueue.apps.JobQueueConfig"])
def test_behind_django_rq_its_worker_command_would_win(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    apps = SimpleNamespace(INSTALLED_APPS=["settlements", "django_rq", name])
    monkeypatch.setattr(checks, "django_settings", apps)
    [message] = checks.check_order_of_apps(None)

    assert message.id == "jobqueue.E005"
    assert message.hint == "Put jobqueue before django_rq."


def test_django_rqs_own_pages_in_the_admin_are_a_warning(settings: LazySettings) -> None:
    settings.RQ_SHOW_ADMIN_LINK = True

    assert _ids() == ["jobqueue.W001"]


def _deployment_ids() -> list[str | None]:
    found = django_checks.run_checks(tags=["jobqueue"], include_deployment_checks=True)
    return [message.id for message in found]


@pytest.mark.parametrize(
    ("policy", "ids"),
    [("noeviction", []), ("allkeys-lru", ["jobqueue.W002"]), ("volatile-ttl", ["jobqueue.W002"])],
)
def test_a_redis_that_evicts_keys_is_a_warning_before_a_deployment(
    private_redis: Callable[..., RedisServer], use_redis: UseRedis, policy: str, ids: list[str]
) -> None:
    server = private_redis()
    use_redis(server.host, server.port)
    with redis.Redis(host=server.host, port=server.port) as client:
        client.config_set("maxmemory-policy", policy)

    assert _deployment_ids() == ids
    assert _ids() == []


def test_a_redis_that_cannot_be_reached_is_no_warning(redis_closed: UseRedis) -> None:
    assert _deployment_ids() == []


@pytest.mark.parametrize(
    "name", ["send", "shop.", ".send", "shop tasks.send", "shop.tasks:send", "", 5, None]
)
def test_an_allowed_function_that_is_no_dotted_name_is_an_error(settings: LazySettings, name: Any) -> None:
    settings.JOBQUEUE = {"ALLOWED_FUNCTIONS": [name]}
    [message] = _found()

    assert message.id == "jobqueue.E007"
    assert repr(name) in message.msg


@pytest.mark.parametrize(
    "name", ["no.such.module", "tests.workload.functions.missing", "tests.workload.functions.NOTE"]
)
def test_an_allowed_function_that_cannot_be_called_is_a_warning(settings: LazySettings, name: str) -> None:
    settings.JOBQUEUE = {"ALLOWED_FUNCTIONS": [name]}

    assert _ids() == ["jobqueue.W003"]


def test_an_allowed_function_under_a_name_that_rq_does_not_use_is_a_warning(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"ALLOWED_FUNCTIONS": ["tests.jobqueue.plain_rq.test_adoption.note"]}
    [message] = _found()

    assert message.id == "jobqueue.W004"
    assert "'tests.workload.functions.note'" in message.msg


def test_an_allowed_function_that_exists_passes(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"ALLOWED_FUNCTIONS": ["tests.workload.functions.note"]}

    assert _found() == []


# What plain RQ promises ---------------------------------------------------------------------------


def test_a_queue_that_is_to_run_jobs_at_once_is_a_warning(settings: LazySettings) -> None:
    queue = settings.RQ_QUEUES["email"]
    settings.RQ_QUEUES = {
        **settings.RQ_QUEUES,
        "now": {**queue, "ASYNC": False},
        "later": {**queue, "ASYNC": True},
    }
    [message] = _found()

    assert message.id == "jobqueue.W005"
    assert message.msg.startswith("RQ_QUEUES['now'] has ASYNC off")


def test_handlers_that_are_not_called_are_a_warning(settings: LazySettings) -> None:
    settings.RQ_EXCEPTION_HANDLERS = ["shop.rq.handler"]
    [message] = _found()

    assert message.id == "jobqueue.W006"
    assert "jobqueue.signals.job_failed" in str(message.hint)


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("WORKER_CLASS", "rq.SimpleWorker", "--worker-class"),
        ("JOB_CLASS", "shop.rq.Job", "processor"),
        ("QUEUE_CLASS", "shop.rq.Queue", "jobqueue.jobs.enqueue()"),
        ("SCHEDULER_CLASS", "shop.rq.Scheduler", "run_at="),
        ("EXCEPTION_HANDLERS", ["shop.rq.handler"], "jobqueue.signals.job_failed"),
        ("DEFAULT_RESULT_TTL", 0, "KEEP_COMPLETED"),
        ("DEFAULT_FAILURE_TTL", 60, "KEEP_FAILED"),
        ("DEFAULT_WORKER_TTL", 60, "WORKER_SILENCE"),
    ],
)
@pytest.mark.parametrize("place", ["RQ", "RQ_QUEUES['email']"])
def test_what_only_rqs_own_worker_heeds_is_a_warning_by_name_that_says_what_to_do_instead(
    settings: LazySettings, place: str, name: str, value: Any, instead: str
) -> None:
    if place == "RQ":
        settings.RQ = {name: value}
    else:
        email = {**settings.RQ_QUEUES["email"], name: value}
        settings.RQ_QUEUES = {**settings.RQ_QUEUES, "email": email}
    [message] = _found()

    assert (message.id, message.level) == ("jobqueue.W007", django_checks.WARNING)
    assert message.msg.startswith(f"{place} has {name}, which is ignored: ")
    assert instead in str(message.hint)


@pytest.mark.parametrize("given", [{}, None, [], {"COMMIT_MODE": "auto"}, {"WORKER_CLASS": None}])
def test_what_nobody_misses_passes(settings: LazySettings, given: Any) -> None:
    settings.RQ = given

    assert _found() == []


@pytest.mark.parametrize("limit", [60, "1h", -1])
def test_a_time_limit_that_no_processor_has_is_a_warning(settings: LazySettings, limit: Any) -> None:
    email = {**settings.RQ_QUEUES["email"], "DEFAULT_TIMEOUT": limit}
    settings.RQ_QUEUES = {**settings.RQ_QUEUES, "email": email}
    [message] = _found()

    assert message.id == "jobqueue.W008"
    assert f"RQ_QUEUES['email'] has the DEFAULT_TIMEOUT {limit!r}" in message.msg
    assert "a processor that names no time limit has 180 s" in message.msg
    assert "JOBQUEUE TIMEOUT" in str(message.hint)


def test_a_time_limit_that_processors_have_too_passes(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"TIMEOUT": 60}
    settings.RQ_QUEUES = {
        name: {**queue, "DEFAULT_TIMEOUT": 60} for name, queue in settings.RQ_QUEUES.items()
    }

    assert _found() == []
