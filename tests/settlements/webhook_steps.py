"""Reports of mail providers, signed as they sign them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client

SENDGRID = "/anymail/sendgrid/tracking/"


MAILGUN = "/anymail/mailgun/tracking/"


ADDRESS = "pia@example.com"


MESSAGE_ID = "<job-7-1900000000@spendsync.example>"


MOMENT = 1_893_499_200


SIGNING_KEY = "mailgun-signing-key"


PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())


SECRET = "hooks:5ecret"


BOUNCE = {
    "event": "bounce",
    "type": "bounce",
    "email": ADDRESS,
    "timestamp": MOMENT,
    "reason": f"550 5.1.1 <{ADDRESS}> no such user",
    "status": "5.1.1",
    "smtp-id": MESSAGE_ID,
    "anymail_id": "an-anymail-id",
    "sg_event_id": "an-event",
}


FAILURE = {
    "event": "failed",
    "severity": "permanent",
    "reason": "bounce",
    "recipient": ADDRESS,
    "timestamp": MOMENT + 0.5,
    "message": {"headers": {"message-id": MESSAGE_ID.strip("<>")}},
    "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": f"<{ADDRESS}> no such user"},
    "user-variables": {},
}


def public(key: Any) -> str:
    """A public key as SendGrid shows it: the middle of a PEM file."""
    pem: str = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return "".join(pem.splitlines()[1:-1])


def sendgrid(content: object, *, key: Any = PRIVATE_KEY, **headers: str) -> int:
    """Report as SendGrid does, signed; the status code of the answer."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signature = key.sign(str(MOMENT).encode() + body, ec.ECDSA(hashes.SHA256()))
    signed = {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": str(MOMENT),
    }
    return post(SENDGRID, body, {**signed, **headers})


def mailgun(data: object, *, key: str = SIGNING_KEY) -> int:
    """Report as Mailgun does, signed; the status code of the answer."""
    token = "a-token-of-this-report"
    signature = hmac.new(key.encode(), f"{MOMENT}{token}".encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": str(MOMENT), "token": token, "signature": signature}
    return post(MAILGUN, json.dumps({"signature": signed, "event-data": data}).encode())


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.post(path, body, content_type="application/json", headers=headers or {}).status_code
