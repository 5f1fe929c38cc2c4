"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.arena import NODE_MODULES, Arena
from benchmarks.figures import median

_PYTHON_PACKAGES = ("Django", "rq", "django-rq", "redis", "hiredis", "psycopg", "celery", "dramatiq", "huey")
_NODE_PACKAGES = ("bull", "bullmq", "ioredis")
_BUSY = 0.3
_FLUSHES = 100


def describe(arena: Arena) -> dict[str, Any]:
    """The machine, its load at this moment, and the versions of all that takes part."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    kilobytes = int(_first("/proc/meminfo", r"MemTotal:\s*(\d+)") or 0)
    notes = []
    if load > _BUSY * cores:
        notes.append(f"**The machine was busy with something else** when this began (load {load:.2f}).")
    if _file_system(arena.folder) in ("tmpfs", "ramfs"):
        notes.append("**The databases were in memory**, so being durable cost them nothing.")
    return {
        "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": cores,
        "processor": _first("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.machine(),
        "memory": f"{kilobytes / 2**20:.0f} GB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "versions": _versions(arena),
        "load": load,
        "flush_milliseconds": _flush_milliseconds(arena.folder),
        "notes": notes,
    }


def _versions(arena: Arena) -> str:
    packages = [f"{name} {version(name)}" for name in _PYTHON_PACKAGES]
    packages += [f"{name} {_version_on_node(name)}" for name in _NODE_PACKAGES]
    servers = [
        f"Python {platform.python_version()}",
        f"node {_output('node', '--version').lstrip('v')}",
        f"Redis {arena.redis.info('server')['redis_version']} without persistence",
        f"PostgreSQL {arena.postgresql.version()} with fsync",
    ]
    return ", ".join([*servers, *packages])


def _flush_milliseconds(folder: Path) -> float:
    """What a durable commit waits for at least: the median time in which the disk takes a page for good."""
    times = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for number in range(_FLUSHES):
            os.pwrite(file.fileno(), bytes(8192), 8192 * (number % 16))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return 1000 * median(times)


def _version_on_node(package: str) -> str:
    text = (NODE_MODULES / package / "package.json").read_text()
    found = re.search(r'"version":\s*"([^"]+)"', text)
    return found[1] if found else "?"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _first(path: str, pattern: str) -> str | None:
    found = re.search(pattern, Path(path).read_text())
    return found[1].strip() if found else None


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]))[1] if holding else ""
