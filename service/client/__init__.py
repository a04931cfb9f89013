"""Clients of the service's own HTTP API; docs/client.md shows them at work."""

from service.client.aio import AsyncVerifyClient
from service.client.blocking import VerifyClient
from service.client.errors import ServiceError
from service.client.http import Client
from service.client.options import Options
from service.client.patient import PatientClient
from service.client.rewards import rewards
from service.client.wire import Result

__all__ = [
    "AsyncVerifyClient",
    "Client",
    "Options",
    "PatientClient",
    "Result",
    "ServiceError",
    "VerifyClient",
    "rewards",
]
