"""`make demo`: it runs, shows what it promises, and ends cleanly whichever way it is told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from spendsync_site.demo.folder import DemoFolder, DemoRunning, NotADemoFolder
from spendsync_site.demo.processes import free_port
from tests.conftest import wait_until
from tests.integration.demo import DemoRun
from tests.servers import ROOT

START = 120.0
MAILBOXES = [f"--{name}-mailbox={name}@example.com" for name in ("unknown", "greylisted", "slow")]

# One process runs all of these: a demo is heavy, and the tests share it.
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.one_database]


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "var"


@pytest.fixture(scope="module")
def demo(var: Path) -> Iterator[DemoRun]:
    run = DemoRun(ROOT, var, free_port())
    try:
        run.wait_until_up(START)
        yield run
    finally:
        run.kill()


def _command(*arguments: str, var: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spendsync_site.demo", f"--var={var}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_emails_are_completed(demo: DemoRun) -> None:
    assert demo.wait_for("completed e-mail", demo.completed_emails, START) > 0


def test_an_error_of_our_own_fails_after_four_attempts(demo: DemoRun) -> None:
    assert demo.wait_for("failed job with four attempts", demo.failed_with_four_attempts, START)


def test_a_greylisted_mailbox_takes_its_letters_later(demo: DemoRun) -> None:
    rows = demo.wait_for(
        "letter that was tried again",
        lambda: demo.query(
            "SELECT tries FROM settlements_emaildelivery"
            " WHERE recipient = 'grey@spendsync.example' AND status = 'sent' AND tries > 1"
        ),
        START,
    )
    assert rows


def test_an_unknown_mailbox_is_barred(demo: DemoRun) -> None:
    barred = "SELECT cause FROM settlements_barredaddress WHERE address = 'gone@spendsync.example'"
    assert demo.wait_for("barred address", lambda: demo.query(barred), START) == [("refused",)]


def test_a_reminder_that_a_payment_overtook_is_skipped(demo: DemoRun) -> None:
    # The payment arrives at the second in which the letter is tried again: between the payment's row and
    # the settlement's, the letter is skipped because nothing is left to pay.
    skipped = (
        "SELECT 1 FROM settlements_emaildelivery WHERE user_id ="
        " (SELECT id FROM auth_user WHERE username = 'sid') AND template_type LIKE 'reminder_%'"
        " AND status = 'skipped' AND error IN ('settlement already completed', 'nothing is left to pay')"
    )
    assert demo.wait_for("skipped reminder", lambda: demo.query(skipped), START)


def test_a_part_that_went_back_is_owed_again(demo: DemoRun) -> None:
    part = (
        "SELECT id FROM settlements_settlement"
        " WHERE description = 'Cooking course' AND status = 'partially_paid'"
    )
    assert demo.wait_for("settlement that is paid in part", lambda: demo.query(part), START)


def test_what_was_paid_too_much_is_in_the_list_of_discrepancies(demo: DemoRun) -> None:
    rows = demo.wait_for(
        "discrepancy",
        lambda: demo.query("SELECT kind, amount, currency FROM settlements_discrepancy"),
        START,
    )
    assert rows == [("overpaid", 80, "EUR")]


def test_mails_are_kept_as_files(demo: DemoRun) -> None:
    mail = demo.wait_for("mail", lambda: list((demo.var / "mail").glob("*.eml")), START)

    assert b"Message-ID:" in mail[0].read_bytes()


def test_the_late_payment_completes_its_settlement(demo: DemoRun) -> None:
    assert demo.wait_for(
        "completed settlement",
        lambda: demo.query(
            "SELECT id FROM settlements_settlement"
            " WHERE status = 'completed' AND description = 'Flights to Porto'"
        ),
        START,
    )


def test_the_story_shows_every_state_of_a_settlement(demo: DemoRun) -> None:
    demo.wait_for(
        "settlement in every state",
        lambda: (
            {status for (status,) in demo.query("SELECT DISTINCT status FROM settlements_settlement")}
            == {"pending", "partially_paid", "completed", "cancelled"}
        ),
        START,
    )


def test_every_page_that_it_names_opens_for_the_administrator(demo: DemoRun) -> None:
    assert "Log out" in demo.log_in()

    pages = demo.named_pages()
    assert {"/admin/", "/admin/jobqueue/cause/", "/health/queues", "/metrics"} <= pages
    for page in pages:
        assert demo.get(page)


def test_static_files_are_served(demo: DemoRun) -> None:
    assert demo.get("/static/admin/css/base.css")


def test_a_worker_that_was_stopped_is_followed_by_another(demo: DemoRun) -> None:
    workers = {process.pid: process for process in demo.processes() if "rqworker" in process.cmdline()}
    (worker,) = (process for process in workers.values() if process.ppid() not in workers)
    worker.terminate()  # what the button of the console asks it for

    assert demo.wait_for("word of it", lambda: "the worker was stopped" in demo.printed, START)
    assert demo.wait_for("another", lambda: "starting another worker" in demo.printed, START)
    alive = "SELECT 1 FROM jobqueue_worker WHERE started_at > (SELECT MIN(started_at) FROM jobqueue_worker)"
    assert demo.wait_for("its row", lambda: demo.query(alive), START)


def test_a_second_demo_on_the_same_folder_is_refused(demo: DemoRun) -> None:
    second = _command(f"--port={free_port()}", var=demo.var)

    assert second.returncode == 2
    assert "a demo already runs on" in second.stderr


def test_the_data_of_a_running_demo_is_not_removed(demo: DemoRun) -> None:
    reset = _command("--reset", var=demo.var)

    assert reset.returncode == 2
    assert (demo.var / "demo.sqlite3").exists()


@pytest.fixture(scope="module")
def interrupted_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demos that end in one way or another; each goes on where the last one was."""
    return tmp_path_factory.mktemp("demo") / "var"


