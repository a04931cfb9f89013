"""Who may call: a bearer key where VERISQL_API_KEYS names any."""

import hmac

from fastapi import Request

from service.api.deps import get_parts
from service.errors import Unauthorized


def require_key(request: Request) -> None:
    """Raise Unauthorized unless no keys are set or the request carries one of them."""
    keys = get_parts(request).settings.api_key_set
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    sent = given.strip().encode() if scheme.lower() == "bearer" else b""
    if keys and not any(hmac.compare_digest(sent, key.encode()) for key in keys):
        raise Unauthorized("send a valid key as `Authorization: Bearer KEY`", param="authorization")
