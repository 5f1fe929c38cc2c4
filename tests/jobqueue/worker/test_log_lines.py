"""What a processor logs is kept with its attempt: seen everywhere, bounded, and no harm to the job."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from jobqueue.exceptions import JobTimeout
from jobqueue.jobs import RetryLater, Skipped, enqueue
from jobqueue.models import AttemptLog, Job, KeptLog, LogLine, jobs_in
from jobqueue.testing import run_job
from jobqueue.worker import log_lines, performing
from jobqueue.worker.claiming import Claim
from tests.jobqueue.processors_for_tests import CALL, FAIL, SUCCEED, Calls
from tests.jobqueue.steps import claimed, run, settle

pytestmark = pytest.mark.django_db

logger = logging.getLogger("shop.orders")


@pytest.fixture(autouse=True)
def _keeping() -> Iterator[None]:
    """As in a worker."""
    with log_lines.keeping():
        yield


def logged(calls: Calls, behaviour: Callable[[], object]) -> KeptLog | None:
    """What a job that does this has logged, as its row says."""
    calls.behaviour = lambda **_: behaviour()
    return written(run(claimed(CALL)).job)


def written(job: Job) -> KeptLog | None:
    row = AttemptLog.objects.filter(job_id=job.pk).first()
    return row.kept if row else None


def messages(kept: KeptLog | None) -> list[str]:
    assert kept is not None
    return [line.message for line in kept.lines]


def test_a_line_has_its_time_its_level_its_logger_and_its_text(sample_processors: Calls) -> None:
    kept = logged(sample_processors, lambda: logger.info("order %d of %s", 7, "Ann"))

    assert kept is not None
    [line] = kept.lines
    assert (line.level, line.logger, line.message) == ("INFO", "shop.orders", "order 7 of Ann")
    assert 0 <= line.seconds < 5
    assert (kept.left_out, kept.left_out_after) == (0, 1)


def test_lines_are_kept_however_the_attempt_ended(sample_processors: Calls) -> None:
    def log_and(end: object) -> Callable[[], object]:
        def behaviour() -> object:
            logger.info("here")
            if isinstance(end, BaseException):
                raise end
            return end

        return behaviour

    for end in (None, Skipped("nothing"), ValueError("broken"), RetryLater(60, "not yet"), SystemExit(3)):
        assert messages(logged(sample_processors, log_and(end))) == ["here"], end


def test_a_job_that_logs_nothing_costs_no_statement_and_has_no_row(sample_processors: Calls) -> None:
    job, statements = claimed(SUCCEED), []
    for is_keeping in (True, False):
        with CaptureQueriesContext(connection) as asked:
            run(job if is_keeping else claimed(SUCCEED))
        statements.append([one["sql"] for one in asked if "jobqueue_attemptlog" in one["sql"]])

    assert statements == [[], []]
    assert not AttemptLog.objects.exists()


def test_debug_is_not_kept_unless_the_setting_asks_for_it(
    sample_processors: Calls, settings: LazySettings
) -> None:
    assert logged(sample_processors, lambda: logger.debug("fine")) is None

    settings.JOBQUEUE = {"LOG_LEVEL": "DEBUG"}
    assert messages(logged(sample_processors, lambda: logger.debug("fine"))) == ["fine"]


def test_the_level_that_a_project_gave_a_logger_holds(sample_processors: Calls) -> None:
    library = logging.getLogger("shop.library")
    library.setLevel(logging.WARNING)
    try:
        below = logging.getLogger("shop.library.wire")
        assert messages(
            logged(sample_processors, lambda: below.info("chatter") or below.warning("trouble"))
        ) == ["trouble"]
    finally:
        library.setLevel(logging.NOTSET)


def test_what_the_root_logger_lets_through_is_the_same_as_before(
    sample_processors: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        logged(sample_processors, lambda: logger.info("kept only") or logger.warning("both"))

    assert [record.message for record in caplog.records if record.name == "shop.orders"] == ["both"]


def test_loggers_that_do_not_propagate_are_kept_and_their_filters_hold(sample_processors: Calls) -> None:
    apart = logging.getLogger("shop.apart")
    apart.propagate = False
    apart.addFilter(lambda record: "secret" not in record.getMessage())
    try:
        kept = logged(sample_processors, lambda: apart.info("a secret") or apart.info("a word"))
    finally:
        apart.propagate = True
        apart.filters.clear()

    assert messages(kept) == ["a word"]


def test_what_the_job_queue_says_of_the_job_is_no_line_of_the_processor(sample_processors: Calls) -> None:
    assert logged(sample_processors, lambda: logging.getLogger("jobqueue.jobs").error("ours")) is None


# Threads, pools, coroutines -----------------------------------------------------------------------


def test_threads_that_the_job_starts_are_heard(sample_processors: Calls) -> None:
    def in_thread() -> None:
        def body() -> None:
            logger.info("outer")
            inner = threading.Thread(target=logger.info, args=("inner",))
            inner.start()
            inner.join()

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()

    assert messages(logged(sample_processors, in_thread)) == ["outer", "inner"]


def test_a_pool_that_jobs_share_speaks_for_whom_it_works(sample_processors: Calls) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = logged(sample_processors, lambda: pool.submit(logger.info, "first").result())
        second = logged(sample_processors, lambda: pool.submit(logger.info, "second").result())

    assert (messages(first), messages(second)) == (["first"], ["second"])


def test_coroutines_and_what_they_hand_to_threads_are_heard(sample_processors: Calls) -> None:
    async def body() -> None:
        logger.info("in the loop")
        await asyncio.to_thread(logger.info, "to a thread")
        await asyncio.get_running_loop().run_in_executor(None, logger.info, "to the pool")
        await asyncio.gather(asyncio.create_task(_says("in a task")))

    assert messages(logged(sample_processors, body)) == [
        "in the loop",
        "to a thread",
        "to the pool",
        "in a task",
    ]


async def _says(text: str) -> None:
    logger.info(text)


def test_what_is_logged_when_no_job_runs_is_nobodys(sample_processors: Calls) -> None:
    run(claimed(SUCCEED))
    logger.warning("idle")

    assert not AttemptLog.objects.exists()


# Bounds and hostile lines -------------------------------------------------------------------------


def test_the_first_and_the_last_lines_are_kept_and_the_others_counted(
    sample_processors: Calls, settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"LOG_LINES": 10}

    kept = logged(sample_processors, lambda: [logger.info("%d", number) for number in range(422)])

    assert messages(kept) == [*map(str, range(5)), *map(str, range(417, 422))]
    assert kept is not None
    assert (kept.left_out, kept.left_out_after) == (412, 5)


def test_all_lines_together_have_a_limit(sample_processors: Calls, settings: LazySettings) -> None:
    settings.JOBQUEUE = {"LOG_LIMIT": 8192}

    kept = logged(sample_processors, lambda: [logger.info("%d %s", i, "ü" * 200) for i in range(150)])

    assert kept is not None
    assert sum(len(text.encode()) for text in messages(kept)) <= 8192
    assert messages(kept)[0].startswith("0 ") and messages(kept)[-1].startswith("149 ")
    assert kept.left_out + len(kept.lines) == 150


def test_one_line_of_a_megabyte_is_cut(sample_processors: Calls) -> None:
    [text] = messages(logged(sample_processors, lambda: logger.info("x" * 1_000_000)))

    assert text.startswith("xxx") and text.endswith(" …") and len(text) == 2_002


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\x00b", "a\\x00b"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\u202eb", "a\\u202eb"),
        ("half \ud83d", "half \\ud83d"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x00" * 1_000_000, None),
    ],
    ids=["NUL", "colours", "direction", "half a sign", "lines and tabs", "a megabyte of NUL"],
)
def test_signs_that_no_page_can_carry_are_written_out(
    sample_processors: Calls, monkeypatch: pytest.MonkeyPatch, said: str, shown: str | None
) -> None:
    # What pytest captures of them goes to another process as UTF-8.
    monkeypatch.setattr(logger, "propagate", False)
    [text] = messages(logged(sample_processors, lambda: logger.info(said)))

    assert len(text) <= 2_002 and (shown is None or text == shown)


class _Unsayable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("message", "values"),
    [("%d apples", ("many",)), ("%s %s", (1,)), ("%s", (_Unsayable(),)), (_Unsayable(), ()), ("%(a)s", (1,))],
)
def test_a_record_whose_text_cannot_be_made_harms_nobody(
    sample_processors: Calls, message: Any, values: tuple[Any, ...]
) -> None:
    apart = logging.getLogger("shop.apart")
    apart.propagate = False  # pytest's own handler raises
    try:
        [text] = messages(logged(sample_processors, lambda: apart.info(message, *values)))
    finally:
        apart.propagate = True

    assert "cannot be put in" in text


def test_the_time_limit_reaches_a_job_that_logs(
    sample_processors: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise JobTimeout("too long")

    monkeypatch.setattr(log_lines, "_text_of", interrupted)
    sample_processors.behaviour = lambda **_: logger.info("here")

    outcome = run(claimed(CALL))

    assert outcome.failure is not None and outcome.failure.error_class == "JobTimeout"


def test_a_traceback_that_was_logged_is_kept_to_its_end(sample_processors: Calls) -> None:
    def behaviour() -> None:
        try:
            raise ValueError("the reason")
        except ValueError:
            logger.exception("it went wrong")

    [text] = messages(logged(sample_processors, behaviour))

    assert text.startswith("it went wrong\nTraceback") and text.endswith("ValueError: the reason")


# Written -------------------------------------------------------------------------------------------


def test_each_attempt_has_its_own_lines(sample_processors: Calls) -> None:
    job = enqueue(CALL)
    for number in (1, 2):
        sample_processors.behaviour = lambda number=number, **_: logger.info("run %d", number) or 1 / 0
        run_job(job)

    assert [(row.number, messages(row.kept)) for row in job.logs.all()] == [(1, ["run 1"]), (2, ["run 2"])]


def test_lines_that_cannot_be_written_cost_no_job_its_outcome(
    sample_processors: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line = LogLine(0.0, "INFO", "shop", "pia@example.com \x00")
    monkeypatch.setattr(log_lines, "log_of", lambda job: KeptLog([line], left_out=-(2**70)))
    sample_processors.behaviour = lambda **_: logger.info("here")

    job = run(claimed(CALL)).job
    job.refresh_from_db()

    assert (job.state, AttemptLog.objects.count()) == ("completed", 0)
    assert "cannot be kept" in caplog.text and "pia@" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_lines_that_break_the_transaction_cost_a_second_try_and_no_outcome(
    sample_processors: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
        raise OperationalError("gone")

    monkeypatch.setattr(log_lines, "write_logs", break_off)
    sample_processors.behaviour = lambda **_: logger.info("here")
    job = claimed(CALL)
    outcome = performing.perform(Claim(job, "default"))

    with pytest.raises(DatabaseError):
        settle([outcome])
    assert not outcome.is_settled
    assert settle([outcome]) == [outcome]

    job.refresh_from_db()
    assert job.state == "completed"


def test_a_claim_that_was_taken_away_writes_no_lines(sample_processors: Calls) -> None:
    job = claimed(CALL)
    sample_processors.behaviour = lambda **_: (
        logger.info("late"),
        jobs_in("default").filter(pk=job.pk).update(attempt=2),
    )
    run(job)

    assert not AttemptLog.objects.exists()


def test_nothing_is_kept_where_it_is_switched_off(sample_processors: Calls, settings: LazySettings) -> None:
    settings.JOBQUEUE = {"LOG_LINES": 0}

    assert logged(sample_processors, lambda: logger.info("here")) is None


def test_a_test_of_a_project_sees_the_lines(sample_processors: Calls) -> None:
    sample_processors.behaviour = lambda **_: logger.info("here")

    assert [line.message for line in run_job(enqueue(CALL)).log] == ["here"]
    assert run_job(enqueue(FAIL)).log == ()
