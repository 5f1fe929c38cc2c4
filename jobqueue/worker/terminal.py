"""What `rqworker` shows in a terminal where the project has set up no logging: a banner, and its log."""

from __future__ import annotations

import logging
import sys

import jobqueue
from jobqueue.broker import server
from jobqueue.sql.databases import databases
from jobqueue.worker.options import Options

_LOGGERS = ("jobqueue", "rq.worker")
_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def show_log(level: str, *, is_default: bool) -> bool:
    """Write the worker's log to standard error where the project has no handler for it; whether it has none.

    Where it has one, its levels hold too, unless another `level` than the default was asked for.
    """
    has_own = logging.getLogger(_LOGGERS[0]).hasHandlers()
    for logger in map(logging.getLogger, _LOGGERS):
        if not logger.hasHandlers():
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter(_FORMAT))
            logger.addHandler(handler)
        if not (has_own and is_default):
            logger.setLevel(level)
    return not has_own


def banner(options: Options) -> str:
    """What is about to run, where, and how it ends; without passwords."""
    processes, threads = options.processes, options.threads
    lines = {
        "queues": ", ".join(options.queues),
        "databases": ", ".join(databases()),
        "Redis": ", ".join(server.addresses()),
        "runs": f"{processes} × {threads} jobs at a time ({processes} processes of {threads} threads)",
        "stop": f"Ctrl-C or SIGTERM; running jobs may finish within {options.shutdown_timeout:g} s",
    }
    told = [f"  {name + ':':<10} {text}" for name, text in lines.items()]
    return "\n".join([f"jobqueue {jobqueue.__version__}, worker {options.name}", *told])
