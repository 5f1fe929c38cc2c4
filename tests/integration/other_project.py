"""An empty Django project in an empty environment, made as its owner makes it: by pip and `django-admin`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from spendsync_site.demo.processes import LOOPBACK, free_port, stop
from tests.integration.guide import Code
from tests.integration.visitor import Visitor
from tests.requirement_files import read_locks
from tests.servers import ROOT

# Not our whole environment: what a test run sets must not help, and pip must find its index.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
PROCESS_END = 30.0


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, as `pip install .` builds it."""
    _run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_inherited() if environment is None else environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("PIP_")}


class OtherProject:
    """The project of somebody who follows the guide in README, and its processes."""

    def __init__(self, folder: Path, wheel: Path, redis_port: int) -> None:
        self.folder = folder / "project"
        self.visitor = Visitor(f"http://{LOOPBACK}:{free_port()}")
        self._environment_folder = folder / "environment"
        self._replacements = {"/path/to/this/checkout": str(wheel), '"PORT": 6379': f'"PORT": {redis_port}'}
        self._constraints = folder / "constraints.txt"
        self._processes: list[tuple[subprocess.Popen[bytes], Path]] = []

    # Steps ------------------------------------------------------------------------------------------

    def begin(self, *, metrics: bool) -> None:
        """An environment without packages. Without `metrics` the guide's extra and its line are left out."""
        if not metrics:
            self._replacements["[metrics]"] = ""
            self._replacements['    path("", include("jobqueue.api.metrics_urls")),  # /metrics\n'] = ""
        _run([sys.executable, "-m", "venv", str(self._environment_folder)])
        self._constraints.write_text(_tested_versions())

    def follow(self, code: Code) -> None:
        """Do what one block of the guide says."""
        text = code.text
        for found, replacement in self._replacements.items():
            text = text.replace(found, replacement)
        if code.language == "sh":
            for line in text.splitlines():
                self._type(line)
        elif code.file:
            self._write(code.file, text)
        else:
            self.run("python", "manage.py", "shell", "-c", text)

    def _type(self, line: str) -> None:
        words = shlex.split(line)
        if "rqworker" in words:
            self.start(*words)
            return
        self.run(*words)
        if words[:2] == ["pip", "install"]:
            self._start_project()

    def _start_project(self) -> None:
        """What the guide takes as given: a project with an app `shop`."""
        self.folder.mkdir()
        self.run("django-admin", "startproject", "site_of_a_shop", ".")
        self.run("python", "manage.py", "startapp", "shop")
        self._write("settings.py", 'INSTALLED_APPS.append("shop")\n')

    def _write(self, name: str, text: str) -> None:
        """Add to a file of the project; its settings and addresses live in its package."""
        path = self.folder / ("site_of_a_shop" if "/" not in name else "") / name
        with path.open("a") as file:
            file.write(f"\n{text}")

    # Processes --------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """As after `source bin/activate`."""
        path = f"{self._environment_folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {
            **_inherited(),
            "PATH": path,
            "PIP_CONSTRAINT": str(self._constraints),
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *words: str, **more: str) -> str:
        """Run a command of the environment in the project to its end; what it printed."""
        folder = self.folder if self.folder.exists() else self.folder.parent
        program = str(self._environment_folder / "bin" / words[0])
        return _run([program, *words[1:]], folder, {**self.environment, **more})

    def start(self, *words: str) -> None:
        """Start a command that goes on."""
        log = self.folder / f"{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self._environment_folder / "bin" / words[0]), *words[1:]],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append((process, log))

    def serve(self) -> None:
        """Start the site, by Django's own server."""
        self.start(
            "python", "manage.py", "runserver", "--noreload", self.visitor.address.removeprefix("http://")
        )

    @property
    def printed(self) -> str:
        """What the processes that go on have printed."""
        return "".join(log.read_text() for _, log in self._processes)

    def end(self) -> list[int]:
        """End what was started; the exit codes."""
        return [stop(process, PROCESS_END) for process, _ in self._processes]


def _tested_versions() -> str:
    """The versions of the lock file, so that a release of this night breaks no test. Django's is free."""
    locks = read_locks(ROOT / "locks" / "dev.txt")
    return "".join(
        f"{lock.requirement}\n" for lock in locks if lock.name not in ("django", "setuptools", "packaging")
    )