@pytest.fixture
def run_demo(interrupted_var: Path) -> Iterator[Callable[[], DemoRun]]:
    runs: list[DemoRun] = []

    def run() -> DemoRun:
        demo = DemoRun(ROOT, interrupted_var, free_port())
        runs.append(demo)
        demo.wait_until_up(START)
        return demo

    yield run
    for demo in runs:
        demo.kill()


def test_it_ends_cleanly_and_goes_on_with_its_data(run_demo: Callable[[], DemoRun]) -> None:
    first = run_demo()
    emails = first.wait_for("completed e-mail", first.completed_emails, START)
    first.interrupt_group()
    first.wait_until_stopped()
    assert first.processes() == []

    second = run_demo()
    assert second.completed_emails() >= emails
    assert second.query("SELECT COUNT(*) FROM settlements_settlement") == [(16,)]
    second.interrupt_make_alone()
    second.wait_until_stopped()
    assert second.processes() == []


def test_a_part_that_dies_ends_the_demo_with_an_error(run_demo: Callable[[], DemoRun]) -> None:
    demo = run_demo()
    (mail,) = [process for process in demo.processes() if "spendsync_site.demo.mail" in process.cmdline()]

    mail.kill()
    demo.wait_until_stopped()

    assert demo.make.returncode != 0
    assert "mail ended unexpectedly with the signal SIGKILL" in demo.output
    assert demo.processes() == []


def test_a_killed_supervisor_leaves_no_process(run_demo: Callable[[], DemoRun]) -> None:
    demo = run_demo()

    os.kill(int((demo.var / "demo.pid").read_text()), signal.SIGKILL)

    wait_until(lambda: demo.processes() == [], 30)


def test_a_busy_port_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = _command(f"--port={port}", var=tmp_path / "var")

    assert result.returncode == 2
    assert f"Port {port} on 127.0.0.1 cannot be used" in result.stderr
    assert f"make demo PORT={port + 1}" in result.stderr


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused(port: str, tmp_path: Path) -> None:
    result = _command(f"--port={port}", var=tmp_path / "var")

    assert result.returncode == 2
    assert "is no port; allowed are 1 to 65535" in result.stderr


def test_reset_removes_everything(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "var")
    with folder.locked():
        folder.secret_key()

    folder.reset()

    assert not folder.path.exists()


def test_reset_of_nothing_is_fine(tmp_path: Path) -> None:
    DemoFolder(tmp_path / "var").reset()


def test_reset_leaves_a_folder_alone_that_no_demo_made(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(NotADemoFolder):
        DemoFolder(tmp_path).reset()

    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_is_free_again_after_its_demo(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    with folder.locked(), pytest.raises(DemoRunning), DemoFolder(tmp_path).locked():
        pass

    with DemoFolder(tmp_path).locked():
        pass


def test_the_secret_key_lasts(tmp_path: Path) -> None:
    key = DemoFolder(tmp_path).secret_key()

    assert len(key) >= 50
    assert DemoFolder(tmp_path).secret_key() == key


def test_the_story_is_told_in_the_demo_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPENDSYNC_DEMO", raising=False)

    with pytest.raises(CommandError, match="make demo"):
        call_command("demo_story", *MAILBOXES)


@pytest.mark.django_db
def test_the_story_told_twice_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPENDSYNC_DEMO", "1")

    call_command("demo_story", *MAILBOXES)
    call_command("demo_story", *MAILBOXES)

    assert capsys.readouterr().out.splitlines()[-1] == "the story has 16 settlements, 0 of them new"
