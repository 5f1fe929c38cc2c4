"""Actions of the admin that ask for a reason, and tell what came of it: `settlements.operating` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models import LONGEST_FAILURE_REASON
from settlements.money import MAX_DIGITS, STORED_PLACES
from settlements.operating.moves import (
    LONGEST_REASON,
    Answer,
    LeftAlone,
    Move,
    counted,
    left_alone,
    move_one,
    moved,
    named,
)
from settlements.operating.rights import may

MOST_PER_REQUEST: Final = 500
MOST_SHOWN: Final = 20
_BACK = "back"


@dataclass(frozen=True, slots=True)
class AmountHint:
    """What stands beside the amount that is asked for."""

    text: str
    step: str = "any"


class ReasonForm(forms.Form):
    """Why; and how much, and what the payer reads of it, where that is asked for."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "maxlength": LONGEST_REASON}),
        error_messages={"required": _("Say why: the reason is kept with the record.")},
    )
    amount = forms.DecimalField(
        label=_("Amount"),
        required=False,
        max_digits=MAX_DIGITS,
        decimal_places=STORED_PLACES,
    )
    failure_reason = forms.CharField(
        label=_("What the payer reads"),
        required=False,
        max_length=LONGEST_FAILURE_REASON,
        widget=forms.TextInput(attrs={"size": 60}),
        help_text=_(
            "Stands in the letter to the payer and with the payment. Left empty, the letter names no reason. "
            "The reason above is for the history alone."
        ),
    )

    def __init__(
        self, *args: Any, amount: AmountHint | None, tells_payer: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if not tells_payer:
            del self.fields["failure_reason"]
        if amount is None:
            del self.fields["amount"]
        else:
            self.fields["amount"].widget.attrs["step"] = amount.step
            self.fields["amount"].help_text = amount.text


def action_for(move: Move) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse]:
    """The admin action of a move."""

    @admin.action(description=format_lazy("{} …", move.label))
    def act(model_admin: Any, request: HttpRequest, records: QuerySet[Any]) -> HttpResponse:
        is_answer = request.POST.get("confirmed") == move.name
        record = records.first() if move.takes_amount and _is_one(request) else None
        hint = model_admin.amount_hint(record) if record is not None else None
        data = request.POST if is_answer else None
        form = ReasonForm(data, amount=hint, tells_payer=move.tells_payer)
        if is_answer and _are_more(records, move, request):
            form.add_error(None, ValidationError(gettext("Meanwhile more match: look at the number again.")))
        if is_answer and form.is_valid():
            answer = Answer(request.user, **form.cleaned_data)
            outcome = _carry_out_what_was_told(request, records, move, answer)
            if outcome.error is None:
                _tell(model_admin.opts, request, move, outcome)
                return _back(model_admin, request)
            form.add_error("amount" if hint else None, ValidationError(outcome.error))
        return _ask(model_admin, request, records, move, form)

    act.__name__ = move.name
    return act


def moves_of(model_admin: Any, request: HttpRequest, record: Any, moves: Iterable[Move]) -> list[Move]:
    """What this operator may do to this record now: the buttons on its page."""
    return [
        move
        for move in moves
        if may(request, move.permission, model_admin.model) and not move.trouble(record)
    ]


# Asking -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A record on the page that asks."""

    record: Any
    name: str
    amount: Any
    status: Any
    trouble: str


def _ask(
    model_admin: Any, request: HttpRequest, records: QuerySet[Any], move: Move, form: ReasonForm
) -> HttpResponse:
    rows = list(records.order_by("pk")[: MOST_PER_REQUEST + 1])
    troubles = _troubles(move, rows[:MOST_PER_REQUEST])
    lines = [_line(model_admin, row, troubles[row.pk]) for row in rows[:MOST_PER_REQUEST]]
    able = [line for line in lines if not line.trouble]
    if not able:
        refused = [named(line.record, line.trouble) for line in lines]
        _tell(model_admin.opts, request, move, Outcome(refused=refused, gone=not lines))
        return _back(model_admin, request)
    across = request.POST.get("select_across") == "1"
    names = model_admin.opts
    context = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("%(verb)s: are you sure?") % {"verb": move.label},
        "opts": names,
        "media": model_admin.media,
        "move": move,
        "form": form,
        "lines": lines[:MOST_SHOWN],
        "unshown": max(0, len(lines) - MOST_SHOWN),
        "left": len(rows) > MOST_PER_REQUEST,
        "most": MOST_PER_REQUEST,
        "what": counted(len(able), names),
        "seen": len(able),
        "counted": ",".join(str(line.record.pk) for line in able),
        "with_amounts": any(line.amount for line in lines),
        "across": across,
        "selected": ["0"] if across else request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.POST.get(_BACK, ""),
        "back_url": _back(model_admin, request).url,
    }
    return TemplateResponse(request, "admin/settlements/reason.html", context)


