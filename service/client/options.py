"""How a client behaves: times, sizes, patience."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Defaults fit a service with default settings; raises ValueError for what cannot work."""

    deadline_s: float = 600.0
    """A whole call, retries included, seconds."""
    idle_timeout_s: float = 180.0
    """Longest silence of a connection, seconds: more than the server's wait for a worker
    (VERISQL_QUEUE_TIMEOUT_S, 60) and its limit for a group (VERISQL_GROUP_TIMEOUT_S, 110)."""
    connect_timeout_s: float = 10.0
    max_connections: int = 64
    """In the pool; further calls wait for a free one."""
    concurrency: int = 4
    """Requests under way for one list of items."""
    items_per_request: int = 256
    """At most VERISQL_MAX_ITEMS (4096); a request that is refused as too large is halved."""
    bytes_per_request: int = 8 * 2**20
    """At most VERISQL_MAX_REQUEST_MB (64 MiB)."""
    tries: int = 8
    """Requests in a row without any answer before the call fails; about 25 s with these pauses."""
    item_tries: int = 4
    """Requests for one item that the service could not judge through no fault of the item."""
    first_pause_s: float = 0.25
    """Before the second try; doubled each time, half of it random."""
    longest_pause_s: float = 15.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, is {getattr(self, name)!r}")
