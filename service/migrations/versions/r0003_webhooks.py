"""What is to be delivered to webhooks."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Nothing waits at first."""
    op.create_table(
        "webhook_deliveries",
        sa.Column("message_id", sa.String(80), primary_key=True),
        sa.Column("url", sa.String(2048), primary_key=True),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("problem", sa.Text),
    )
    for name in ("job_id", "next_at"):
        op.create_index(f"ix_webhook_deliveries_{name}", "webhook_deliveries", [name])
