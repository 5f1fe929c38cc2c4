"""The site as the README starts it in production: DEBUG off, behind a proxy that ends TLS."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from knox.models import AuthToken

from jobqueue.api.bodies import LARGEST_BODY
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.conftest import wait_until
from tests.servers import ROOT, subprocess_environment

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.xdist_group("production"),
    pytest.mark.one_database,
]

HOST = "spendsync.example"
README = (ROOT / "README.md").read_text()
PASSWORD = "a good password"  # noqa: S105


class Site:
    """A real gunicorn, asked as a proxy would ask it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.morsels: SimpleCookie = SimpleCookie()

    def ask(self, path: str, form: dict[str, str] | None = None, **headers: str) -> http.client.HTTPResponse:
        """A GET, or a POST of a form, with the cookies that came before."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)
        sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = None
        if form is not None:
            body = urlencode(form)
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"https://{HOST}{path}"}
        connection.request("GET" if form is None else "POST", path, body, sent)
        response = connection.getresponse()
        response.text = response.read().decode()  # type: ignore[attr-defined]
        for value in response.headers.get_all("Set-Cookie", []):
            self.morsels.load(value)
        self.cookies |= {name: morsel.value for name, morsel in self.morsels.items()}
        connection.close()
        return response

    def log_in(self, password: str, **headers: str) -> http.client.HTTPResponse:
        """Send the login form."""
        page = self.ask("/admin/login/", X_Forwarded_Proto="https")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)  # type: ignore[attr-defined]
        assert token
        form = {"username": "olga", "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        return self.ask("/admin/login/", form, X_Forwarded_Proto="https", **headers)


@pytest.fixture(scope="module")
def production(django_db_setup: None) -> dict[str, str]:
    """README's environment for production, on this process's database and Redis."""
    return subprocess_environment(
        DJANGO_SETTINGS_MODULE="spendsync_site.settings",
        DEBUG="0",
        ALLOWED_HOSTS=HOST,
        TRUST_X_FORWARDED_PROTO="1",
        TRUST_X_FORWARDED_FOR="1",
    )


@pytest.fixture(scope="module")
def port(production: dict[str, str]) -> Iterator[int]:
    """Where a gunicorn listens that was started with README's line."""
    port = free_port()
    line = re.search(r"^gunicorn (.+)$", README, re.MULTILINE)
    assert line, "README names no gunicorn line"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *line[1].split(), "--bind", f"{LOOPBACK}:{port}"],
        cwd=ROOT,
        env=production,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def is_up() -> bool:
        try:
            return Site(port).ask("/health/live").status == 200
        except OSError:
            return False

    try:
        wait_until(is_up, timeout=60)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def site(port: int) -> Site:
    return Site(port)


@pytest.fixture
def olga() -> User:
    """May log in; the tests' own quick hashes are none that the site believes."""
    password = PBKDF2PasswordHasher().encode(PASSWORD, "salt")
    return User.objects.create(username="olga", password=password, is_staff=True, is_superuser=True)


def test_plain_http_is_sent_to_https(site: Site) -> None:
    response = site.ask("/admin/login/")

    assert (response.status, response.headers["Location"]) == (301, f"https://{HOST}/admin/login/")


@pytest.mark.parametrize("path", ["/health/live", "/health/queues", "/health/ready", "/metrics"])
def test_probes_and_scrapers_may_speak_plain_http(site: Site, path: str) -> None:
    assert site.ask(path).status == 200


def test_what_the_proxy_says_came_over_https_is_answered(site: Site) -> None:
    assert site.ask("/admin/login/", X_Forwarded_Proto="https").status == 200


def test_browsers_are_told_to_stay_on_https_for_an_hour(site: Site) -> None:
    header = site.ask("/admin/login/", X_Forwarded_Proto="https").headers["Strict-Transport-Security"]

    assert header == "max-age=3600"


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(site: Site) -> None:
    header = site.ask("/admin/login/", X_Forwarded_Proto="https").headers["Content-Security-Policy"]

    assert "default-src 'none'" in header
    assert "script-src 'self'" in header
    assert "frame-ancestors 'none'" in header
    assert "unsafe" not in header


def test_pages_may_not_use_the_device(site: Site) -> None:
    header = site.ask("/admin/login/", X_Forwarded_Proto="https").headers["Permissions-Policy"]

    assert "camera=()" in header
    assert "geolocation=()" in header


def test_cookies_travel_over_https_only(site: Site, olga: User) -> None:
    assert site.log_in(PASSWORD).status == 302

    assert {name: bool(site.morsels[name]["secure"]) for name in ("sessionid", "csrftoken")} == {
        "sessionid": True,
        "csrftoken": True,
    }
    assert site.morsels["sessionid"]["httponly"]


def test_five_failed_logins_close_the_door_for_that_name_and_address(site: Site, olga: User) -> None:
    answers = [site.log_in("wrong", X_Forwarded_For="192.0.2.7").status for _ in range(5)]
    locked = site.log_in(PASSWORD, X_Forwarded_For="192.0.2.7")

    assert answers == [200, 200, 200, 200, 429]
    assert locked.status == 429
    assert "Too many failed logins" in locked.text  # type: ignore[attr-defined]


def test_whoever_asks_from_elsewhere_is_not_locked_out_by_a_stranger(site: Site, olga: User) -> None:
    for _ in range(6):
        site.log_in("wrong", X_Forwarded_For="192.0.2.7")

    assert site.log_in(PASSWORD, X_Forwarded_For="192.0.2.8").status == 302


def test_an_invented_start_of_the_forwarded_addresses_opens_no_door(site: Site) -> None:
    for number in range(5):
        last = site.log_in("wrong", X_Forwarded_For=f"198.51.100.{number}, 192.0.2.7")

    assert last.status == 429


def test_a_weak_password_is_refused(production: dict[str, str]) -> None:
    code = "from django.contrib.auth.password_validation import validate_password as v; v('password')"
    run = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env=production,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "This password is too common." in run.stderr


def test_check_deploy_has_nothing_to_say(production: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "DEBUG"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name == "PATH"} | production,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 0, run.stderr
    assert "no issues" in run.stdout


def _refused(site: http.client.HTTPConnection, olga: User, body: Any) -> tuple[int, dict[str, object]]:
    """Ask for a bulk action that is none: its body is read, and nothing is written."""
    headers = {
        "Host": HOST,
        "X-Forwarded-Proto": "https",
        "Authorization": f"Token {AuthToken.objects.create(olga)[1]}",
        "Content-Type": "application/json",
    }
    site.request("POST", "/api/bulk/", body, headers, encode_chunked=True)
    answer = site.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_body_that_comes_in_parts_is_heard(port: int, olga: User) -> None:
    site = http.client.HTTPConnection(LOOPBACK, port, timeout=20)
    status, shown = _refused(site, olga, iter([b'{"verb": "no', b'ne", "search": "a"}']))
    assert status == 422
    assert shown["detail"] == "Nothing was done: the body asks for what cannot be. See verb."


@pytest.mark.parametrize("is_in_parts", [False, True])
def test_after_a_body_that_is_too_large_the_connection_goes_on(
    port: int, olga: User, is_in_parts: bool
) -> None:
    site = http.client.HTTPConnection(LOOPBACK, port, timeout=20)
    large = b'{"reason": "' + 2 * LARGEST_BODY * b"x" + b'"}'
    for _number in range(3):
        assert _refused(site, olga, iter([large]) if is_in_parts else large)[0] == 413
    assert _refused(site, olga, b"{}")[0] == 422
