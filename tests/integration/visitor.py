"""Somebody who looks at a site's pages, by HTTP."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request


class Visitor:
    """A browser without windows: it keeps its cookies, so it stays logged in."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(self, path: str) -> str:
        """The body of a page."""
        with self._browser.open(f"{self.address}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def log_in(self, username: str, password: str) -> str:
        """Log in to the admin; the page that follows."""
        page = self.get("/admin/login/?next=/admin/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        form = {
            "username": username,
            "password": password,
            "csrfmiddlewaretoken": token[1],
            "next": "/admin/",
        }
        request = urllib.request.Request(
            f"{self.address}/admin/login/",
            urllib.parse.urlencode(form).encode(),
            {"Referer": f"{self.address}/admin/login/"},
        )
        with self._browser.open(request, timeout=10) as answer:
            return str(answer.read().decode())
