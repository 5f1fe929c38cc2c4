"""Who may read payloads and errors, and what others see of a text."""

from __future__ import annotations

from typing import Any, Protocol

from jobqueue.operating.words import carried, mask_address, mask_text, printable

VIEW_PAYLOAD = "jobqueue.view_payload"


class Asked(Protocol):
    """A request, of Django or of Django REST Framework."""

    @property
    def user(self) -> Any:
        """Who asks."""


def may_read(request: Asked) -> bool:
    """Whether the user may read payloads, errors and tracebacks as they are."""
    return bool(request.user.has_perm(VIEW_PAYLOAD))


def shown_text(text: str, request: Asked) -> str:
    """An error, a reason or a kept search for a page; whoever may not read payloads sees nothing of these.

    Without addresses, and without what a search looked for in payloads.
    """
    return printable(carried_text(text, request))


def carried_text(text: str, request: Asked) -> str:
    """The same for an answer of the API, which is data: whoever shows it decides how."""
    return carried(text if may_read(request) else mask_text(text))


def shown_address(address: str, request: Asked) -> str:
    """An e-mail address for whoever may read payloads; enough to recognise it by for everybody else."""
    if not address:
        return ""
    return printable(address) if may_read(request) else mask_address(address)
