"""The tests with each Python that is supported and found here, and each Django: `make matrix`.

`make matrix SAMPLE=1` runs a sample of them, `make matrix ARGS="tests/jobqueue"` those that ARGS name.
"""

import os
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))
from tests.interpreters import find_interpreters  # noqa: E402 - found by the line above

COMBINATIONS = [
    ("3.11", "5.2"),
    ("3.12", "5.2"),
    ("3.12", "6.0"),
    ("3.12", "6.1"),
    ("3.13", "5.2"),
    ("3.13", "6.0"),
    ("3.13", "6.1"),
]
# Of each Python the newest Django; all tests run on 5.2, which the lock file names for the oldest Python.
SAMPLED = list(dict(COMBINATIONS).items())
# From a save to a letter by a real worker, and the rules: what another Python or Django changes first.
SAMPLE = [
    "tests/integration/test_worker_end_to_end.py::test_a_saved_settlement_becomes_emails",
    "tests/jobqueue/test_rules.py",
]

is_sample = os.environ.get("SAMPLE") == "1"
versions = dict.fromkeys(python for python, _ in COMBINATIONS)
interpreters = find_interpreters(versions)
for version in versions:
    print(f"Python {version}: {interpreters.get(version, 'not found, so not tried')}", flush=True)
# nox looks on the PATH alone.
folders = [str(program.parent) for program in interpreters.values()]
os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])

nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False


@nox.session
@nox.parametrize(("python", "django"), SAMPLED if is_sample else COMBINATIONS)
def tests(session: nox.Session, django: str) -> None:
    """Run the tests with the locked packages, but this Django."""
    session.install("--require-hashes", "-r", "locks/dev.txt")
    session.install(f"Django~={django}.0")
    session.run("python", "-m", "pytest", "-q", *_processes(), *(session.posargs or _chosen()))


def _chosen() -> list[str]:
    return SAMPLE if is_sample else ["tests"]


def _processes() -> list[str]:
    return ["-n", os.environ.get("WORKERS", "2"), "--dist", "loadgroup"]
