"""A process that ends at any step of a job loses and doubles nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import redis
from django.db.models.functions import Now

from jobqueue.broker import queues
from jobqueue.broker.counters import completed
from jobqueue.delivery.publishable import message_of
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Attempt, Job, Worker, transitions
from spendsync_site.demo.processes import free_port
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import StartWorker, WorkerProcess, wait_until
from tests.faults.fail_steps import QUICK
from tests.servers import ROOT, subprocess_environment
from tests.workload.fail_points import EXIT_STRUCK, FailPoint
from tests.workload.fixtures import Workload
from tests.workload.guarded import GUARDED, requests, runs

THREADS = 4


QUEUES = ("email", "reminders", "settlement")


@dataclass(frozen=True)
class Step:
    """A step of the way, the function that takes it, and where it is struck: scenario, moment, which call."""

    number: int
    function: str
    cases: tuple[tuple[str, str, int], ...]


def both(scenario: str, call: int = 1) -> tuple[tuple[str, str, int], ...]:
    """Just before and just after a call."""
    return ((scenario, "before", call), (scenario, "after", call))


STEPS = (
    Step(1, "jobqueue.jobs.publish_on_commit", (*both("enqueue"), *both("work", 2))),
    Step(2, "django.db.backends.base.base.BaseDatabaseWrapper._commit", (*both("enqueue"), *both("work", 7))),
    Step(3, "jobqueue.broker.queues.publish", (*both("enqueue"), *both("work", 3))),
    Step(4, "jobqueue.delivery.outbox._mark_unpublished", both("enqueue while Redis is away")),
    Step(5, "jobqueue.delivery.outbox.upcoming", both("work", 3)),
    Step(6, "jobqueue.delivery.outbox.publish_due", both("work", 4)),
    Step(7, "jobqueue.broker.registries.unknown", both("work")),
    Step(8, "jobqueue.broker.queues.claim", both("work", 3)),
    Step(9, "jobqueue.models.transitions.claim", both("work", 3)),
    Step(10, "jobqueue.delivery.outbox.unpublish", both("work")),
    Step(11, "jobqueue.worker.performing.perform", both("work", 20)),
    Step(12, "jobqueue.models.transitions.complete", both("work", 4)),
    Step(13, "jobqueue.worker.settling._settle_failure", both("work", 3)),
    Step(14, "jobqueue.broker.queues.finish", both("work", 4)),
    Step(15, "jobqueue.delivery.rescue.interrupt", both("work")),
    Step(16, "jobqueue.delivery.rescue._record_attempt", both("work", 2)),
    Step(17, "jobqueue.delivery.rescue.sweep", both("work")),
    Step(18, "jobqueue.worker.in_hand.InHand.hand_back", both("the supervisor is killed")),
    Step(19, "jobqueue.worker.left_behind.hand_back", both("stop")),
    Step(
        20,
        "jobqueue.worker.supervisor.bring_back",
        (*both("stop"), *both("an executor is killed")),
    ),
)


@dataclass
class Story:
    """What one case has going: jobs by name, the states they shall end in, and a worker that is kept up."""

    rqworker: StartWorker
    workload: Workload
    redis: RedisServer
    point: FailPoint
    states: dict[str, str] = field(default_factory=dict)
    effects: set[str] = field(default_factory=set)
    # Runs that are meant to be: one, and one more for each failure or wait that the job asks for.
    runs: Counter[str] = field(default_factory=Counter)
    worker: WorkerProcess | None = None

    def expect(self, *names: str, runs: int = 1, state: str = Job.State.COMPLETED) -> None:
        """These jobs shall end so, with one effect each if they complete."""
        for name in names:
            self.states[name] = state
            self.runs[name] = runs
            if state == Job.State.COMPLETED:
                self.effects.add(name)

    def start_worker(self, *, is_struck: bool = True) -> WorkerProcess:
        """A worker; with `is_struck` one of its processes ends at the fail point, if none did before."""
        self.worker = self.rqworker(
            *("--processes", "2", "--threads", str(THREADS), "--shutdown-timeout", "0.3"),
            redis=self.redis,
            wait=False,
            jobqueue=QUICK,
            WORKLOAD_FAIL_POINT=str(self.point) if is_struck else "",
        )
        return self.worker

    def keep_up(self) -> None:
        """What any supervisor of processes does: start again what ended."""
        assert self.worker is not None
        if not self.worker.is_running():
            self.start_worker()

    def wait_until_done(self) -> None:
        """Return once no job waits or runs."""

        def nothing_is_left() -> bool:
            self.keep_up()
            return not Job.objects.unfinished().exists()

        wait_until(nothing_is_left, 40)


# Work that is going on ------------------------------------------------------------------------------


def enqueue_everything(story: Story) -> None:
    """About sixty jobs of every kind: in bulk, delayed, failing, asking for another time, chained, alone."""
    plain = [f"plain-{number}" for number in range(21)]
    failing = [f"failing-{number}" for number in range(6)]
    later = [f"later-{number}" for number in range(4)]
    delayed = [f"delayed-{number}" for number in range(6)]
    hopeless = [f"hopeless-{number}" for number in range(2)]
    chains = [f"chain-{number}" for number in range(4)]
    alone = [f"alone-{number}" for number in range(4)]
    enqueue_many(requests(plain))
    enqueue_many(requests(failing, how="fail once"))
    enqueue_many(requests(later, how="later"))
    enqueue_many(requests(hopeless, how="discard"))
    for number, name in enumerate(delayed):
        enqueue(GUARDED["reminders"].name, name=name, delay=0.2 * (number + 1))
    for name in chains:
        enqueue("workload.chain", name=name)
    story.expect(*plain, *delayed, *alone)
    story.expect(*(f"{name}-next" for name in chains))
    story.expect(*failing, *later, runs=2)
    story.expect(*hopeless, state=Job.State.FAILED)
    story.expect(*chains)
    story.effects -= set(chains)
    for name in alone:
        enqueue(GUARDED["email"].name, name=name)
        wait_until(lambda name=name: story.keep_up() or story.workload.effects()[name], 20)
    publish_before_their_time(story)


def publish_before_their_time(story: Story) -> None:
    """Messages that come too early, as from a relay whose clock is ahead."""
    names = [f"early-{number}" for number in range(3)]
    jobs = [enqueue(GUARDED["reminders"].name, name=name, delay=1.5) for name in names]
    queues.publish([message_of(job, "default") for job in jobs])
    story.expect(*names)


def leave_jobs_of_a_lost_worker(story: Story) -> None:
    """What a worker leaves that vanished: active rows, and messages that it took and no row knows of."""
    lost = Worker.objects.create(
        id=uuid.uuid4(), name="lost", hostname="elsewhere", pid=1, heartbeat_at=Now() - timedelta(hours=1)
    )
    claimed = [f"lost-{number}" for number in range(3)]
    taken = [f"taken-{number}" for number in range(2)]
    enqueue_many(requests(claimed))
    messages = queues.claim(QUEUES, len(claimed), lost.pk.hex, lost.name).messages
    assert len(transitions.claim(Job.objects, [(m.job_id, m.attempt) for m in messages], lost.pk)) == len(
        claimed
    )
    enqueue_many(requests(taken))
    assert len(queues.claim(QUEUES, len(taken), lost.pk.hex, lost.name).messages) == len(taken)
    story.expect(*claimed, *taken)


def work(story: Story) -> None:
    """A worker does everything that a worker does."""
    leave_jobs_of_a_lost_worker(story)
    story.start_worker()
    enqueue_everything(story)


# Enqueueing -----------------------------------------------------------------------------------------


def enqueue_in_a_process(story: Story, **environment: str) -> None:
    """A process that is struck while it enqueues; a worker is at work already."""
    names = [*(f"due-{number}" for number in range(8)), "delayed-0", "delayed-1"]
    story.start_worker(is_struck=False)
    process = subprocess.run(
        [sys.executable, "manage.py", "workload_enqueue", *names],
        cwd=ROOT,
        env=subprocess_environment(
            story.redis,
            WORKLOAD_REDIS_URL=story.workload.url,
            OTHER_DATABASE_URL="",
            WORKLOAD_FAIL_POINT=str(story.point),
            **environment,
        ),
        capture_output=True,
        text=True,
    )
    assert process.returncode == EXIT_STRUCK, process.stderr
    if story.point.function.endswith("publish_on_commit") or (
        story.point.function.endswith("_commit") and story.point.moment == "before"
    ):
        assert not Job.objects.exists()
    else:
        story.expect(*names)


def enqueue_while_redis_is_away(story: Story) -> None:
    """The enqueueing process cannot reach Redis; the worker can."""
    enqueue_in_a_process(story, REDIS_PORT=str(free_port()))


# Stopping -------------------------------------------------------------------------------------------


def start_slow_jobs(story: Story) -> WorkerProcess:
    """A worker with all its threads in jobs that outlast its shutdown time-out, and more in its queues."""
    worker = story.start_worker()
    slow = [f"slow-{number}" for number in range(2 * THREADS + 6)]
    enqueue_many(requests(slow, pause=1.0))
    # What is handed back runs again, and that is no fault.
    story.expect(*slow, runs=2)
    wait_until(lambda: len(runs()) >= 2 * THREADS, 20)
    return worker


def stop(story: Story) -> None:
    """A worker is asked to stop; its supervisor hands back what did not end in time."""
    worker = start_slow_jobs(story)
    worker.signal(signal.SIGTERM)
    worker.wait()


def the_supervisor_is_killed(story: Story) -> None:
    """Its executors hand back themselves."""
    worker = start_slow_jobs(story)
    worker.signal(signal.SIGKILL)
    worker.wait()


def an_executor_is_killed(story: Story) -> None:
    """Its supervisor brings the jobs back."""
    start_slow_jobs(story).children()[0].kill()


SCENARIOS: dict[str, Callable[[Story], None]] = {
    "work": work,
    "enqueue": enqueue_in_a_process,
    "enqueue while Redis is away": enqueue_while_redis_is_away,
    "stop": stop,
    "the supervisor is killed": the_supervisor_is_killed,
    "an executor is killed": an_executor_is_killed,
}


CASES = [(step, *case) for step in STEPS for case in step.cases]


@pytest.mark.parametrize(
    ("step", "scenario", "moment", "call"),
    CASES,
    ids=[
        f"{step.number} {step.function.split('.')[-1]} {moment} ({where})" for step, where, moment, _ in CASES
    ],
)
def test_a_process_that_ends_at_this_step_loses_and_doubles_nothing(
    step: Step,
    scenario: str,
    moment: str,
    call: int,
    rqworker: StartWorker,
    workload: Workload,
    queue_redis: RedisServer,
) -> None:
    story = Story(rqworker, workload, queue_redis, FailPoint(step.function, moment, call))

    SCENARIOS[scenario](story)
    story.wait_until_done()

    assert workload.struck() == str(story.point)
    check_jobs(story)
    check_runs(story)
    check_redis(story)


def check_jobs(story: Story) -> None:
    """Every job is there once and ended as it was to; every effect is there once."""
    ended = {name: [] for name in story.states}
    for job in Job.objects.all():
        ended[job.payload["name"]].append(job.state)
        assert job.failures == job.attempts.count()
    assert ended == {name: [state] for name, state in story.states.items()}
    assert story.workload.effects() == Counter(story.effects)


def check_runs(story: Story) -> None:
    """A job that the ended process had in hand ran at most once more, and no other did."""
    counted = Counter(run.name for run in runs())
    more = {name: count - story.runs[name] for name, count in counted.items() if count > story.runs[name]}
    assert set(more.values()) <= {1}
    interrupted = Attempt.objects.filter(error_class="JobInterrupted").exclude(worker_name="lost")
    assert interrupted.count() <= 2 * THREADS
    assert set(Counter(interrupted.values_list("job_id", flat=True)).values()) <= {1}


def check_redis(story: Story) -> None:
    """Nothing is left in RQ's queues and registries; nothing was counted twice."""
    with redis.Redis(host=story.redis.host, port=story.redis.port, db=1) as client:
        wait_until(lambda: not any(client.zcard(f"rq:wip:{queue}") for queue in QUEUES), 10)
        assert [client.llen(f"rq:queue:{queue}") for queue in QUEUES] == [0, 0, 0]
    assert sum(completed().values()) <= Job.objects.filter(state=Job.State.COMPLETED).count()


# The list -------------------------------------------------------------------------------------------


def test_the_steps_are_those_of_the_documentation() -> None:
    text = (ROOT / "docs" / "how-a-job-travels.md").read_text()
    documented = re.findall(r"^\| (\d+) \| [^|]+ \| `([\w.]+)` \|", text, re.MULTILINE)

    assert documented == [(str(step.number), short_name(step.function)) for step in STEPS]
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))


def short_name(function: str) -> str:
    """As the documentation names it: without the package, and without Django's."""
    return re.sub(r"^(jobqueue|django\.db\.backends\.base\.base)\.", "", function)
