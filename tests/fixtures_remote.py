"""What the tests of verdicts over HTTP share: the service as a process, and a run beside it."""

from pathlib import Path

from service.sandbox.limits import Limits
from tests.test_serve import Service
from trainer.files import COPIES
from trainer.verifier_thread import VerifierThread

KEY = "between-us"
LISTED = "http://reward:8000"
QUERY_TIMEOUT_S = 0.5
DEMO = "alpine_retail"
COUNT = "SELECT count(*) FROM store"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def judging_service(home: Path, port: int = 0, **environment: str) -> Service:
    """A service without a model, that asks for KEY and has settings that no run has."""
    settings = {
        "VERISQL_API_KEYS": KEY,
        "VERISQL_WORKERS": "1",
        "VERISQL_REJECT_FLAGS": "constant_only,order_ignored",
        "VERISQL_QUERY_TIMEOUT_S": "600",
        "VERISQL_VERIFY_URLS": LISTED,
    }
    started = Service(home, port, **(settings | environment))
    started.wait_until_ready()
    return started


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


def in_process(home: Path, copies: Path) -> VerifierThread:
    """The verifier of a run on the databases of that service's home; not started yet."""
    limits = Limits(query_timeout_s=QUERY_TIMEOUT_S)
    return VerifierThread(
        [home / "databases"], workers=1, limits=limits, copies_path=copies / COPIES
    )
