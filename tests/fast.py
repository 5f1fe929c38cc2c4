"""Chooses the tests that give the most for their time: `pytest --fast`, which `make test-fast` runs.

In are all tests but those that start workers, and those that are recorded as slow in `slow_tests.json`: most
test functions take a sixteenth of the time, a few take the rest. So a new test is in until somebody records
that it is slow: `make test-times` measures them all anew. They are known by the names of their functions,
whatever file these move to.

Loaded with `-p tests.fast` (pyproject.toml).
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
SLOW_TESTS = TESTS / "slow_tests.json"
# Their tests start workers, a demo, a browser; the next folder that somebody makes is in.
LEFT_OUT = frozenset({"browser", "faults", "integration", "soak"})
STARTS_WORKERS = frozenset({"worker_process", "rqworker"})
SHARE = 1 / 16
"""What the fast test functions take of the time of all, which tells the same on every machine."""
WORTH_A_WORD = 1.0
"""Seconds from which on a test function that is not recorded as slow is named after a fast run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fast` chooses, `--record-slow` measures."""
    group = parser.getgroup("spendsync")
    group.addoption("--fast", action="store_true", help="leave out what starts workers or is slow")
    group.addoption("--record-slow", action="store_true", help="write tests/slow_tests.json anew")


def pytest_configure(config: pytest.Config) -> None:
    """Measure where something is made of it."""
    if config.getoption("fast") or config.getoption("record_slow"):
        config.pluginmanager.register(Stopwatch(config), "spendsync stopwatch")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even read the folders whose tests start workers."""
    chooses = config.getoption("fast") or config.getoption("record_slow")
    is_left_out = collection_path.parent == TESTS and collection_path.name in LEFT_OUT
    return True if chooses and is_left_out else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is slow."""
    if not config.getoption("fast"):
        return
    slow = recorded_as_slow()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        is_out = name_of(item.nodeid) in slow or starts_workers(item)
        (left_out if is_out else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)


def recorded_as_slow(path: Path = SLOW_TESTS) -> dict[str, float]:
    """The slow test functions, and the seconds that all their cases take together."""
    found: dict[str, float] = json.loads(path.read_text())
    return found


def slow_ones(seconds: Mapping[str, float]) -> dict[str, float]:
    """These test functions without the fastest, which take their share of the time; in the order of names."""
    left = SHARE * sum(seconds.values())
    slow = {}
    for name, spent in sorted(seconds.items(), key=lambda item: item[1]):
        left -= spent
        if left < 0:
            slow[name] = round(spent, 1)
    return dict(sorted(slow.items()))


def name_of(node_id: str) -> str:
    """The name of the test function: `test_it` for `tests/test_a.py::test_it[case]`, in a group or not."""
    return node_id.split("[")[0].rpartition("::")[2].split("@")[0]


def starts_workers(item: pytest.Item) -> bool:
    """Whether a test asks for real workers."""
    return not STARTS_WORKERS.isdisjoint(getattr(item, "fixturenames", ()))


class Stopwatch:
    """How long each test function takes, what it shares with the others of a session not counted."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shared = 0.0
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Whichever test comes first has to wait for the database."""
        begin = time.perf_counter()
        try:
            return (yield)
        finally:
            if fixturedef.scope == "session":
                self._shared += time.perf_counter() - begin

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Runs where the test runs: with xdist its report travels to where all are summed up."""
        report = yield
        report.duration -= self._shared
        self._shared = 0.0
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sum up."""
        self._seconds[name_of(report.nodeid)] += report.duration

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode
    ) -> None:
        """Only where all are summed up. A run that was interrupted measured too few to be recorded."""
        if self._config.getoption("record_slow"):
            if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                return
            SLOW_TESTS.write_text(json.dumps(slow_ones(self._seconds), indent=0) + "\n")
            terminalreporter.write_line(f"{len(slow_ones(self._seconds))} test functions are slow")
            return
        slow = {name: spent for name, spent in self._seconds.items() if spent >= WORTH_A_WORD}
        for name, spent in sorted(slow.items()):
            terminalreporter.write_line(f"slow here, and not recorded as slow: {name}, {spent:.1f} s")
