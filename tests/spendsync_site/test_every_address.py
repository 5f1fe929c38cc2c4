"""Every pattern of the site's addresses stands in a table: of the pages, of the API, or, for others, here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from tests.jobqueue.admin import world
from tests.jobqueue.admin.test_every_page import ROLES, client_of
from tests.spendsync_site.test_api_access import PATHS

pytestmark = pytest.mark.django_db(databases=["default", "other"])

Row = tuple[tuple[int, ...], tuple[int, ...]]
LOGIN = (302,)
FOR_ALL: Row = ((200,) * 5, (405,) * 5)
LEADS_ON: Row = ((302,) * 5, (302,) * 5)
NOT_THERE: Row = ((404,) * 5, (404,) * 5)
FOR_STAFF: Row = (LOGIN + (200,) * 4, LOGIN + (200,) * 4)
FOR_ROOT: Row = ((302, 403, 403, 403, 200), (302, 403, 403, 403, 200))
FOR_NOBODY: Row = ((302, 403, 403, 403, 403), (302, 403, 403, 403, 403))
NO_SUCH_ROW: Row = ((302, 403, 403, 403, 404), (302, 403, 403, 403, 404))
READ_BY_STAFF: Row = (LOGIN + (200,) * 4, LOGIN + (405,) * 4)
OTHERS: dict[str, Row] = {
    "/": LEADS_ON,
    "/favicon.ico": ((302,) * 5, (405,) * 5),
    "/settlements/1/": LEADS_ON,
    **dict.fromkeys(("/health/queues", "/health/live", "/health/ready", "/metrics"), FOR_ALL),
    "/api/nothing/": NOT_THERE,
    "/api/schema/": ((401, 200, 200, 200, 200), (401, 405, 405, 405, 405)),
    "/api/docs/": ((302, 200, 200, 200, 200), (405,) * 5),
    **dict.fromkeys(("/anymail/sendgrid/tracking/", "/anymail/mailgun/tracking/"), ((405,) * 5, (403,) * 5)),
    "/admin/login/": ((200, 302, 302, 302, 302), (200,) * 5),
    "/admin/logout/": (LOGIN + (405,) * 4, LOGIN + (200,) * 4),
    "/admin/password_change/": FOR_STAFF,
    "/admin/password_change/done/": READ_BY_STAFF,
    "/admin/jsi18n/": READ_BY_STAFF,
    "/admin/autocomplete/": (LOGIN + (403,) * 4, LOGIN + (405,) * 4),
    "/admin/r/1/1/": NOT_THERE,
    "/admin/nothing": (LOGIN + (404,) * 4, LOGIN + (404,) * 4),
    "/admin/auth/": FOR_ROOT,
    **{
        f"/admin/auth/{model}/{page}": FOR_ROOT
        for model in ("group", "user")
        for page in ("", "add/", *(f"{{{model}}}/{verb}/" for verb in ("change", "delete", "history")))
    },
    "/admin/auth/user/{user}/password/": FOR_ROOT,
    **{f"/admin/auth/{model}/1/": LEADS_ON for model in ("group", "user")},
    **{
        f"/admin/axes/{model}/{page}": row
        for model in ("accessattempt", "accesslog", "accessfailurelog")
        for page, row in {
            "": FOR_ROOT,
            "add/": FOR_NOBODY,
            "1/": LEADS_ON,
            "1/change/": NO_SUCH_ROW,
            "1/delete/": NO_SUCH_ROW,
            "1/history/": NO_SUCH_ROW,
        }.items()
    },
}
# HEAD is as GET, and other methods are not allowed, but here.
HEADS = {"/admin/login/": (200,) * 5, **{path: (403,) * 5 for path in OTHERS if path.startswith("/anymail/")}}
ELSE = {
    ("/api/nothing/", ""): (404,) * 5,
    ("/api/schema/", ""): (401, 405, 405, 405, 405),
    **{(path, "OPTIONS"): (200,) * 5 for path in OTHERS if path.startswith("/health/")},
}


def _expected(path: str, method: str) -> tuple[int, ...]:
    read, told = OTHERS[path]
    if method == "HEAD":
        return HEADS.get(path, read)
    if method in ("GET", "POST"):
        return read if method == "GET" else told
    return ELSE.get((path, method), ELSE.get((path, ""), (405,) * 5))


@pytest.mark.parametrize("role", ROLES)
def test_every_other_address_and_method_answers_who_asks_as_it_should(role: str, payer: User) -> None:
    client, place = client_of(role), ROLES.index(role)
    keys = {"user": payer.pk, "group": Group.objects.create(name="Night").pk}
    found, expected = {}, {}
    for path in OTHERS:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            with transaction.atomic():
                answer = client.generic(method, path.format(**keys))
                transaction.set_rollback(True)
            found[path, method] = answer.status_code
            expected[path, method] = _expected(path, method)[place]
            assert method != "HEAD" or answer.content == b""
            if path == "/admin/logout/" and role != "anonymous":
                client.force_login(User.objects.get(username=role))
    assert found == expected


# All of them ----------------------------------------------------------------------------------------


def _patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Every pattern as the resolver tells it of an address."""
    for entry in resolver.url_patterns:
        here = f"{before}{entry.pattern}"
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, here)
        elif isinstance(entry, URLPattern):
            yield here.replace("^", "")


def test_every_pattern_of_the_site_is_in_a_table() -> None:
    here = world.build()
    pages = [world.address(name, here).partition("?")[0] for name in world.names()]
    names = {"uuid": here.keys["settlements_settlement"], "payment": here.keys["settlements_payment"]}
    names |= dict.fromkeys(("id", "done", "letter", "bulk", "email", "user", "group"), 1)
    names |= {"worker": here.keys["jobqueue_worker"], "day": "2030-01-31"}
    known = [
        *pages,
        *(f"/api/{path}".format(**names) for path in PATHS),
        *(one.format(**names) for one in OTHERS),
    ]
    matched = {resolve(path).route.replace("^", "") for path in known}
    # Django leads from a record's address to the page where it is changed.
    missing = {
        one
        for one in _patterns(get_resolver())
        if one not in matched and not one.endswith("/<path:object_id>/")
    }
    assert missing - {"admin/r/<path:content_type_id>/<path:object_id>/"} == set()
