"""Starts the demo's processes in order, watches them, and ends them in order."""

from __future__ import annotations

import json
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from spendsync_site.demo.folder import DemoFolder
from spendsync_site.demo.mail import GREYLISTED_MAILBOX, SLOW_MAILBOX, UNKNOWN_MAILBOX
from spendsync_site.demo.make import MakeWatcher
from spendsync_site.demo.processes import LOOPBACK, end_with_parent, free_port
from spendsync_site.demo.redis_server import RedisServer
from spendsync_site.demo.welcome import WELCOME

ROOT = Path(__file__).resolve().parent.parent.parent
TICK = 0.2
START_TIMEOUT = 90.0
WORKER_GRACE = 8
"""Seconds the worker lets running jobs finish in; all of the stopping together stays well below 30."""
NEXT_WORKER_AFTER = 10.0
"""Seconds without a worker after one was stopped from the console: long enough to see what it means."""
PAYMENT_RESOLVES_AFTER = 30
TIMES = {
    "REMINDER_FOLLOW_UP_AFTER": "10,20",
    "REMINDER_OVERDUE_AFTER": "10,30",
    "REMINDER_MINIMUM_GAP": "1",
    "REMINDER_QUIET_HOURS": "off",
    "PAYMENT_CHECK_FIRST_DELAY": "5",
    "NOTIFICATION_DELAY": "1",
}
"""Days become seconds, so that a visitor sees a whole settlement's life."""
_READY = re.compile(r"\bready\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody wants the demo to stop."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A child said that it is ready."""

    child: Child


@dataclass(frozen=True, slots=True)
class Ended:
    """A child ended."""

    child: Child
    code: int


Event = Told | Ready | Ended


class Stopped(Exception):
    """The demo was told to stop."""


class Failed(Exception):
    """The demo cannot go on; the message says why."""


class Child:
    """A process whose output is shown with its name in front."""

    def __init__(
        self, name: str, arguments: list[str], environment: dict[str, str], events: queue.SimpleQueue[Event]
    ) -> None:
        self.name = name
        self.ready = False
        self._events = events
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, who ends all in order
            preexec_fn=end_with_parent,
        )
        self.ended = False
        threading.Thread(target=self._watch_output, name=f"{name} output", daemon=True).start()
        threading.Thread(target=self._watch_end, name=f"{name} end", daemon=True).start()

    def _watch_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                say(line.rstrip("\n"), self.name)
                if not self.ready and _READY.search(line):
                    self.ready = True
                    self._events.put(Ready(self))

    def _watch_end(self) -> None:
        code = self._process.wait()
        self.ended = True
        self._events.put(Ended(self, code))

    def terminate(self) -> None:
        """Ask the process to end."""
        if not self.ended:
            self._process.terminate()

    def kill_all(self) -> None:
        """Kill the process and whatever it started that is still there."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def say(text: str, who: str = "demo") -> None:
    """Print a line with the name of who says it."""
    with suppress(BrokenPipeError, ValueError):
        print(f"{who:<13} | {text}" if text else "", flush=True)


class Supervisor:
    """One run of the demo."""

    def __init__(self, folder: DemoFolder, port: int) -> None:
        self.folder = folder
        self.port = port
        self.address = f"http://{LOOPBACK}:{port}"
        self._redis = RedisServer(folder.redis, persistent=True)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._make = MakeWatcher()
        self._children: list[Child] = []
        self._environment: dict[str, str] = {}
        self._worker: Child | None = None
        self._next_worker_at: float | None = None

    def run(self) -> int:
        """Run the demo until somebody stops it or a part of it fails; the exit code."""
        self._listen_to_signals()
        code = 0
        try:
            self._start_servers()
            self._prepare()
            self._serve()
            self._announce()
            self._watch()
        except Stopped as stopped:
            say(f"{stopped}: stopping")
        except Failed as failure:
            say(f"{failure}; stopping everything")
            code = 1
        finally:
            self._stop_everything()
        say("stopped. Run it again to go on where it was, or `make demo-reset` to start over.")
        return code

    # Starting -------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # started with nohup
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._events.put(Told(signal.Signals(number).name))

    def _start_servers(self) -> None:
        self._redis.start()
        say(f"Redis listens on {self._redis.host}:{self._redis.port}, its data is in {self.folder.redis}")
        mail_port, provider_port, token = free_port(), free_port(), secrets.token_urlsafe(24)
        self._environment = os.environ | self._site_environment(mail_port, provider_port, token)
        mail = self._start(
            "mail", ["-m", "spendsync_site.demo.mail", f"--port={mail_port}", f"--folder={self.folder.mail}"]
        )
        provider = self._start(
            "provider",
            [
                *("-m", "spendsync_site.demo.provider", f"--port={provider_port}"),
                f"--resolves-after={PAYMENT_RESOLVES_AFTER}",
            ],
        )
        self._wait_for([mail, provider])

    def _site_environment(self, mail_port: int, provider_port: int, token: str) -> dict[str, str]:
        """What differs from a production site; whatever `.env` says about these is overruled."""
        environment = {
            "SPENDSYNC_DEMO": "1",
            "DJANGO_SETTINGS_MODULE": "spendsync_site.settings",
            "DEBUG": "0",
            "SECRET_KEY": self.folder.secret_key(),
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "SITE_URL": self.address,
            "SECURE_SSL_REDIRECT": "0",
            "SECURE_HSTS_SECONDS": "0",
            "SESSION_COOKIE_SECURE": "0",
            "CSRF_COOKIE_SECURE": "0",
            "DATABASE_URL": f"sqlite:///{self.folder.database}",
            "OTHER_DATABASE_URL": "",
            "STATIC_ROOT": str(self.folder.static),
            "REDIS_HOST": self._redis.host,
            "REDIS_PORT": str(self._redis.port),
            "REDIS_PASSWORD": "",
            "REDIS_URL": "",
            "EMAIL_URL": f"smtp://{LOOPBACK}:{mail_port}",
            "EMAIL_BACKEND": "",
            "GATEWAY_URL": f"http://{LOOPBACK}:{provider_port}",
            "GATEWAY_TOKEN": token,
            **TIMES,
        }
        self.folder.write_environment(environment)
        return environment | {"PROVIDER_TOKEN": token, "PYTHONUNBUFFERED": "1"}

    def _prepare(self) -> None:
        say("preparing the database, the static files and the story")
        self._manage("migrate", "--verbosity=0")
        self._manage("collectstatic", "--noinput", "--verbosity=0")
        self._manage(
            "demo_story",
            f"--unknown-mailbox={UNKNOWN_MAILBOX}",
            f"--greylisted-mailbox={GREYLISTED_MAILBOX}",
            f"--slow-mailbox={SLOW_MAILBOX}",
        )

    def _serve(self) -> None:
        worker = self._start_worker()
        self._start(
            "web",
            [
                *("-m", "gunicorn", "spendsync_site.wsgi", f"--bind={LOOPBACK}:{self.port}"),
                *("--workers=2", "--threads=4", "--graceful-timeout=3", "--log-level=warning"),
            ],
        )
        self._wait_for([worker])
        self._wait_for_health()

    def _start_worker(self) -> Child:
        self._worker = self._start(
            "worker",
            [
                *("manage.py", "rqworker", "email", "reminders", "settlement"),
                f"--shutdown-timeout={WORKER_GRACE}",
            ],
        )
        return self._worker

    def _wait_for_health(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while (health := self._health()) != "UP":
            if time.monotonic() > deadline:
                raise Failed(f"{self.address}/health/queues is not UP after {START_TIMEOUT:g} s: {health}")
            self._next_event()

    def _health(self) -> str:
        try:
            with urllib.request.urlopen(f"{self.address}/health/queues", timeout=3) as answer:
                return str(json.load(answer)["status"])
        except (OSError, ValueError, KeyError) as error:
            return str(error)

    def _announce(self) -> None:
        for line in WELCOME.format(
            address=self.address,
            unknown=UNKNOWN_MAILBOX,
            greylisted=GREYLISTED_MAILBOX,
            slow=SLOW_MAILBOX,
            mail=self.folder.mail,
            seconds=PAYMENT_RESOLVES_AFTER,
            next_worker=NEXT_WORKER_AFTER,
            environment=self.folder.environment,
        ).splitlines():
            say(line)

    # Watching -------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            self._next_event()
            if self._next_worker_at is not None and time.monotonic() >= self._next_worker_at:
                self._next_worker_at = None
                say("starting another worker")
                self._start_worker()

    def _note_stopped_worker(self) -> None:
        """Somebody stopped the worker, from the console say: another follows, as with a process manager."""
        if self._worker is not None:
            self._children.remove(self._worker)
        self._worker = None
        self._next_worker_at = time.monotonic() + NEXT_WORKER_AFTER
        say(
            f"the worker was stopped, as somebody asked. Another starts in {NEXT_WORKER_AFTER:g} s, as a "
            "process manager would start it; until then jobs wait."
        )

    def _start(self, name: str, arguments: list[str]) -> Child:
        child = Child(name, arguments, self._environment, self._events)
        self._children.append(child)
        return child

    def _manage(self, command: str, *arguments: str) -> None:
        """Run a management command to its end."""
        child = self._start(command, ["manage.py", command, *arguments])
        while not isinstance(self._next_event(expected=child), Ended):
            pass
        self._children.remove(child)

    def _wait_for(self, children: list[Child]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while late := [child for child in children if not child.ready]:
            if time.monotonic() > deadline:
                raise Failed(f"{late[0].name} was not ready after {START_TIMEOUT:g} s")
            self._next_event()

    def _next_event(self, expected: Child | None = None) -> Event | None:
        """Wait a moment for an event; Stopped or Failed if it is one that ends the demo.

        Only the `expected` child may end, and only well; a worker may be stopped as well.
        """
        try:
            event: Event | None = self._events.get(timeout=TICK)
        except queue.Empty:
            event = None
        match event:
            case Told(reason):
                raise Stopped(reason)
            case Ended(child, 0) if child is self._worker:
                self._note_stopped_worker()
            case Ended(child, code) if child is not expected or code != 0:
                raise Failed(f"{child.name} ended unexpectedly with {_describe(code)}")
        if self._redis.process.poll() is not None:
            raise Failed(f"Redis ended unexpectedly with {_describe(self._redis.process.returncode)}")
        if self._make.was_told_to_stop():
            raise Stopped("make was told to stop")
        return event

    # Stopping -------------------------------------------------------------------------------------

    def _stop_everything(self) -> None:
        """End the worker first, while all that its jobs need is there; Redis last."""
        order = ["worker", "web", "mail", "provider"]
        for child in sorted(
            self._children, key=lambda child: child.name in order and order.index(child.name)
        ):
            self._end(child, WORKER_GRACE + 4 if child.name == "worker" else 4)
        self._redis.stop()

    def _end(self, child: Child, grace: float) -> None:
        deadline = time.monotonic() + grace
        child.terminate()
        while not child.ended:
            if time.monotonic() > deadline:
                say(f"{child.name} did not end within {grace:g} s and is killed")
                break
            try:
                event = self._events.get(timeout=TICK)
            except queue.Empty:
                continue
            if isinstance(event, Told):
                say(f"{event.reason} again: {child.name} is killed")
                break
        child.kill_all()


def _describe(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"the signal {signal.Signals(-code).name}"
    return f"exit code {code}"
