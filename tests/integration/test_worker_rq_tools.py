"""RQ's own tools tell the truth about the worker, and steer it; so does our Queue row."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import redis
import rq
from rq import suspension
from rq.command import send_shutdown_command
from rq.registry import FinishedJobRegistry, StartedJobRegistry

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Queue
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, wait_until
from tests.servers import REDIS_DATABASE
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done

pytestmark = pytest.mark.one_database


@pytest.fixture
def rq_info(redis_server: RedisServer) -> Callable[..., str]:
    """What `rq info` prints."""

    def run(*arguments: str) -> str:
        url = f"redis://{redis_server.host}:{redis_server.port}/{REDIS_DATABASE}"
        command = [sys.executable, "-m", "rq.cli", "info", "--raw", "--url", url, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    return run


def the_worker(connection: redis.Redis) -> rq.Worker:
    """The only worker that RQ knows."""
    (found,) = rq.Worker.all(connection=connection)
    return found


def test_rq_knows_the_worker_its_process_and_its_queues(
    rqworker: StartWorker, redis_client: redis.Redis
) -> None:
    worker = rqworker("--name", "worker-1")

    found = the_worker(redis_client)
    assert (found.name, found.pid) == ("worker-1", worker.pid)
    assert found.queue_names() == ["email", "reminders", "settlement"]


def test_rq_sees_whether_the_worker_is_busy(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker()
    wait_until(lambda: the_worker(redis_client).get_state() == "idle")

    enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    wait_until(lambda: the_worker(redis_client).get_state() == "busy", timeout=3)

    workload.open_gate("slow")
    wait_until(lambda: the_worker(redis_client).get_state() == "idle", timeout=3)


def test_rq_counts_what_the_worker_did(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker()
    note_jobs(5)
    enqueue("workload.fail_fast", name="unlucky")
    wait_until_done()

    def counts() -> tuple[int, int]:
        found = the_worker(redis_client)
        return found.successful_job_count, found.failed_job_count

    wait_until(lambda: counts() == (5, 4), timeout=3)


def test_rq_forgets_the_worker_when_it_ends(rqworker: StartWorker, redis_client: redis.Redis) -> None:
    worker = rqworker()

    worker.stop()

    assert rq.Worker.all(connection=redis_client) == []


def test_rq_info_counts_what_is_queued_and_who_works(
    rqworker: StartWorker, workload: Workload, rq_info: Callable[..., str]
) -> None:
    note_jobs(7)  # three on email, two on each other queue
    queued = rq_info()
    rqworker("--name", "worker-1")
    wait_until_done()
    done = rq_info()

    for queue, count in {"email": 3, "reminders": 2, "settlement": 2}.items():
        assert f"queue {queue} {count}, 0 executing, 0 finished, 0 failed" in queued
        assert f"queue {queue} 0, 0 executing, {count} finished, 0 failed" in done
    assert "worker worker-1 " in done


def test_a_running_job_is_in_the_started_registry_only_while_it_runs(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    started = StartedJobRegistry("settlement", connection=redis_client)
    rqworker()
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    during = started.get_job_ids()
    workload.open_gate("slow")
    wait_until_done()

    assert during == [job.message_id]
    wait_until(lambda: started.get_job_ids() == [], timeout=3)


def test_a_completed_job_is_in_the_finished_registry(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker()

    job = note("done", "email")

    finished = FinishedJobRegistry("email", connection=redis_client)
    wait_until(lambda: finished.get_job_ids() == [job.message_id])


def test_reading_rqs_registries_takes_no_running_job_away(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker()
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")

    for queue in rq.Queue.all(connection=redis_client):
        queue.started_job_registry.cleanup()
        queue.count  # noqa: B018 - reading it is the point
    workload.open_gate("slow")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("completed", 1)


def test_rqs_shutdown_command_ends_the_worker_in_order(
    rqworker: StartWorker, redis_client: redis.Redis
) -> None:
    worker = rqworker("--name", "worker-1")
    wait_until(lambda: redis_client.pubsub_numsub("rq:pubsub:worker-1")[0][1])

    send_shutdown_command(redis_client, "worker-1")

    assert worker.wait(timeout=10) == 0


def test_rqs_suspension_holds_all_jobs_and_its_end_lets_them_go(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker()
    suspension.suspend(redis_client)
    jobs = note_jobs(6)
    # The relay works on during a suspension; when this one is due, the others had their chance.
    note("marker", delay=1)
    wait_until(lambda: redis_client.llen("rq:queue:email") == 3)
    held = workload.effects()

    suspension.resume(redis_client)

    workload.wait_for_effects(len(jobs) + 1, timeout=5)
    assert held == {}


def test_a_worker_that_starts_during_a_suspension_starts_no_job_that_was_there_before(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    note("before")
    suspension.suspend(redis_client)
    rqworker()
    # When this one is published, the worker has looked for the other.
    note("marker", delay=1)
    wait_until(lambda: redis_client.llen("rq:queue:email") == 2)
    held = workload.effects()

    suspension.resume(redis_client)

    workload.wait_for_effects(2, timeout=5)
    assert held == {}


def test_a_paused_queue_holds_its_jobs_and_the_others_go_on(
    rqworker: StartWorker, workload: Workload
) -> None:
    Queue.objects.create(name="email", paused=True)
    rqworker()
    held = note("held", "email")
    note("free", "reminders")
    note("free later", "settlement", delay=1)
    workload.wait_for_effects(2)

    held.refresh_from_db()
    assert held.state == "waiting"


def test_a_pause_reaches_a_running_worker_within_a_second(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker()
    note("before")
    workload.wait_for_effects(1)
    Queue.objects.create(name="email", paused=True)
    # Enqueued at once when the pause is a second old.
    job = note("held", "email", delay=1)
    wait_until(lambda: redis_client.llen("rq:queue:email") == 1)
    note("free", "settlement", delay=0.5)
    workload.wait_for_effects(2)

    job.refresh_from_db()
    assert job.state == "waiting"


def test_a_resumed_queue_goes_on_within_a_second(rqworker: StartWorker, workload: Workload) -> None:
    queue = Queue.objects.create(name="email", paused=True)
    rqworker()
    note("held", "email")
    note("free", "reminders")
    workload.wait_for_effects(1)

    queue.paused = False
    queue.save()

    workload.wait_for_effects(2, timeout=2)
    wait_until_done()
    assert set(Job.objects.values_list("attempt", "state")) == {(1, "completed")}


def test_a_worker_with_only_paused_queues_stops_at_once(rqworker: StartWorker) -> None:
    for name in ("email", "reminders", "settlement"):
        Queue.objects.create(name=name, paused=True)
    worker = rqworker()

    assert worker.stop() == 0
