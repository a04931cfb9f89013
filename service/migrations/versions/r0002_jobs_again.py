"""Jobs are validated, paused, resumed, retried, ordered, forked, and their folders expire."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0002"
down_revision = "0001"

_TIMES = ("validated_at", "attempt_started_at", "expires_at", "gone_at", "not_before")
_NUMBERS = ("priority", "attempt", "retries_left")


def upgrade(op: Operations) -> None:
    """Jobs of before go on as they are: never retried, never removed."""
    for name in _TIMES:
        op.add_column("jobs", sa.Column(name, sa.Float))
    for name in _NUMBERS:
        op.add_column("jobs", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("active_s", sa.Float, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("parent_id", sa.String(40)))
    op.add_column("jobs", sa.Column("parent_step", sa.Integer))
    op.add_column("jobs", sa.Column("reason", sa.Text))
    for name in ("expires_at", "parent_id"):
        op.create_index(f"ix_jobs_{name}", "jobs", [name])
