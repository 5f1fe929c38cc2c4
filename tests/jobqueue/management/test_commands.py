"""The management commands, as far as they need no worker."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command, get_commands
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue import registry
from jobqueue.counts import proof
from jobqueue.jobs import enqueue
from jobqueue.management.commands import jobqueue_prune
from jobqueue.models import Attempt, AttemptLog, BulkAction, Job
from jobqueue.registry import reconciler
from jobqueue.worker import options
from tests.jobqueue.processors_for_tests import SUCCEED

in_databases = pytest.mark.django_db(databases=["default", "other"])


def _call(command: str, *arguments: str) -> tuple[str, str]:
    output, errors = StringIO(), StringIO()
    call_command(command, *arguments, stdout=output, stderr=errors)
    return output.getvalue(), errors.getvalue()


# Prune --------------------------------------------------------------------------------------------


def _job(state: str, *, days: float | None, using: str = "default") -> Job:
    """A job that ended so many days ago."""
    job = enqueue(SUCCEED, using=using)
    finished = None if days is None else Now() - timedelta(days=days)
    Job.objects.using(using).filter(pk=job.pk).update(state=state, finished_at=finished)
    return job


def _left() -> set[int]:
    return set(Job.objects.values_list("pk", flat=True))


@in_databases
@pytest.mark.parametrize(("state", "days"), [("completed", 31), ("cancelled", 31), ("failed", 366)])
def test_what_ended_long_ago_is_deleted(state: str, days: float) -> None:
    _job(state, days=days)

    assert _call("jobqueue_prune")[0] == "deleted 1 jobs\n"
    assert _left() == set()


@in_databases
@pytest.mark.parametrize(("state", "days"), [("completed", 29), ("cancelled", 29), ("failed", 364)])
def test_what_ended_lately_is_kept(state: str, days: float) -> None:
    job = _job(state, days=days)

    assert _call("jobqueue_prune")[0] == "deleted 0 jobs\n"
    assert _left() == {job.pk}


@in_databases
@pytest.mark.parametrize("state", ["waiting", "active"])
def test_what_has_not_ended_is_kept_however_old(state: str) -> None:
    job = _job(state, days=None)
    Job.objects.update(created_at=Now() - timedelta(days=5000))
    _call("jobqueue_prune")

    assert _left() == {job.pk}


@in_databases
def test_the_lines_of_log_go_with_their_job_also_with_one_that_older_code_deleted() -> None:
    pruned, deleted, kept = _job("completed", days=31), _job("completed", days=1), _job("completed", days=1)
    for job in (pruned, deleted, kept):
        AttemptLog.objects.create(job=job, number=1, lines=[[0.1, "INFO", "shop", "here"]])
    Job.objects.filter(pk=deleted.pk)._raw_delete("default")

    _call("jobqueue_prune")

    assert list(AttemptLog.objects.values_list("job_id", flat=True)) == [kept.pk]


@in_databases
def test_how_long_to_keep_can_be_said() -> None:
    completed, failed = _job("completed", days=2), _job("failed", days=2)
    _call("jobqueue_prune", "--completed-days", "1")
    assert _left() == {failed.pk}

    _call("jobqueue_prune", "--failed-days", "1.5")
    assert _left() == set()
    assert completed.pk not in _left()


@in_databases
def test_how_long_to_keep_is_a_setting(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"KEEP_COMPLETED": timedelta(days=1), "KEEP_FAILED": timedelta(days=1)}
    _job("completed", days=2)
    _job("failed", days=2)

    assert _call("jobqueue_prune")[0] == "deleted 2 jobs\n"


@in_databases
@pytest.mark.parametrize("option", ["--completed-days", "--failed-days"])
def test_a_negative_age_is_refused(option: str) -> None:
    with pytest.raises(CommandError, match=f"{option} must be 0 or more, not -1"):
        _call("jobqueue_prune", f"{option}=-1")


@in_databases
def test_attempts_go_with_their_jobs() -> None:
    Attempt.objects.create(job=_job("failed", days=400), number=1, error_class="E")
    _call("jobqueue_prune")

    assert not Attempt.objects.exists()


@in_databases
def test_many_jobs_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobqueue_prune, "_BATCH", 2)
    for _ in range(5):
        _job("completed", days=31)

    assert _call("jobqueue_prune")[0] == "deleted 5 jobs\n"


@in_databases
def test_every_database_is_pruned() -> None:
    _job("completed", days=31, using="other")

    assert _call("jobqueue_prune")[0] == "deleted 1 jobs\n"
    assert not Job.objects.using("other").exists()


# Reconcile ----------------------------------------------------------------------------------------


@pytest.fixture
def reconcilers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reconciler but those of the test."""
    monkeypatch.setattr(registry, "_reconcilers", {})


