"""The health endpoints in a project without Django REST Framework: the same answers, by Django alone."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from jobqueue.api import answers


def _probe(ask: Callable[[], answers.Answer]) -> Callable[..., JsonResponse]:
    """An endpoint for GET and HEAD that is never cached."""

    def view(request: HttpRequest) -> JsonResponse:
        answer = ask()
        return JsonResponse(answer.body, status=answer.status, headers={"Cache-Control": "no-store"})

    return csrf_exempt(require_safe(view))


queues_view = _probe(answers.queues)
live_view = _probe(answers.live)
ready_view = _probe(answers.ready)
