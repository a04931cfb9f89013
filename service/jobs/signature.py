"""Signatures of webhooks as the Standard Webhooks specification has them (v1, HMAC-SHA256); pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a key


def read_keys(text: str) -> tuple[bytes, ...]:
    """Keys from `whsec_BASE64`, several with a comma between; the prefix may be left out.

    Raises ValueError, which repeats nothing of a key.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(_key(number, part) for number, part in enumerate(parts, 1))


def _key(number: int, text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f'key {number} is not Base64; make one with: echo "{_PREFIX}$(openssl rand -base64 32)"'
        ) from None
    if not _LEAST <= len(key) <= _MOST:
        raise ValueError(
            f"key {number} has {len(key)} bytes; it must have {_LEAST} to {_MOST} before Base64"
        )
    return key


def signed_headers(
    keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers; one signature for each key, so that a key can be changed without a gap.

    `timestamp` is in Unix seconds, of this try: receivers refuse old ones.
    """
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
