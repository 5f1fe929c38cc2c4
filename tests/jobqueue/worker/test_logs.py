"""Loggers of the job queue: what the project's logging raises stays where it is."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest

from jobqueue.exceptions import EndsHere, JobStopped, JobTimeout
from jobqueue.worker import logs
from tests.workload.unruly import ERRORS, RaisingFilter, RaisingHandler

NAME = "jobqueue.logger_of_a_test"


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    monkeypatch.setattr(logs, "_told", set())
    logger = logging.getLogger(NAME)
    logs.harden()
    yield logger
    logger.handlers.clear()
    logger.filters.clear()


@pytest.mark.parametrize("error", ["ValueError", "SystemExit", "GeneratorExit"])
@pytest.mark.parametrize("place", ["handler", "filter"])
def test_what_a_handler_or_filter_raises_is_told_once_and_goes_no_further(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], place: str, error: str
) -> None:
    if place == "handler":
        logger.addHandler(RaisingHandler(error))
    else:
        logger.addFilter(RaisingFilter(error))

    logger.error("one")
    logger.error("two")

    told = capsys.readouterr().err
    assert told.count(f"a filter or handler of the logger '{NAME}' raised {ERRORS[error].__name__}") == 1


def test_a_record_factory_that_raises_goes_no_further(logger: logging.Logger) -> None:
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(lambda *_, **__: 1 / 0)  # type: ignore[arg-type, return-value]
    try:
        logger.error("one")
    finally:
        logging.setLogRecordFactory(factory)


@pytest.fixture
def _ctrl_c_raises() -> Iterator[None]:
    """As in a process that has begun nothing yet."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_raises")
@pytest.mark.parametrize("error", [JobTimeout(), JobStopped(), EndsHere(0), KeyboardInterrupt()])
def test_what_is_raised_from_outside_passes(logger: logging.Logger, error: BaseException) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error

    logger.addHandler(Handler())
    with pytest.raises(type(error)):
        logger.error("one")


def test_records_name_the_line_that_wrote_them(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.error("here")

    [record] = caplog.records
    assert (record.filename, record.funcName) == (
        "test_logs.py",
        "test_records_name_the_line_that_wrote_them",
    )
    assert logs.harden() is None and logger._log.never_raises  # type: ignore[attr-defined]


def test_every_logger_of_the_package_is_hardened() -> None:
    logs.harden()
    names = [name for name in logging.root.manager.loggerDict if name.startswith("jobqueue.")]

    assert "jobqueue.jobs" in names
    assert all(
        hasattr(logger._log, "never_raises")
        for name in names
        if isinstance(logger := logging.getLogger(name), logging.Logger)
    )
