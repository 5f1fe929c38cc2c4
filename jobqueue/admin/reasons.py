"""Why something is done: what a form says of it, and what is wrong with that.

Every verb takes a reason and keeps it in the audit. Where it is asked for before it is done, the page says
what is wrong; a button that does it at once has a field beside it, which may be left empty.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobqueue.models.audit import LONGEST_REASON


def reason_of(request: HttpRequest, most: int = LONGEST_REASON) -> tuple[str, str]:
    """The reason that a form says, and what is wrong with it; empty if nothing is."""
    reason = request.POST.get("reason", "").strip()
    trouble = trouble_with(reason, most)
    return (reason[:most], trouble) if trouble else (reason, "")


def optional_reason_of(request: HttpRequest, most: int = LONGEST_REASON) -> tuple[str, str]:
    """The same where a form may be sent without a reason."""
    return reason_of(request, most) if request.POST.get("reason", "").strip() else ("", "")


def kept_reason(request: HttpRequest, most: int = LONGEST_REASON) -> str | None:
    """The same for what is done at once. None, and a message, for one that cannot be kept."""
    reason, problem = optional_reason_of(request, most)
    if problem:
        messages.error(request, problem)
        return None
    return reason


def trouble_with(reason: str, most: int) -> str:
    """What is wrong with a reason that has to be given, as a sentence; empty if nothing is."""
    if "\x00" in reason:
        return _("A reason cannot have the character U+0000.")
    if reason and len(reason) <= most:
        return ""
    return _("Say why, in at most %(most)s characters.") % {"most": most}


class ReasonField(forms.Field):
    """Why; it may be left empty."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            label=gettext_lazy("Reason"),
            help_text=gettext_lazy("May be left empty; it is kept in the history and in the audit."),
            widget=AdminTextInputWidget(attrs={"maxlength": LONGEST_REASON, "autocomplete": "off"}),
        )

    def clean(self, value: Any) -> str:
        """The reason."""
        reason = str(value or "").strip()
        if reason and (trouble := trouble_with(reason, LONGEST_REASON)):
            raise ValidationError(trouble, code="invalid")
        return reason


class ActionWithReason(ActionForm):
    """The choice of an action above a list that does it at once; the action reads the reason itself."""

    reason = forms.Field(
        required=False,
        label=gettext_lazy("Reason:"),
        widget=forms.TextInput(attrs={"maxlength": LONGEST_REASON, "autocomplete": "off"}),
    )
