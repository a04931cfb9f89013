"""Who receives webhooks: addresses and keys as settings have them; pure."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from service.jobs.signature import read_keys

_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Receivers:
    """Each of the addresses gets every message, signed with each of the keys."""

    urls: tuple[str, ...]
    keys: tuple[bytes, ...]


def read_receivers(urls: str, secret: str) -> Receivers | None:
    """From VERISQL_WEBHOOK_URLS and VERISQL_WEBHOOK_SECRET; None without an address.

    Raises ValueError, which names the variable and repeats nothing of a key.
    """
    found = tuple(dict.fromkeys(url.strip() for url in urls.split(",") if url.strip()))
    for url in found:
        _check(url)
    try:
        keys = read_keys(secret)
    except ValueError as error:
        raise ValueError(f"VERISQL_WEBHOOK_SECRET: {error}") from None
    if found and not keys:
        raise ValueError("VERISQL_WEBHOOK_URLS is set, VERISQL_WEBHOOK_SECRET is not: set both")
    return Receivers(found, keys) if found else None


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets without an address, a port that is no number
        sound = False
    if not sound or len(url) > _LONGEST:
        raise ValueError(
            f"VERISQL_WEBHOOK_URLS: {url[:200]!r} must be http://HOST/... or https://HOST/..., "
            f"at most {_LONGEST} characters"
        )
