"""One object from the command line to the executor."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

import pytest
from django.conf import LazySettings
from django_rq.management.commands.rqworker import Command as DjangoRQCommand

from jobqueue.worker import options
from jobqueue.worker.options import Options
from tests.jobqueue.steps import QUEUES


def said(*arguments: str) -> dict[str, Any]:
    """What the command makes of these arguments."""
    parser = ArgumentParser()
    DjangoRQCommand().add_arguments(parser)
    options.add_arguments(parser)
    parsed: Namespace = parser.parse_args(arguments)
    return vars(parsed)


def of_command_line(*arguments: str) -> Options:
    """The worker's options for these arguments."""
    return Options.of_command_line(said(*arguments), name="w", queues=QUEUES)


def test_what_is_said_on_the_command_line_reaches_the_executor() -> None:
    given = of_command_line(
        *("--threads", "3", "--processes", "2", "--shutdown-timeout", "1.5", "--no-cpu-affinity", "--burst"),
        *("--max-jobs", "9", "--max-idle-time", "4"),
        *("--max-jobs-per-process", "7", "--max-memory-per-process", "300"),
    ).of_executor(1, max_jobs=4, supervisor=17)

    assert given == Options(
        "w.2",
        QUEUES,
        threads=3,
        processes=2,
        shutdown_timeout=1.5,
        cpu_affinity=False,
        burst=True,
        max_jobs=4,
        max_idle_time=4,
        max_jobs_per_process=7,
        max_memory_per_process=300,
        reconciles=False,
        supervisor=17,
    )


def test_what_is_not_said_is_as_the_settings_have_it(settings: LazySettings) -> None:
    settings.JOBQUEUE = {
        "THREADS": 5,
        "PROCESSES": 3,
        "SHUTDOWN_TIMEOUT": 2.5,
        "CPU_AFFINITY": False,
        "MAX_JOBS_PER_PROCESS": 11,
        "MAX_MEMORY_PER_PROCESS": 400,
    }

    given = of_command_line()

    assert given == Options("w", QUEUES)
    assert (given.threads, given.processes, given.shutdown_timeout) == (5, 3, 2.5)
    assert (given.cpu_affinity, given.max_jobs_per_process, given.max_memory_per_process) == (False, 11, 400)
    assert not given.may_end_by_itself()


def test_memory_is_said_in_megabytes_and_compared_in_bytes() -> None:
    assert of_command_line("--max-memory-per-process", "300").max_memory == 300 * 1024 * 1024
    assert of_command_line().max_memory is None


@pytest.mark.parametrize(
    ("arguments", "may_end"),
    [
        ((), False),
        (("--burst",), True),
        (("--max-jobs", "1"), True),
        (("--max-idle-time", "0"), True),
        (("--max-jobs-per-process", "1"), False),
    ],
)
def test_only_some_options_let_a_worker_end_by_itself(arguments: tuple[str, ...], may_end: bool) -> None:
    assert of_command_line(*arguments).may_end_by_itself() == may_end


@pytest.mark.parametrize(
    ("max_jobs", "processes", "shares"),
    [(None, 2, [None, None]), (7, 3, [3, 2, 2]), (1, 2, [1, 0]), (4, 2, [2, 2])],
)
def test_the_executors_share_max_jobs(max_jobs: int | None, processes: int, shares: list[int | None]) -> None:
    given = Options("w", QUEUES, processes=processes, max_jobs=max_jobs)

    assert [given.share_of_jobs(number) for number in range(processes)] == shares


def test_the_only_executor_has_the_workers_name_and_others_have_a_number() -> None:
    one, two = (Options("w", QUEUES, processes=processes) for processes in (1, 2))

    assert one.of_executor(1, max_jobs=None, supervisor=17).name == "w"
    assert [two.of_executor(n, max_jobs=None, supervisor=17).name for n in range(3)] == ["w.1", "w.2", "w.3"]


def test_one_executor_of_a_worker_reconciles_and_so_does_who_takes_its_place() -> None:
    given = Options("w", QUEUES, processes=2)

    assert [given.of_executor(n, max_jobs=None, supervisor=17).reconciles for n in range(4)] == [
        True,
        False,
        True,
        False,
    ]


def test_without_affinity_an_executor_keeps_to_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "core_of", lambda number, _processes: number)
    cores = [
        Options("w", QUEUES, cpu_affinity=affinity).of_executor(1, max_jobs=None, supervisor=17).core
        for affinity in (True, False)
    ]

    assert cores == [1, None]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--threads", "0"), "--threads must be 1 or more, not 0"),
        (("--max-idle-time", "-1"), "--max-idle-time must be 0 or more, not -1"),
        (("--shutdown-timeout", "-0.5"), "--shutdown-timeout must be 0 or more, not -0.5"),
    ],
)
def test_a_number_that_makes_no_sense_is_named(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        options.check(said(*arguments))


def test_what_the_settings_have_is_not_complained_about() -> None:
    options.check(said())
