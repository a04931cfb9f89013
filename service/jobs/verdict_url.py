"""Where a job's verdicts may come from: the address of a VeriSQL service, and its key; pure.

The trainer calls that address and sends it the key, so a service lets jobs name none but those of
VERISQL_VERIFY_URLS.
"""

from urllib.parse import urlsplit

KEY_VARIABLE = "VERISQL_VERIFY_KEY"
"""Where a trainer finds the key of the service that it asks; never in a spec, which is shown."""
LONGEST_URL = 2048
_CALLS = ("/verify/batch", "/verify")
_WANTED = "must be http://HOST[:PORT][/PATH] or https://..., of printable ASCII without blanks"


def service_url(text: str) -> str:
    """The address without what may stand at its end (`/`, `/verify`); equal for equal services.

    Raises ValueError, which repeats nothing of the address: it may hold a password.
    """
    if not (text.isascii() and text.isprintable()) or " " in text or "\\" in text:
        raise ValueError(_WANTED)
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets without an address, a port that is no number
        sound = False
    if not sound or "?" in text or "#" in text:
        raise ValueError(f"{_WANTED}; nothing stands behind the path")
    if "@" in parts.netloc:
        raise ValueError(f"must hold no user and no password: the key is {KEY_VARIABLE}")
    return f"{parts.scheme}://{parts.netloc.lower()}{_root(parts.path)}"


def service_urls(text: str) -> tuple[str, ...]:
    """Those of VERISQL_VERIFY_URLS, commas between them; raises ValueError."""
    try:
        found = [service_url(url.strip()) for url in text.split(",") if url.strip()]
    except ValueError as error:
        raise ValueError(f"VERISQL_VERIFY_URLS: each address {error}") from None
    return tuple(dict.fromkeys(found))


def checked_key(key: str | None) -> str | None:
    """The key without blanks around it; raises ValueError for one that no HTTP header takes.

    The message repeats nothing of it.
    """
    if key is None:
        return None
    bare = key.strip()
    if not (bare and bare.isascii() and bare.isprintable()):
        raise ValueError(f"{KEY_VARIABLE} is empty or has characters that no HTTP header takes")
    return bare


def _root(path: str) -> str:
    path = path.rstrip("/")
    called = next((call for call in _CALLS if path.endswith(call)), "")
    return path.removesuffix(called).rstrip("/")