def _reconciler(name: str, answer: Callable[[bool], dict[str, int]]) -> None:
    def reconcile(*, full: bool) -> dict[str, int]:
        return answer(full)

    reconciler(name)(reconcile)


@pytest.mark.usefixtures("reconcilers")
def test_every_reconciler_runs_thoroughly_and_says_what_it_mended() -> None:
    _reconciler("two", lambda full: {"jobs created": 3, "jobs cancelled": 1, "nothing": 0})
    _reconciler("one", lambda full: {"thorough": int(full)})

    assert _call("jobqueue_reconcile")[0] == "one: 1 thorough\ntwo: 1 jobs cancelled, 3 jobs created\n"


@pytest.mark.usefixtures("reconcilers")
def test_a_reconciler_with_nothing_to_mend_says_so() -> None:
    _reconciler("one", lambda full: {"jobs created": 0})

    assert _call("jobqueue_reconcile")[0] == "one: nothing was missing\n"


@pytest.mark.usefixtures("reconcilers")
def test_a_reconciler_that_fails_does_not_keep_the_others_from_running() -> None:
    ran: list[str] = []

    def broken(full: bool) -> dict[str, int]:
        raise RuntimeError("broken")

    _reconciler("a broken one", broken)
    _reconciler("one behind it", lambda full: ran.append("ran") or {})  # type: ignore[func-returns-value]
    errors = StringIO()

    with pytest.raises(CommandError, match="reconcilers failed: a broken one"):
        call_command("jobqueue_reconcile", stdout=StringIO(), stderr=errors)
    assert ran == ["ran"]
    assert errors.getvalue() == "a broken one: failed: RuntimeError: broken\n"


# The worker's arguments ---------------------------------------------------------------------------


