"""Starts workers from a process that has read the libraries already, which takes two thirds off their start.

A worker that starts from nothing reads 1,500 modules: three quarters of a second of processor time, half of
what the whole suite takes. One process, the nursery, reads those of Python and of other people once, without
the settings, and forks when it is asked to. What it forks reads environment, settings and project for
itself: a real process in a session of its own, to be killed like any other.

What Python asks for before it runs anything (LD_PRELOAD, PYTHONPATH, a locale) cannot be given to a fork:
`can_start` tells, and such a worker starts from nothing.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import queue
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from spendsync_site.demo.processes import end_with_parent

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = """
    asyncio sqlite3 smtplib ssl statistics unittest.mock zoneinfo
    django.contrib.admin.templatetags.admin_list django.contrib.admin.views.main
    django.contrib.admindocs.views django.contrib.auth.hashers django.contrib.auth.password_validation
    django.contrib.postgres.forms django.contrib.postgres.search
    django.core.management.commands.check django.core.serializers.json
    django.db.backends.sqlite3.base django.db.migrations.executor django.db.models
    django.template.backends.django django.test django.urls django.views.debug
    anymail.webhooks.mailgun anymail.webhooks.sendgrid axes babel.dates babel.numbers
    cryptography.hazmat.primitives.hashes css_inline django_fsm.signals django_prometheus.db.metrics
    drf_spectacular.utils environ httpcore httpx jsonschema moneyed
    prometheus_client.multiprocess prometheus_client.openmetrics.exposition psycopg pygments.formatters.html
    redis.asyncio requests rest_framework.authentication rest_framework.metadata rest_framework.reverse
    rest_framework.serializers rq.cron rq.worker sqlparse uritemplate whitenoise.middleware yaml
"""
"""What can be read before anybody knows the settings: modules of Python and of others, by name."""
_READ_BY_PYTHON = ("LANG", "LC_", "LD_", "MALLOC_", "PYTHON")
_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
_LONGEST_MESSAGE = 2**20
_PATIENCE = 60.0


# In the process of the tests -----------------------------------------------------------------------


class Nursling:
    """A process that the nursery forked, with as much of `subprocess.Popen` as the tests use."""

    stdout: IO[str] | None = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._has_ended = threading.Event()

    def note_end(self, code: int) -> None:
        """The nursery saw it end."""
        self._code = code
        self._has_ended.set()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired("manage.py", timeout or 0)
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """Asks the nursery for processes, and hears from it when they end."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | _UNBUFFERED,
                pass_fds=[theirs.fileno()],
                preexec_fn=end_with_parent,
            )
        self._asking = threading.Lock()
        self._started: queue.SimpleQueue[Nursling] = queue.SimpleQueue()
        self._nurslings: dict[int, Nursling] = {}
        self._listener = threading.Thread(target=self._listen, name="nursery", daemon=True)
        self._listener.start()

    def start(self, arguments: list[str], environment: Mapping[str, str]) -> Nursling:
        """`manage.py` with these arguments in a session of its own, all that it prints in its `stdout`."""
        order = json.dumps({"arguments": arguments, "environment": dict(environment)}).encode()
        reading, writing = os.pipe()
        with self._asking:
            socket.send_fds(self._control, [order], [writing])
            os.close(writing)
            nursling = self._started.get(timeout=_PATIENCE)
        nursling.stdout = os.fdopen(reading, encoding="utf-8", errors="replace")
        return nursling

    def close(self) -> None:
        """End the nursery, and with it what it started."""
        self._control.shutdown(socket.SHUT_WR)
        self._process.wait()
        self._listener.join()
        self._control.close()

    def _listen(self) -> None:
        while message := self._control.recv(_LONGEST_MESSAGE):
            news = json.loads(message)
            pid = news["pid"]
            if "code" in news:
                self._nurslings.pop(pid).note_end(news["code"])
            else:
                self._nurslings[pid] = Nursling(pid)
                self._started.put(self._nurslings[pid])
        for nursling in self._nurslings.values():
            nursling.note_end(-signal.SIGTERM)  # what is left gets it when the nursery ends


@functools.cache
def nursery() -> Nursery:
    """The nursery of this process, which ends with it."""
    opened = Nursery()
    atexit.register(opened.close)
    return opened


def can_start(environment: Mapping[str, str]) -> bool:
    """Whether Python itself would start in this environment as the nursery did."""
    return _for_python(environment) == _for_python(os.environ | _UNBUFFERED)


def _for_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_BY_PYTHON)}


# In the nursery ------------------------------------------------------------------------------------


class Order(NamedTuple):
    """What to run, and where its output goes."""

    arguments: list[str]
    environment: dict[str, str]
    output: int


def wait_for_order(control: socket.socket) -> Order | None:
    """Fork for each order, and tell of each end; returns in what was forked, or when nobody asks any more."""
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the pipe below hears of it
    ended, ends = socket.socketpair()
    ends.setblocking(False)
    signal.set_wakeup_fd(ends.fileno())
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if ended in ready:
                ended.recv(4096)
                _tell_of_ends(control)
            if control in ready:
                message, descriptors, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE, 1)
                if not message:
                    return None
                pid = os.fork()
                if not pid:
                    break
                os.close(descriptors[0])
                _tell(control, pid=pid)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for one in (control, ended, ends):
        one.close()
    return Order(**json.loads(message), output=descriptors[0])


def _tell_of_ends(control: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(control, pid=found[0], code=os.waitstatus_to_exitcode(found[1]))


def _tell(control: socket.socket, **news: int) -> None:
    control.send(json.dumps(news).encode())


def follow(order: Order) -> None:
    """Be what `python manage.py` in a session of its own would be."""
    os.setsid()
    end_with_parent()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for given, standard in ((nothing, 0), (order.output, 1), (order.output, 2)):
        os.dup2(given, standard)
    os.closerange(3, max(nothing, order.output) + 1)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    sys.argv = ["manage.py", *order.arguments]
    runpy.run_path(str(ROOT / "manage.py"), run_name="__main__")


def main(descriptor: int) -> Any:
    """Read the libraries, and start what is asked for."""
    settings = os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    for library in LIBRARIES.split():
        importlib.import_module(library)
    if settings is not None:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings
    gc.freeze()  # what is forked need not look through the libraries: a tenth of its start
    order = wait_for_order(socket.socket(fileno=descriptor))
    if order is not None:
        follow(order)


if __name__ == "__main__":
    main(int(sys.argv[1]))
