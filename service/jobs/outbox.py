"""What is to be delivered to webhooks: one row for each message and address, SQLAlchemy Core.

A message that is delivered or given up keeps its row for a while: so it is never added again.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from service.storage import Storage, whole

State = Literal["waiting", "delivered", "given_up"]

_metadata = sa.MetaData()
_deliveries = sa.Table(
    "webhook_deliveries",
    _metadata,
    sa.Column("message_id", sa.String(80), primary_key=True),
    sa.Column("url", sa.String(2048), primary_key=True),
    sa.Column("job_id", sa.String(40), nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("next_at", sa.Float, nullable=False, index=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("problem", sa.Text),
)


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of a job; the same id is always the same message."""

    id: str
    job_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to one address. Times are Unix seconds."""

    message_id: str
    url: str
    body: str
    created_at: float
    tries: int
    """This one included."""


class Outbox(Storage):
    """Async access to the deliveries; any call raises as storage.py says."""

    _name = "the webhook store"
    _tables = (_deliveries,)

    @whole
    async def add(self, message: Message, urls: Iterable[str]) -> None:
        """Queue a message for each address, unless it was queued for it before."""
        for url in urls:
            try:
                async with self._begin() as connection:
                    await connection.execute(_added(message, url))
            except sa.exc.IntegrityError:  # another service added it at the same moment
                continue

    async def known(self, message_ids: Sequence[str]) -> set[str]:
        """Those that were queued for any address."""
        column = _deliveries.c.message_id
        return await self._texts(sa.select(column).where(column.in_(message_ids)))

    async def told_of(self, job_ids: Sequence[str]) -> set[str]:
        """Those jobs that any message is about."""
        column = _deliveries.c.job_id
        return await self._texts(sa.select(column).where(column.in_(job_ids)))

    @whole
    async def claim(self, url: str, *, lease_s: float) -> Delivery | None:
        """The oldest message for an address that is due; nobody else gets it for `lease_s`."""
        now, table = time.time(), _deliveries.c
        due = (table.url == url) & (table.state == "waiting") & (table.next_at <= now)
        oldest = sa.select(table.message_id).where(due).order_by(table.created_at).limit(1)
        # One that another service takes just now is passed by; SQLite has one writer at a time.
        oldest = oldest.with_for_update(skip_locked=True)
        statement = (
            sa.update(_deliveries)
            .where(table.message_id == oldest.scalar_subquery(), due)
            .values(next_at=now + lease_s, tries=table.tries + 1)
            .returning(table.message_id, table.url, table.body, table.created_at, table.tries)
        )
        async with self._begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return Delivery(*row) if row else None

    async def settle(self, delivery: Delivery, state: State, problem: str | None = None) -> None:
        """Nothing more is to be done for it."""
        await self._set(delivery, {"state": state, "problem": problem})

    async def retry(self, delivery: Delivery, delay_s: float, problem: str) -> None:
        """Try again in `delay_s` seconds."""
        await self._set(delivery, {"next_at": time.time() + delay_s, "problem": problem})

    @whole
    async def waiting(self) -> int:
        """Deliveries that are still to be made."""
        query = sa.select(sa.func.count()).where(_deliveries.c.state == "waiting")
        async with self._begin() as connection:
            return int((await connection.execute(query)).scalar_one())

    @whole
    async def forget(self, before: float) -> None:
        """Drop what was queued before that time."""
        async with self._begin() as connection:
            await connection.execute(
                sa.delete(_deliveries).where(_deliveries.c.created_at < before)
            )

    @whole
    async def _set(self, delivery: Delivery, values: Mapping[str, object]) -> None:
        where = (_deliveries.c.message_id == delivery.message_id) & (
            _deliveries.c.url == delivery.url
        )
        async with self._begin() as connection:
            await connection.execute(sa.update(_deliveries).where(where).values(values))

    @whole
    async def _texts(self, query: sa.Select[Any]) -> set[str]:
        async with self._begin() as connection:
            return set((await connection.execute(query)).scalars())


def _added(message: Message, url: str) -> sa.Insert:
    now = time.time()
    values = {
        "message_id": message.id,
        "url": url,
        "job_id": message.job_id,
        "body": message.body,
        "state": "waiting",
        "created_at": now,
        "next_at": now,
        "tries": 0,
    }
    there = sa.exists().where(_deliveries.c.message_id == message.id, _deliveries.c.url == url)
    literals = [
        sa.literal(value, _deliveries.c[name].type).label(name) for name, value in values.items()
    ]
    return sa.insert(_deliveries).from_select(list(values), sa.select(*literals).where(~there))
