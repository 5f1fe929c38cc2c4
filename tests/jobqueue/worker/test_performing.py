"""The run of one job: whatever its processor does becomes an outcome."""

from __future__ import annotations

import bdb
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest

from jobqueue import registry, signals
from jobqueue.exceptions import JobQueueError, JobTimeout
from jobqueue.jobs import Discard, RetryLater, Skipped, current_database, current_job
from jobqueue.models import Job
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from tests.jobqueue.processors_for_tests import (
    CALL,
    DISCARD,
    FAIL,
    FAIL_WITHOUT_RETRY,
    SKIP,
    SUCCEED,
    Calls,
)
from tests.jobqueue.steps import claimed
from tests.jobqueue.worker.steps import heard_by, listening, raising

pytestmark = pytest.mark.django_db

Status = OutcomeStatus


def _perform(job: Job) -> Outcome:
    return performing.perform(Claim(job, "default"))


def _perform_with(calls: Calls, behaviour: Callable[..., Any]) -> Outcome:
    calls.behaviour = behaviour
    return _perform(claimed(CALL))


def test_the_processor_is_called_with_the_payload(sample_processors: Calls) -> None:
    _perform(claimed(CALL, number=5, words=["a", "b"]))

    assert sample_processors.payloads == [{"number": 5, "words": ["a", "b"]}]


def test_a_return_completes_the_job() -> None:
    outcome = _perform(claimed())

    assert (outcome.status, outcome.reason, outcome.failure) == (Status.COMPLETED, "", None)
    assert outcome.seconds > 0


def test_whatever_else_a_processor_returns_completes_the_job(sample_processors: Calls) -> None:
    assert _perform_with(sample_processors, lambda **_: {"answer": object()}).status == Status.COMPLETED


def test_a_job_with_nothing_to_do_is_skipped_with_the_reason() -> None:
    outcome = _perform(claimed(SKIP, reason="settlement already completed"))

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "skipped: settlement already completed")


def test_a_reason_that_is_no_text_skips_the_job_all_the_same(sample_processors: Calls) -> None:
    outcome = _perform_with(sample_processors, lambda **_: Skipped(None))  # type: ignore[arg-type]

    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "skipped: None")


def test_a_discarded_job_has_failed_at_once() -> None:
    outcome = _perform(claimed(DISCARD, reason="no such mailbox"))

    assert (outcome.status, outcome.delay) == (Status.FAILED, None)
    assert outcome.reason == "Discard: no such mailbox"


@pytest.mark.parametrize("delay", [60, 60.0, timedelta(minutes=1)])
def test_a_job_that_asks_for_another_time_gets_it(sample_processors: Calls, delay: Any) -> None:
    outcome = _perform_with(sample_processors, raising(RetryLater(delay, "not yet")))

    assert (outcome.status, outcome.delay) == (Status.RETRIED, timedelta(minutes=1))
    assert (outcome.reason, outcome.failure) == ("not yet", None)


REFUSED = "SMTPRecipientsRefused: 451 4.7.1 greylisted, come again"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (REFUSED, "451 4.7.1 greylisted, come again"),
        ("not yet", "{'slow@x.org': (451, b'4.7.1 greylisted')}"),
    ],
)
def test_an_attempt_tells_its_error_in_the_words_of_the_reason_that_names_it(
    sample_processors: Calls, reason: str, message: str
) -> None:
    error = SMTPRecipientsRefused({"slow@x.org": (451, b"4.7.1 greylisted")})
    outcome = _perform_with(sample_processors, raising(RetryLater(60, reason, error=error)))

    assert outcome.failure is not None
    assert (outcome.reason, outcome.failure.message) == (reason, message)
    assert outcome.failure.error_class == "SMTPRecipientsRefused"


