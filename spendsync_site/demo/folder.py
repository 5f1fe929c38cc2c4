"""The demo's folder: its data, its secrets and the lock that keeps a second demo out."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DemoRunning(Exception):
    """Another demo works on this folder; the message names it."""


class NotADemoFolder(Exception):
    """The folder holds something that no demo made; it is left alone."""


class DemoFolder:
    """Everything the demo keeps is below one folder, `var/` by default."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.database = self.path / "demo.sqlite3"
        self.redis = self.path / "redis"
        self.mail = self.path / "mail"
        self.static = self.path / "static"
        self.environment = self.path / "demo.env"
        self._pid = self.path / "demo.pid"
        self._secret = self.path / "secret_key"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other demo out for as long as this lasts; DemoRunning if one is in already.

        The kernel holds the lock, so a demo that was killed leaves none behind.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._pid.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise DemoRunning(
                    f"a demo already runs on {self.path} (process {file.read().strip() or 'unknown'}). "
                    "Stop it with Ctrl-C in its terminal, or with: "
                    f"kill -INT $(cat {self._pid})"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
            file.truncate(0)

    def reset(self) -> None:
        """Remove the folder; DemoRunning while a demo works on it, NotADemoFolder if none ever did."""
        if not self.path.exists():
            return
        if not self._pid.exists():
            raise NotADemoFolder(f"{self.path} was not made by the demo; remove it yourself if that is meant")
        with self.locked():
            shutil.rmtree(self.path)

    def secret_key(self) -> str:
        """A key of this folder's own, the same every time, so that logins last."""
        if not self._secret.exists():
            self._secret.touch(mode=0o600)
            self._secret.write_text(secrets.token_urlsafe(64))
        return self._secret.read_text()

    def write_environment(self, environment: dict[str, str]) -> None:
        """Leave what another shell needs to work on the demo: `set -a; . var/demo.env`."""
        self.environment.touch(mode=0o600)
        self.environment.write_text("".join(f"{name}='{value}'\n" for name, value in environment.items()))