def _troubles(move: Move, rows: Sequence[Any]) -> Mapping[Any, str]:
    """By key what speaks against each."""
    if move.troubles is not None and rows:
        return move.troubles(rows)
    return {row.pk: move.trouble(row) for row in rows}


def _line(model_admin: Any, record: Any, trouble: str) -> Line:
    amount = getattr(model_admin, "shown_amount", None) if hasattr(record, "amount") else None
    status = model_admin.shown_status(record)
    name = model_admin.named(record)
    return Line(record, name, amount(record) if amount else "", status, trouble)


def _is_one(request: HttpRequest) -> bool:
    return request.POST.get("select_across") != "1" and len(request.POST.getlist(ACTION_CHECKBOX_NAME)) == 1


def _back(model_admin: Any, request: HttpRequest) -> HttpResponseRedirect:
    """To the record that the action started from, else to the list with its filter."""
    selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
    if request.POST.get(_BACK) and len(selected) == 1:
        options = model_admin.opts
        name = f"{model_admin.admin_site.name}:{options.app_label}_{options.model_name}_change"
        return HttpResponseRedirect(reverse(name, args=[selected[0]]))
    return HttpResponseRedirect(request.get_full_path())


# Doing --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Outcome:
    """What came of a move."""

    moved: int = 0
    refused: list[str] | tuple[str, ...] = ()
    left: bool = False
    gone: bool = False
    error: str | None = None


def _are_more(records: QuerySet[Any], move: Move, request: HttpRequest) -> bool:
    """Whether more records of the list can be moved now than was told; a selection says which are meant."""
    if request.POST.get("select_across") != "1":
        return False
    rows = list(records.order_by("pk")[:MOST_PER_REQUEST])
    seen = request.POST.get("seen", "")
    is_number = seen.isascii() and seen.isdecimal()
    return not is_number or sum(not why for why in _troubles(move, rows).values()) > int(seen[:9])


def _carry_out_what_was_told(
    request: HttpRequest, records: QuerySet[Any], move: Move, answer: Answer
) -> Outcome:
    """Move what is selected, or those of the records of a list that were counted when it was asked."""
    if request.POST.get("select_across") != "1":
        return _carry_out(request, records, move, answer)
    keys = _keys(request.POST.get("counted", ""), records.model._meta.pk)
    is_left = records.order_by("pk")[MOST_PER_REQUEST : MOST_PER_REQUEST + 1].exists()
    outcome = _carry_out(request, records.filter(pk__in=keys), move, answer)
    outcome.left = is_left
    return outcome


def _keys(text: str, field: Any) -> list[Any]:
    keys = []
    for one in text.split(",")[:MOST_PER_REQUEST]:
        try:
            keys.append(field.to_python(one))
        except ValidationError:
            continue
    return keys


def carry_out_and_tell(request: HttpRequest, records: QuerySet[Any], move: Move, answer: Answer) -> None:
    """Do what another page than that of the records has asked about, and say what came of it."""
    outcome = _carry_out(request, records, move, answer)
    if outcome.error is None:
        _tell(records.model._meta, request, move, outcome)
    else:
        messages.warning(request, outcome.error)


def _carry_out(request: HttpRequest, records: QuerySet[Any], move: Move, answer: Answer) -> Outcome:
    keys = list(records.order_by("pk").values_list("pk", flat=True)[: MOST_PER_REQUEST + 1])
    outcome = Outcome(left=len(keys) > MOST_PER_REQUEST, gone=not keys)
    refused: list[str] = []
    for key in keys[:MOST_PER_REQUEST]:
        try:
            record = move_one(request, records.model, key, move, answer)
        except LeftAlone as trouble:
            refused.append(str(trouble))
        except (InvalidAmount, InvalidRefund) as error:
            if len(keys) == 1:
                return Outcome(error=f"{capfirst(str(error))}.")
            refused.append(str(error))
        else:
            if record is None:
                refused.append(gettext("%(name)s (deleted)") % {"name": key})
            else:
                outcome.moved += 1
    outcome.refused = refused
    return outcome


def _tell(names: Any, request: HttpRequest, move: Move, outcome: Outcome) -> None:
    if outcome.moved:
        messages.success(request, moved(move, names, outcome.moved))
    if outcome.refused:
        messages.warning(request, left_alone(move, names, outcome.refused))
    if outcome.gone:
        text = gettext("Nothing was %(done)s: it is gone.") % {"done": move.done}
        messages.warning(request, text)
    if outcome.left:
        text = gettext("More match: one request takes at most %(most)s. Filter the list to reach the others.")
        messages.warning(request, text % {"most": MOST_PER_REQUEST})
