"""Functions that the settings allow run once; beside them nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
import rq
from rq.job import Callback
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.serializers import DefaultSerializer

from jobqueue.broker import queues
from jobqueue.models import Job
from tests.conftest import StartWorker, WorkerProcess, wait_until
from tests.faults import attacks
from tests.faults.attacks import inject
from tests.faults.foreign_steps import all_attacks, next_job_runs, run_attacks
from tests.workload.fixtures import Workload, note, wait_until_done
from tests.workload.functions import FAIL, NOTE, after, fail
from tests.workload.functions import note as plain_note

pytestmark = pytest.mark.one_database


@pytest.fixture
def markers(tmp_path: Path) -> Iterator[Path]:
    """Where every attack that is run leaves a folder of its own name."""
    folder = tmp_path / "markers"
    folder.mkdir()
    with attacks.marking_web_server(folder / attacks.webhook.__name__):
        yield folder


@pytest.fixture
def start_allowing(rqworker: StartWorker) -> Callable[..., WorkerProcess]:
    """Starts workers whose settings allow the functions `note` and `fail`."""
    allowing = {"ALLOWED_FUNCTIONS": [NOTE, FAIL], "PROCESSOR_RETRY": {"rq.function": {"max_retries": 1}}}

    def start(*arguments: str, **options: Any) -> WorkerProcess:
        return rqworker(*arguments, jobqueue=allowing, **options)

    return start


StartAllowing = Callable[..., WorkerProcess]


def test_an_allowed_function_runs_once_and_is_finished_for_rq(
    start_allowing: StartAllowing, workload: Workload, redis_client: redis.Redis
) -> None:
    start_allowing()
    rq_job = django_rq.get_queue("email").enqueue(plain_note, "plain")

    workload.wait_for_effects(1)
    wait_until(lambda: rq_job.get_status() == "finished")

    note("next")
    assert workload.wait_for_effects(2) == {"plain": 1, "next": 1}
    assert rq_job.id in FinishedJobRegistry("email", connection=redis_client).get_job_ids()
    assert redis_client.zcard("rq:failed:email") == 0
    job = Job.objects.get(processor="rq.function")
    assert (job.queue, job.state, job.attempt) == ("email", "completed", 1)


def test_an_allowed_function_is_run_by_a_burst_worker(
    start_allowing: StartAllowing, workload: Workload
) -> None:
    for number in range(40):
        django_rq.get_queue("email").enqueue(plain_note, f"plain-{number}")

    assert start_allowing("--burst", "--threads", "2", wait=False).wait() == 0

    assert workload.effects() == {f"plain-{number}": 1 for number in range(40)}


def test_an_allowed_function_that_fails_is_retried_and_then_failed_for_rq(
    start_allowing: StartAllowing, redis_client: redis.Redis
) -> None:
    start_allowing()
    rq_job = django_rq.get_queue("email").enqueue(fail)

    wait_until(lambda: rq_job.get_status() == "failed")

    assert Job.objects.get().attempts.count() == 2
    assert FailedJobRegistry("email", connection=redis_client).get_job_ids() == [rq_job.id]


def function_not_allowed(client: redis.Redis) -> str:
    return str(django_rq.get_queue("email").enqueue(after).id)


def allowed_function_pickled(client: redis.Redis) -> str:
    queue = rq.Queue("email", connection=client, serializer=DefaultSerializer)
    return str(queue.enqueue(plain_note, "refused").id)


def allowed_function_with_an_instance(client: redis.Redis) -> str:
    inject(client, "instance", {"data": f'["{NOTE}", {{"a": 1}}, ["refused"], {{}}]'})
    return "instance"


def allowed_function_with_a_callback(client: redis.Redis) -> str:
    queue = django_rq.get_queue("email")
    return str(queue.enqueue(plain_note, "refused", on_success=Callback(after)).id)


def allowed_function_with_a_webhook(client: redis.Redis) -> str:
    fields = {"data": f'["{NOTE}", null, ["refused"], {{}}]', "webhooks": '[{"url": "http://a"}]'}
    inject(client, "webhook", fields)
    return "webhook"


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (function_not_allowed, "the function 'tests.workload.functions.after' is not allowed"),
        (allowed_function_pickled, "its data is no JSON"),
        (allowed_function_with_an_instance, "it calls a method of an instance"),
        (allowed_function_with_a_callback, "it asks for a callback"),
        (allowed_function_with_a_webhook, "it asks for webhooks"),
    ],
)
def test_what_is_not_allowed_stays_in_quarantine_beside_what_is(
    put: Callable[[redis.Redis], str],
    why: str,
    start_allowing: StartAllowing,
    workload: Workload,
    redis_client: redis.Redis,
) -> None:
    start_allowing()
    job_id = put(redis_client)
    django_rq.get_queue("email").enqueue(plain_note, "next")

    assert workload.wait_for_effects(1) == {"next": 1}
    wait_until(lambda: redis_client.hget(f"rq:job:{job_id}", "status") == b"failed")
    text = (redis_client.hget(f"rq:job:{job_id}", "exc_info") or b"").decode()
    assert "was not published by jobqueue and was not run" in text
    assert why in text
    assert redis_client.zscore("rq:failed:email", job_id)
    assert Job.objects.count() == 1


def test_an_attack_runs_nothing_though_the_functions_that_it_hides_behind_are_allowed(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis, markers: Path
) -> None:
    for name, fields in all_attacks(markers).items():
        inject(redis_client, name, fields)

    rqworker(jobqueue={"ALLOWED_FUNCTIONS": ["builtins.len", "builtins.int"]})
    next_job_runs(workload, "behind the attacks")
    wait_until(lambda: not redis_client.exists("rq:queue:email"))
    wait_until_done()

    assert run_attacks(markers) == set()


def test_a_message_that_a_killed_worker_had_in_hand_is_run_by_another(
    start_allowing: StartAllowing, workload: Workload
) -> None:
    rq_job = django_rq.get_queue("email").enqueue(plain_note, "left behind")
    # As far as a worker gets that is killed right after it took the message.
    queues.claim(["email"], 1, "0" * 32, "killed")
    start_allowing()

    assert workload.wait_for_effects(1, timeout=30) == {"left behind": 1}
    wait_until(lambda: rq_job.get_status() == "finished")


def test_all_allowed_functions_run_though_their_worker_is_killed(
    start_allowing: StartAllowing, workload: Workload
) -> None:
    names = {f"plain-{number}" for number in range(200)}
    jobs = [django_rq.get_queue("email").enqueue(plain_note, name) for name in sorted(names)]
    worker = start_allowing("--threads", "2")
    workload.wait_for_effects(20)
    worker.kill()
    start_allowing()

    wait_until(lambda: set(workload.effects()) == names, timeout=60)
    assert Job.objects.count() == 200
    wait_until(lambda: {job.get_status() for job in jobs} == {"finished"}, timeout=60)
