"""The payments on the page of their settlement, which may come and go while it is open."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms import HiddenInput
from django.forms.models import BaseInlineFormSet
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin import SHOWN, UNKNOWN, unseal
from settlements.admin.amounts import as_posted
from settlements.admin.changers import added_or_deleted_by
from settlements.admin.checked_form import NOT_SAVED
from settlements.admin.forms import InlinePaymentForm, currency_error
from settlements.admin.input_names import name_all
from settlements.admin.shown import in_words
from settlements.models import Payment, Settlement

if TYPE_CHECKING:
    PaymentInlineFormSet = BaseInlineFormSet[Payment, Settlement, InlinePaymentForm]
else:
    PaymentInlineFormSet = BaseInlineFormSet


class KeyAndShown(HiddenInput):
    """The key of a row and what the page showed of it, also for who may only look at the row."""

    def __init__(self, form: InlinePaymentForm) -> None:
        super().__init__()
        self._form = form

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        """Two hidden inputs."""
        return format_html("{}{}", super().render(*args, **kwargs), self._form[SHOWN])


class PaymentFormSet(PaymentInlineFormSet):
    """The rows are the locked ones of the database, whatever was sent; what differs is said."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        self.gone: list[str] = []
        self.added: set[str] = set()
        self.owed_before = None if self.instance._state.adding else self.instance.amount
        if self.is_bound and not self.save_as_new:
            self._follow_rows()

    def add_fields(self, form: InlinePaymentForm, index: int | None) -> None:
        """Each row brings its key, and what the page showed of it."""
        super().add_fields(form, index)
        form.fields["id"].widget = KeyAndShown(form)
        name_all(form.fields)

    # Rows that came or went ---------------------------------------------------------------------------

    def _follow_rows(self) -> None:
        """Arrange what was sent as the rows are now: without those that are gone, with those that came."""
        sent = self._indexes_by_pk()
        rows = [str(row.pk) for row in self.get_queryset()]
        if sent is None or list(sent) == rows:
            return
        self.gone = [self._what_is_gone(pk, index) for pk, index in sent.items() if pk not in rows]
        self.added = {pk for pk in rows if pk not in sent}
        self._rearrange(sent, rows)

    def _indexes_by_pk(self) -> dict[str, int] | None:
        """Where the rows that the page showed are in what was sent; None if that is no formset at all."""
        if self._initial is None or self._total is None:
            return None
        return {self.data.get(f"{self.prefix}-{index}-id", ""): index for index in range(self._initial)}

    @cached_property
    def _total(self) -> int | None:
        return self._number("TOTAL_FORMS")

    @cached_property
    def _initial(self) -> int | None:
        return self._number("INITIAL_FORMS")

    def _number(self, name: str) -> int | None:
        text = self.data.get(f"{self.prefix}-{name}", "")
        return (
            min(int(text), self.absolute_max)
            if text.isascii() and text.isdecimal() and len(text) < 6
            else None
        )

    def _what_is_gone(self, pk: str, index: int) -> str:
        text = self.data.get(f"{self.prefix}-{index}-{SHOWN}", "")
        shown = unseal(Payment, pk, text)
        if shown is None:
            return str(UNKNOWN)
        amount, status = (in_words(Payment, name, shown.values.get(name)) for name in ("amount", "status"))
        whom = added_or_deleted_by(Payment, pk, shown.at)
        text = _(
            "The payment of %(amount)s (%(status)s) was deleted or moved while the page was open, "
            "by %(whom)s."
        )
        return f"{text % {'amount': amount, 'status': status, 'whom': whom}} {NOT_SAVED}"

    def _rearrange(self, sent: dict[str, int], rows: list[str]) -> None:
        assert self._total is not None and self._initial is not None
        new = range(self._initial, self._total)
        sources = [*(sent.get(pk) for pk in rows), *new]
        data: Any = cast(Any, self.data).copy()
        for key in [key for key in data if self._index_of(key) is not None]:
            del data[key]
        for target, source in enumerate(sources):
            if source is None:
                self._put_row(data, target)
            else:
                self._move_row(data, source, target)
        data[f"{self.prefix}-INITIAL_FORMS"] = str(len(rows))
        data[f"{self.prefix}-TOTAL_FORMS"] = str(len(sources))
        self.data = data

    def _index_of(self, key: str) -> str | None:
        prefix, _dash, rest = key.partition("-")
        index = rest.partition("-")[0]
        return index if prefix == self.prefix and index.isdecimal() else None

    def _move_row(self, data: Any, source: int, target: int) -> None:
        begin = f"{self.prefix}-{source}-"
        for key in self.data:
            if key.startswith(begin):
                data.setlist(
                    f"{self.prefix}-{target}-{key.removeprefix(begin)}", cast(Any, self.data).getlist(key)
                )

    def _put_row(self, data: Any, target: int) -> None:
        """A row that came meanwhile, as a page that is opened now would show it."""
        row = self.get_queryset()[target]
        form = self.form(instance=row, prefix=self.add_prefix(target), **self.form_kwargs)
        data[f"{form.prefix}-id"] = str(row.pk)
        data[f"{form.prefix}-{self.fk.name}"] = str(self.instance.pk)
        for name, field in form.fields.items():
            if not field.disabled:
                data.update(as_posted(field, form.add_prefix(name), form.initial.get(name, field.initial)))

    # Checks -------------------------------------------------------------------------------------------

    def clean(self) -> None:
        """Refuse what was entered without knowing the rows as they are, and currencies that count nothing."""
        super().clean()
        for form in self.initial_forms:
            if form.trouble and NON_FIELD_ERRORS not in form.errors:
                # Django does not look at rows that the operator may not change.
                form.add_error(None, [ValidationError(text, code="stale") for text in form.trouble])
        for form in self.forms:
            if str(form.instance.pk) in self.added:
                form.add_error(None, ValidationError(self._what_came(form.instance), code="stale"))
            self._check_currency(form)
        trouble = [*self.gone, *self._changed_but_to_be_deleted()]
        if not self.save_as_new and (self._total is None or self._initial is None):
            trouble.append(str(UNKNOWN))
        if trouble:
            raise ValidationError([ValidationError(text, code="stale") for text in trouble])

    def _what_came(self, payment: Payment) -> str:
        whom = added_or_deleted_by(Payment, payment.pk, payment.created_at)
        text = _("This payment was added while the page was open, by %(whom)s.") % {"whom": whom}
        return f"{text} {NOT_SAVED}"

    def _is_to_be_deleted(self, form: InlinePaymentForm) -> bool:
        return bool(self.can_delete and form.cleaned_data.get("DELETE"))

    def _changed_but_to_be_deleted(self) -> list[str]:
        # Django does not look at the errors of rows that are to be deleted.
        forms = [form for form in self.initial_forms if self._is_to_be_deleted(form)]
        return [text for form in forms for text in form.trouble]

    def _check_currency(self, form: InlinePaymentForm) -> None:
        owed, before = self.instance.amount, self.owed_before
        is_deleted = self._is_to_be_deleted(form)
        is_empty = form.instance._state.adding and not form.has_changed()
        if form.errors or is_deleted or is_empty or owed is None or form.instance.amount is None:
            return
        owed_in_other = before is not None and before.currency != owed.currency
        if form.instance._state.adding or "amount" in form.changed_data or owed_in_other:
            error = currency_error(form.instance.amount, owed)
            if error:
                form.add_error("amount", error)
