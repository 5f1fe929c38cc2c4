"""What can be wrong with a request to the settlements domain, named."""


class SettlementError(Exception):
    """Base class of the domain's errors."""


class UnknownTemplateType(SettlementError, ValueError):
    """There is no e-mail template of that type."""


class UnknownReminderType(SettlementError, ValueError):
    """There is no reminder of that type."""


class UnknownProcessType(SettlementError, ValueError):
    """There is no settlement process of that type."""


class InvalidEmailAddress(SettlementError, ValueError):
    """The text is no e-mail address."""


class InvalidEmailSubject(SettlementError, ValueError):
    """The subject of an e-mail is no text, or too long."""


class InvalidDueDate(SettlementError, ValueError):
    """The due date is no aware date and time."""


class InvalidReminderStep(SettlementError, ValueError):
    """The number of a reminder within its stage is no count."""


class SettlementNotFound(SettlementError, LookupError):
    """No settlement has that id."""


class PaymentNotFound(SettlementError, LookupError):
    """No payment can have that id."""


class UserNotFound(SettlementError, LookupError):
    """No user has that id."""


class GatewayError(SettlementError):
    """The payment provider gave no usable answer; asking again later may help."""


class GatewayRefused(SettlementError):
    """The payment provider refused the question; asking again will not help."""


class GatewayContradiction(GatewayRefused):
    """The payment provider answered about something else than the payment that was asked about.

    `fields` are those that differ, out of `id`, `amount` and `currency`.
    """

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class InvalidAmount(SettlementError, ValueError):
    """The amount has digits that its currency does not have, or the wrong sign."""


class InvalidFailureReason(SettlementError, ValueError):
    """What the payer is to read of a payment that failed is too long."""


class InvalidStatus(SettlementError, ValueError):
    """There is no such status."""


class InvalidDecision(SettlementError, ValueError):
    """A decision lacks its reason, or whoever takes it."""


class InvalidRefund(SettlementError, ValueError):
    """More was refunded than was paid, or of a payment that never arrived."""


class DiscrepancyClosed(SettlementError):
    """The discrepancy was closed already."""
