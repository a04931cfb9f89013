"""Jobs, answers, feedback and verified queries, as they were before there were revisions.

A store of that time may lack some of the tables, since each was made by its own part of the program
at its first start; and what was killed in that may lack an index.
"""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0001"
down_revision = None

_JSON = sa.JSON()
_INDEXES = (
    ("jobs", "status"),
    ("answers", "created_at"),
    ("feedback", "db_id"),
    ("verified_queries", "db_id"),
    ("verified_queries", "question_key"),
)


def upgrade(op: Operations) -> None:
    """Make what is missing."""
    _version(op)
    _jobs(op)
    _answers(op)
    _feedback(op)
    _verified_queries(op)
    for table, column in _INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)


def _version(op: Operations) -> None:
    """Programs from before revisions know schema 1 and refuse any other: so they keep away."""
    op.create_table(
        "schema_version",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        if_not_exists=True,
    )
    op.execute("DELETE FROM schema_version")
    op.execute("INSERT INTO schema_version (id, version) VALUES (1, 2)")


def _jobs(op: Operations) -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("spec", _JSON, nullable=False),
        sa.Column("spec_sha256", sa.String(64), nullable=False),
        sa.Column("run_dir", sa.String(4096), nullable=False),
        sa.Column("idempotency_key", sa.String(255), unique=True),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("wish", sa.String(16)),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("stopping_since", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("stage", sa.String(64)),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("eta_s", sa.Float),
        sa.Column("error", _JSON),
        sa.Column("best_checkpoint", sa.Integer),
        sa.Column("handle", _JSON),
        if_not_exists=True,
    )


def _answers(op: Operations) -> None:
    op.create_table(
        "answers",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("db_id", sa.Text, nullable=False),
        sa.Column("database_sha256", sa.String(64), nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("sql", sa.Text),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("prompt_sha256", sa.String(64), nullable=False),
        sa.Column("verified_query_id", sa.String(40)),
        sa.Column("follow_up", sa.Boolean, nullable=False),
        if_not_exists=True,
    )


def _feedback(op: Operations) -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("answer_id", sa.String(40), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("db_id", sa.String(500), nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("answer_sql", sa.Text),
        sa.Column("rating", sa.String(16), nullable=False),
        sa.Column("sql", sa.Text),
        sa.Column("comment", sa.Text),
        sa.Column("given_by", sa.String(64)),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("verified_query_id", sa.String(40)),
        sa.UniqueConstraint("answer_id", "number"),
        if_not_exists=True,
    )


def _verified_queries(op: Operations) -> None:
    op.create_table(
        "verified_queries",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("db_id", sa.String(500), nullable=False),
        sa.Column("database_sha256", sa.String(64), nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("question_key", sa.String(64), nullable=False),
        sa.Column("sql", sa.Text, nullable=False),
        sa.Column("reads", _JSON, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("feedback_id", sa.String(40), nullable=False),
        sa.Column("verified_by", sa.String(64)),
        sa.Column("verified_at", sa.Float, nullable=False),
        sa.Column("withdrawn_by", sa.String(40)),
        if_not_exists=True,
    )
