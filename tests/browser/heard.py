"""What a browser tells of pages beside what they show: errors, refusals, bad answers, requests elsewhere."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

_OWN = ("data:", "blob:", "about:")
_BROKEN = 500


class Heard:
    """What went wrong in all pages of a test; a test fails on it, whatever it looked at.

    One that provokes an error says so: `heard.allow("status of 404")`.
    """

    def __init__(self) -> None:
        self._wrong: list[str] = []
        self._allowed: dict[str, bool] = {}

    def listen(self, context: BrowserContext, origin: str) -> None:
        """Listen to every page of the context; `origin` is the only host that they may ask."""

        def asked(request: Request) -> None:
            if not request.url.startswith((f"{origin}/", *_OWN)):
                self._wrong.append(f"asked elsewhere: {request.url}")

        context.on("request", asked)
        context.on("response", self._answered)
        context.on("console", self._said)
        context.on("weberror", lambda raised: self._wrong.append(f"error: {raised.error}"))

    def allow(self, text: str) -> None:
        """From now on what contains this text is meant to happen, and must."""
        self._allowed.setdefault(text, False)

    def take(self) -> list[str]:
        """What went wrong since this was asked last and was not allowed."""
        found, self._wrong = self._wrong, []
        return [text for text in found if not self._is_allowed(text)]

    def missing(self) -> list[str]:
        """What was allowed and did not happen; to be asked after `take`."""
        return [text for text, happened in self._allowed.items() if not happened]

    def _is_allowed(self, told: str) -> bool:
        reasons = [text for text in self._allowed if text in told]
        self._allowed |= dict.fromkeys(reasons, True)
        return bool(reasons)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self._wrong.append(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= _BROKEN:
            self._wrong.append(f"status of {response.status}: {response.url}")
