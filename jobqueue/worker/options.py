"""How a worker works: one object from the command line to the executor, each option declared once."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, Self, TypeVar, get_args, get_type_hints

from django.core.exceptions import ImproperlyConfigured

from jobqueue.conf import Settings, get_settings
from jobqueue.values import is_number
from jobqueue.worker.cores import core_of

EXIT_STUCK_JOB = 70
EXIT_JOBS_LEFT = 71
EXIT_BROKEN = 72
EXIT_RETIRED = 73
LONGEST_NAME = 190
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

T = TypeVar("T")


def _setting(
    default: Callable[[Settings], T], help_text: str, *, least: int | None = None, metavar: str | None = None
) -> T:
    """An argument of ours, with the setting that it takes the place of."""
    return field(
        default_factory=lambda: default(get_settings()),
        metadata={"help": help_text, "least": least, "metavar": metavar},
    )


def _of_django_rq(default: T, *, least: int | None = None) -> T:
    """An argument that django-rq's command has already."""
    return field(default=default, metadata={"least": least})


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker works, and with the values of `of_executor` how one of its executors does."""

    name: str
    queues: Sequence[str]
    threads: int = _setting(lambda settings: settings.threads, "threads in each process", least=1)
    processes: int = _setting(lambda settings: settings.processes, "executor processes", least=1)
    shutdown_timeout: float = _setting(
        lambda settings: settings.shutdown_timeout,
        "seconds running jobs may finish in after SIGTERM before they are handed back",
        least=0,
    )
    cpu_affinity: bool = _setting(
        lambda settings: settings.cpu_affinity,
        "let each executor process keep to one core while it has more short jobs than threads",
    )
    burst: bool = _of_django_rq(default=False)
    max_jobs: int | None = _of_django_rq(None, least=1)
    max_idle_time: float | None = _of_django_rq(None, least=0)
    max_jobs_per_process: int | None = _setting(
        lambda settings: settings.max_jobs_per_process,
        "jobs after which an executor process gives way to a fresh one, between jobs",
        least=1,
    )
    max_memory_per_process: int | None = _setting(
        lambda settings: settings.max_memory_per_process,
        "memory in use from which on an executor process gives way to a fresh one, between jobs",
        least=1,
        metavar="MEGABYTES",
    )
    reconciles: bool = True
    supervisor: int | None = None
    """Process id of the supervisor that hands back what an ended executor left; None if there is none."""
    core: int | None = None
    """The core that the threads keep to while there are more short jobs than threads; None is any."""

    @classmethod
    def of_command_line(cls, values: Mapping[str, Any], *, name: str, queues: Sequence[str]) -> Self:
        """What was said on the command line, by an argument's name with underscores."""
        said = {argument.name: values[argument.name] for argument in _arguments()}
        return cls(name, queues, **said)

    @property
    def max_memory(self) -> int | None:
        """Bytes of memory in use from which on an executor gives way."""
        return self.max_memory_per_process and self.max_memory_per_process << 20

    def has_supervisor(self) -> bool:
        """Whether somebody hands the jobs back once this process, and with it every job, has ended."""
        return self.supervisor is not None and self.supervisor == os.getppid()

    def of_executor(self, number: int, *, max_jobs: int | None, supervisor: int) -> Self:
        """The options of the executor in this place, counted from 0, with its share of `max_jobs`."""
        return replace(
            self,
            name=self.name if self.processes == 1 else f"{self.name}.{number + 1}",
            max_jobs=max_jobs,
            reconciles=number % self.processes == 0,
            supervisor=supervisor,
            core=core_of(number, self.processes) if self.cpu_affinity else None,
        )

    def share_of_jobs(self, number: int) -> int | None:
        """The part of `max_jobs` that falls to the executor in this place; None is any number."""
        if self.max_jobs is None:
            return None
        return self.max_jobs // self.processes + (number < self.max_jobs % self.processes)

    def may_end_by_itself(self) -> bool:
        """Whether an executor may end without being asked to."""
        return self.burst or self.max_jobs is not None or self.max_idle_time is not None


def _arguments() -> list[Field[Any]]:
    return [option for option in fields(Options) if option.metadata]


def _flag(option: Field[Any]) -> str:
    return f"--{option.name.replace('_', '-')}"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that are ours to those of django-rq, with the settings as defaults."""
    types = get_type_hints(Options)
    for option in _arguments():
        if "help" not in option.metadata:
            continue
        kind = (get_args(types[option.name]) or (types[option.name],))[0]
        parser.add_argument(
            _flag(option),
            default=_default_of(option),
            help=option.metadata["help"],
            **(
                {"action": BooleanOptionalAction}
                if kind is bool
                else {"type": kind, "metavar": option.metadata["metavar"]}
            ),
        )


def _default_of(option: Field[Any]) -> Any:
    assert option.default_factory is not MISSING
    try:
        return option.default_factory()
    except ImproperlyConfigured:
        # Said by the system checks and by the command, which this must not come before.
        return None


def _check_name(name: str | None) -> None:
    """Rows and keys have the name; that of an executor has a number behind it."""
    if name and (len(name) > LONGEST_NAME or not name.isprintable()):
        printed = name.encode("ascii", "backslashreplace").decode()
        raise ValueError(
            f"--name must be printable text of at most {LONGEST_NAME} characters, not {printed:.40}"
        )


def check(values: Mapping[str, Any]) -> None:
    """Raise ValueError, with a sentence for who typed it, if a name or number of it makes no sense."""
    _check_name(values.get("name"))
    for option in _arguments():
        value, least = values[option.name], option.metadata["least"]
        if least is None or value is None:
            continue
        if not is_number(value) or value < least:
            raise ValueError(f"{_flag(option)} must be {least} or more, not {value:g}")


# What django-rq gives where nobody names one.
_WORKER_TTL = 420
_SERIALIZERS = frozenset({"rq.serializers.DefaultSerializer", "rq.serializers.JSONSerializer"})


def ignored(values: Mapping[str, Any]) -> list[str]:
    """What was asked for on the command line, by options of django-rq's, and has no effect here."""
    found = [
        f"{flag} is ignored: jobs are rows, which are run without RQ's classes"
        for flag, name in (("--job-class", "job_class"), ("--queue-class", "queue_class"))
        if values.get(name)
    ]
    if (values.get("serializer") or "rq.serializers.JSONSerializer") not in _SERIALIZERS:
        found.append("--serializer is ignored: messages are JSON, and never anything else")
    if values.get("worker_ttl") not in (None, _WORKER_TTL):
        found.append("--worker-ttl is ignored: JOBQUEUE WORKER_SILENCE says when a worker counts as gone")
    return found