class LaterOfOurOwn(RetryLater):
    """A kind of RetryLater whose constructor is its own."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Unspeakable:
    """Has no text."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "values",
    [{}, {"delay": timedelta(seconds=5)}, {"delay": "soon"}, {"delay": None}, {"reason": Unspeakable()}],
    ids=["none", "delay", "text", "no delay", "no text"],
)
def test_a_kind_of_retry_later_with_any_values_becomes_an_outcome(
    sample_processors: Calls, values: dict[str, Any]
) -> None:
    outcome = _perform_with(sample_processors, raising(LaterOfOurOwn(**values)))

    assert outcome.status == Status.RETRIED
    assert isinstance(outcome.delay, timedelta)


def test_a_failure_is_retried_after_the_delay_of_its_policy() -> None:
    outcome = _perform(claimed(FAIL, message="broken pipe"))

    assert outcome.status == Status.RETRIED
    assert outcome.delay is not None
    assert timedelta(seconds=0.8) <= outcome.delay <= timedelta(seconds=1.2)
    assert outcome.reason == "Broken: broken pipe"


def test_a_failure_beyond_the_budget_fails_the_job() -> None:
    assert _perform(claimed(FAIL_WITHOUT_RETRY)).status == Status.FAILED


def test_a_failure_has_its_error_and_its_traceback() -> None:
    failure = _perform(claimed(FAIL, message="broken pipe")).failure

    assert failure is not None
    assert (failure.error_class, failure.message) == ("Broken", "broken pipe")
    assert "raise Broken(message)" in failure.traceback
    assert "processors_for_tests.py" in failure.traceback


def test_the_cause_of_an_error_is_in_the_traceback(sample_processors: Calls) -> None:
    def behaviour(**_: Any) -> None:
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise ValueError("the effect") from error

    failure = _perform_with(sample_processors, behaviour).failure

    assert failure is not None
    assert "the cause" in failure.traceback


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("x"), "ValueError"),
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (MemoryError(), "MemoryError"),
        (RecursionError(), "RecursionError"),
        (JobTimeout("too long"), "JobTimeout"),
        (ExceptionGroup("several", [ValueError("x")]), "ExceptionGroup"),
        (BaseException("base"), "BaseException"),
        (_Unspeakable(), "_Unspeakable"),
        (type("E" * 500, (Exception,), {})(), "… " + "E" * 198),
    ],
)
def test_whatever_a_processor_raises_is_a_failed_attempt(
    sample_processors: Calls, error: BaseException, name: str
) -> None:
    outcome = _perform_with(sample_processors, raising(error))

    assert outcome.status == Status.RETRIED
    assert outcome.failure is not None
    assert outcome.failure.error_class == name


def test_a_processor_that_ends_the_process_ends_only_its_job(sample_processors: Calls) -> None:
    assert _perform_with(sample_processors, lambda **_: sys.exit("bye")).status == Status.RETRIED


def test_a_job_whose_processor_is_unknown_here_is_retried_by_the_general_policy() -> None:
    job = claimed()
    registry.unregister(SUCCEED)
    outcome = _perform(job)

    assert outcome.status == Status.RETRIED
    assert outcome.reason.startswith("UnknownProcessor: no processor named 'sample.succeed'")


def test_a_payload_that_the_processor_does_not_take_any_more_is_a_failed_attempt() -> None:
    job = claimed(SUCCEED, number=1)
    Job.objects.filter(pk=job.pk).update(processor=FAIL)
    job.refresh_from_db()

    assert _perform(job).reason.startswith("TypeError: ")


def test_a_processor_can_ask_which_job_it_runs(sample_processors: Calls) -> None:
    seen: list[Any] = []
    sample_processors.behaviour = lambda **_: seen.append((current_job(), current_database()))
    job = claimed(CALL)
    _perform(job)

    assert seen == [(job, "default")]


def test_outside_a_processor_no_job_is_current(sample_processors: Calls) -> None:
    _perform_with(sample_processors, raising(SystemExit()))

    assert current_job() is None
    assert current_database() is None


def test_the_limit_guards_the_call(sample_processors: Calls) -> None:
    steps: list[str] = []

    @contextmanager
    def limit(job: Job) -> Iterator[None]:
        steps.append("begin")
        yield
        steps.append("end")

    sample_processors.behaviour = lambda **_: steps.append("call")
    performing.perform(Claim(claimed(CALL), "default"), limit)

    assert steps == ["begin", "call", "end"]


