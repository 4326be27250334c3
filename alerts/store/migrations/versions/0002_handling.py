"""From recognition to closure: states, tasks, pictures, the audit chain, and what retention needs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BEFORE = "state in ('detected', 'to_verify', 'confirmed', 'dismissed', 'closed')"
NOW = (
    "state in ('detected', 'to_verify', 'filed', 'dispatched', 'accepted', 'on_site', 'handled', "
    "'to_check', 'dismissed', 'closed', 'evaluated')"
)
ADDED = ("state_at", "filed_at", "closed_at", "due_at", "round", "score", "merged_into", "look_at")


def upgrade() -> None:
    """Map the states, and make what is new."""
    _check(None)
    with op.batch_alter_table("incidents") as batch:
        batch.add_column(sa.Column("state_at", UTC, nullable=True))
        for name in ("filed_at", "closed_at", "due_at", "look_at"):
            batch.add_column(sa.Column(name, UTC, nullable=True))
        batch.add_column(sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
        batch.add_column(sa.Column("score", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("merged_into", BIG_ID, nullable=True))
    _rename_state("confirmed", "filed")
    op.execute("UPDATE incidents SET state_at = updated_at")
    for column, action, states in (
        ("filed_at", "confirm", "'filed', 'closed'"),
        ("closed_at", "close", "'closed'"),
    ):
        op.execute(
            f"UPDATE incidents SET {column} = (SELECT max(timeline.at) FROM timeline "  # noqa: S608 - our own words
            f"WHERE timeline.incident_id = incidents.id AND timeline.action = '{action}') "
            f"WHERE state IN ({states})"
        )
    with op.batch_alter_table("incidents") as batch:
        batch.alter_column("state_at", existing_type=UTC, nullable=False)
        batch.alter_column("round", existing_type=sa.Integer(), existing_nullable=False, server_default=None)
        batch.create_foreign_key("fk_incidents_merged_into", "incidents", ["merged_into"], ["id"])
        batch.create_index("ix_incidents_due_at", ["due_at"])
        batch.create_index("ix_incidents_look_at", ["look_at"])
    _check(NOW)
    _tasks()
    _pictures()
    _audit()
    with op.batch_alter_table("evidence_blobs") as batch:
        batch.add_column(sa.Column("deleted_at", UTC, nullable=True))
    with op.batch_alter_table("commands") as batch:
        batch.add_column(sa.Column("incident_id", BIG_ID, nullable=True))
        batch.add_column(sa.Column("settled_at", UTC, nullable=True))
        batch.create_foreign_key("fk_commands_incident_id", "incidents", ["incident_id"], ["id"])
        batch.create_index("ix_commands_unsettled", ["incident_id", "settled_at"])
        batch.create_index("ix_commands_sent_at", ["sent_at"])
    op.create_index("ix_dead_letters_topic_last_at", "dead_letters", ["topic", "last_at"])
    op.drop_index("ix_inbox_work", "inbox")
    op.create_index("ix_inbox_work", "inbox", ["state", "id"])


def downgrade() -> None:
    """Take it back; what was dispatched counts as confirmed, what was evaluated as closed."""
    op.drop_index("ix_inbox_work", "inbox")
    op.create_index("ix_inbox_work", "inbox", ["state", "next_try_at", "id"])
    op.drop_index("ix_dead_letters_topic_last_at", "dead_letters")
    with op.batch_alter_table("commands") as batch:
        batch.drop_index("ix_commands_sent_at")
        batch.drop_index("ix_commands_unsettled")
        batch.drop_constraint("fk_commands_incident_id", type_="foreignkey")
        batch.drop_column("settled_at")
        batch.drop_column("incident_id")
    with op.batch_alter_table("evidence_blobs") as batch:
        batch.drop_column("deleted_at")
    for table in ("audit_head", "audit", "incident_pictures", "tasks"):
        op.drop_table(table)
    _check(None)
    with op.batch_alter_table("incidents") as batch:
        batch.drop_index("ix_incidents_look_at")
        batch.drop_index("ix_incidents_due_at")
        batch.drop_constraint("fk_incidents_merged_into", type_="foreignkey")
        for name in ADDED:
            batch.drop_column(name)
    for state in ("filed", "dispatched", "accepted", "on_site", "handled", "to_check"):
        _rename_state(state, "confirmed")
    _rename_state("evaluated", "closed")
    _check(BEFORE)


def _check(condition: str | None) -> None:
    """Replace what the column of states may hold; None lets it hold anything."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("incidents", recreate="always") as batch:
            if condition is None:
                batch.drop_constraint(op.f("ck_incidents_state"), type_="check")
            else:
                batch.create_check_constraint("state", condition)
    elif condition is None:
        op.drop_constraint(op.f("ck_incidents_state"), "incidents", type_="check")
    else:
        op.create_check_constraint("state", "incidents", condition)


def _rename_state(old: str, new: str) -> None:
    for table, column in (("incidents", "state"), ("timeline", "from_state"), ("timeline", "to_state")):
        op.execute(f"UPDATE {table} SET {column} = '{new}' WHERE {column} = '{old}'")  # noqa: S608 - our own words


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("assigned_at", UTC, nullable=False),
        sa.Column("assigned_by", sa.String(length=64), nullable=False),
        *(sa.Column(name, UTC, nullable=True) for name in ("accepted_at", "arrived_at", "ended_at")),
        *(sa.Column(f"{stage}_limit", sa.String(length=24)) for stage in ("accept", "arrive", "close")),
        *(sa.Column(f"{stage}_due_at", UTC, nullable=True) for stage in ("accept", "arrive", "close")),
        sa.Column("paused_at", UTC, nullable=True),
        sa.Column("pause_reason", sa.String(length=512), nullable=True),
        sa.Column("reminded", sa.Integer(), nullable=False),
        sa.Column("remind_at", UTC, nullable=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state in ('assigned', 'accepted', 'on_site', 'handled', 'declined', 'withdrawn')",
            name=op.f("ck_tasks_state"),
        ),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_tasks_incident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        sa.UniqueConstraint(
            "incident_id", "department", "number", name=op.f("uq_tasks_incident_id_department_number")
        ),
    )
    op.create_index("ix_tasks_department_state", "tasks", ["department", "state"])
    op.create_index(op.f("ix_tasks_remind_at"), "tasks", ["remind_at"])


def _pictures() -> None:
    op.create_table(
        "incident_pictures",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("task_id", BIG_ID, nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.CheckConstraint("role in ('proof', 'look_again')", name=op.f("ck_incident_pictures_role")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_incident_pictures_incident_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_incident_pictures_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_pictures")),
        sa.UniqueConstraint(
            "incident_id", "sha256", "task_id", name=op.f("uq_incident_pictures_incident_id_sha256_task_id")
        ),
    )
    op.create_index(op.f("ix_incident_pictures_sha256"), "incident_pictures", ["sha256"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=192), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.execute(f"INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '{'0' * 64}')")  # noqa: S608 - our own words