def test_rqworker_is_the_job_queues_own_command() -> None:
    assert get_commands()["rqworker"] == "jobqueue"


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    """The worker's command takes over the signals of its process, which here is the tests'."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@in_databases
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["letters"], "no queue named letters; RQ_QUEUES has: email, reminders, settlement"),
        (["email", "a", "b"], "no queue named a, b; "),
        (["--threads", "0"], "--threads must be 1 or more, not 0"),
        (["--processes=-1"], "--processes must be 1 or more, not -1"),
        (["--shutdown-timeout=-5"], "--shutdown-timeout must be 0 or more, not -5"),
        (["--shutdown-timeout=nan"], "--shutdown-timeout must be 0 or more, not nan"),
        (["--shutdown-timeout=inf"], "--shutdown-timeout must be 0 or more, not inf"),
        (["--max-jobs", "0"], "--max-jobs must be 1 or more, not 0"),
        (["--with-scheduler"], "no scheduler is needed: every worker starts delayed jobs by itself"),
        (["--threads", "many"], "argument --threads: invalid int value: 'many'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        _call("rqworker", *arguments)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"TIMEOUT": "3m"}, "JOBQUEUE TIMEOUT must be a number of seconds above 0"),
        ({"THREADS": 0}, "JOBQUEUE THREADS must be a whole number from 1 to"),
        ({"RETRY": {"max_retries": "x"}}, "JOBQUEUE RETRY max_retries must be 0 or more, not 'x'"),
        ({"HEARTBEAT_INTERVAL": None}, "JOBQUEUE HEARTBEAT_INTERVAL must be"),
        ({"DATABASES": ["jobs"]}, "JOBQUEUE DATABASES names jobs; DATABASES has: default, other"),
        ([], "JOBQUEUE must be a dict"),
    ],
)
def test_settings_that_cannot_be_used_keep_the_worker_from_starting(
    settings: LazySettings, values: Any, complaint: str
) -> None:
    settings.JOBQUEUE = values

    with pytest.raises(CommandError, match=complaint):
        _call("rqworker", "email")


def test_help_is_shown_though_the_settings_cannot_be_used(settings: LazySettings, capsys: Any) -> None:
    settings.JOBQUEUE = {"THREADS": "many"}
    with pytest.raises(SystemExit):
        call_command("rqworker", "--help")

    assert "--threads" in capsys.readouterr().out


def test_help_names_our_options_and_django_rqs(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        call_command("rqworker", "--help")
    text = capsys.readouterr().out

    for option in ("--threads", "--processes", "--shutdown-timeout", "--burst", "--name", "--max-jobs"):
        assert option in text


@in_databases
def test_prune_drops_bulk_actions_that_ended_as_long_ago_as_jobs_are_kept() -> None:
    rows: dict[str, Any] = {"verb": "retry", "highest_id": 1, "expected": 1}
    long_ago = timezone.now() - timedelta(days=400)
    kept = [
        BulkAction.objects.create(key="open", asked_at=long_ago, **rows),
        BulkAction.objects.create(key="new", ended_at=timezone.now(), **rows),
    ]
    BulkAction.objects.create(key="old", ended_at=long_ago, **rows)
    _call("jobqueue_prune")
    assert set(BulkAction.objects.all()) == set(kept)


# Databases that are away --------------------------------------------------------------------------


def _away(using: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise OperationalError(f"no route to {using}")

    return refuse


@in_databases
@pytest.mark.parametrize("away", ["default", "other"])
def test_prune_serves_the_others_and_names_the_database_that_is_away(away: str) -> None:
    served = "other" if away == "default" else "default"
    for using in ("default", "other"):
        _job("completed", days=31, using=using)
    output = StringIO()

    with (
        connections[away].execute_wrapper(_away(away)),
        pytest.raises(
            CommandError, match=f"database '{away}' was not served: .*no route to {away}"
        ) as refused,
    ):
        call_command("jobqueue_prune", stdout=output)

    assert refused.value.returncode == 1
    assert output.getvalue() == "deleted 1 jobs\n"
    assert not Job.objects.using(served).exists()
    assert Job.objects.using(away).exists()


@in_databases
@pytest.mark.parametrize("away", ["default", "other"])
def test_the_counts_of_the_others_are_proved_where_a_database_is_away(
    away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []

    def mend(using: str) -> list[Any]:
        if using == away:
            raise OperationalError("no route")
        served.append(using)
        return []

    monkeypatch.setattr(proof, "mend", mend)
    errors = StringIO()

    with pytest.raises(CommandError, match="reconcilers failed: jobqueue"):
        call_command("jobqueue_reconcile", stdout=StringIO(), stderr=errors)

    assert served == ["other" if away == "default" else "default"]
    assert f"the database '{away}' was not served: OperationalError: no route" in errors.getvalue()


# Options of django-rq's ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rq.Worker", "rq.SimpleWorker"])
def test_a_class_of_workers_that_would_not_run_our_jobs_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match=f"--worker-class '{name}' is refused, .*SupervisorWorker"):
        _call("rqworker", "email", "--worker-class", name)


def test_a_class_of_workers_that_is_not_there_is_refused() -> None:
    with pytest.raises(CommandError, match="--worker-class cannot be imported"):
        _call("rqworker", "email", "--worker-class", "shop.Worker")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"job_class": "shop.Job"}, ["--job-class"]),
        ({"queue_class": "shop.Queue", "serializer": "shop.Pickle"}, ["--queue-class", "--serializer"]),
        ({"worker_ttl": 60}, ["--worker-ttl"]),
        ({"worker_ttl": 420}, []),
        ({"serializer": "rq.serializers.JSONSerializer"}, []),
        ({"serializer": "rq.serializers.DefaultSerializer"}, []),
    ],
)
def test_options_that_have_no_effect_are_named(given: dict[str, Any], named: list[str]) -> None:
    assert [warning.split()[0] for warning in options.ignored(given)] == named