def test_job_started_is_sent_before_the_call(sample_processors: Calls) -> None:
    with listening(signals.job_started) as heard:
        sample_processors.behaviour = lambda **_: heard.append({"called": True})
        job = claimed(CALL)
        _perform(job)

    assert [details.get("job") for details in heard] == [job, None]


def test_discard_and_retry_later_are_no_errors_of_ours() -> None:
    assert not issubclass(Discard, JobQueueError)
    assert not issubclass(RetryLater, JobQueueError)


# What cannot be read ------------------------------------------------------------------------------


class _NoText:
    """A reason whose text cannot be had."""

    def __str__(self) -> str:
        raise LookupError("no text")


class _EndsWhoReadsIt(Exception):  # noqa: N818 - what is tested is that it is no good error
    """An error whose text ends the thread that asks for it."""

    def __str__(self) -> str:
        raise SystemExit(1)


def _without_traceback() -> SyntaxError:
    """As compilers of templates make them: Python cannot write its traceback."""
    error = SyntaxError("odd")
    error.filename, error.lineno, error.offset, error.text = "page.html", 1, 1, 5  # type: ignore[assignment]
    return error


def test_a_reason_that_cannot_be_read_is_a_failure(sample_processors: Calls) -> None:
    outcome = _perform_with(sample_processors, lambda **_: Skipped(_NoText()))  # type: ignore[arg-type]

    assert (outcome.status, outcome.reason) == (Status.RETRIED, "LookupError: no text")


@pytest.mark.parametrize("error", [_without_traceback(), _EndsWhoReadsIt()], ids=["traceback", "text"])
def test_an_error_that_cannot_be_read_is_a_failure(sample_processors: Calls, error: Exception) -> None:
    outcome = _perform_with(sample_processors, raising(error))

    assert outcome.status == Status.RETRIED
    assert outcome.reason.startswith(f"UnreadableError: {type(error).__name__}, whose text or traceback")


def test_so_it_is_where_another_time_is_asked_for_because_of_it(sample_processors: Calls) -> None:
    outcome = _perform_with(sample_processors, raising(RetryLater(5, error=_without_traceback())))

    assert outcome.status == Status.RETRIED
    assert "RetryLater, whose text or traceback" in outcome.reason


# What is said -------------------------------------------------------------------------------------


def test_a_returned_value_is_dropped_and_said_once(
    sample_processors: Calls, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "_said_dropped", set())

    for _ in range(2):
        outcome = _perform_with(sample_processors, lambda: "pia@example.com")
        assert outcome.status is Status.COMPLETED

    [message] = caplog.messages
    assert message.startswith(f"processor {CALL} returned str, which is dropped: its job is completed.")
    assert "pia" not in message


@pytest.mark.parametrize("answer", [None, Skipped("nothing to do")])
def test_what_a_processor_may_return_is_not_worth_a_word(
    sample_processors: Calls, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    _perform_with(sample_processors, lambda: answer)

    assert caplog.messages == []


@pytest.mark.parametrize("error", [bdb.BdbQuit(), EOFError("EOF when reading a line")])
def test_who_asked_for_a_terminal_reads_that_a_worker_has_none(
    sample_processors: Calls, error: Exception
) -> None:
    outcome = _perform_with(sample_processors, raising(error))

    assert outcome.failure is not None
    assert outcome.failure.error_class == type(error).__name__
    assert (
        "a worker has no terminal, so breakpoint() and input() get an end of file" in outcome.failure.message
    )


@pytest.mark.parametrize("kind", [ValueError, SystemExit, GeneratorExit])
def test_a_listener_to_the_start_keeps_no_job_from_running(
    sample_processors: Calls, kind: type[BaseException]
) -> None:
    with heard_by(signals.job_started, raising(kind("no"))):
        assert _perform(claimed(SUCCEED)).status is Status.COMPLETED
