"""The city: its catalogue, its areas and rosters, and what people and tokens may see."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and columns."""
    op.create_table(
        "catalogues",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("imported_at", UTC, nullable=False),
        sa.Column("imported_by", sa.String(length=64), nullable=False),
        sa.Column("size", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogues")),
    )
    _areas()
    for name in ("users", "api_tokens"):
        with op.batch_alter_table(name) as batch:
            batch.add_column(sa.Column("area", sa.String(length=64), nullable=True))
            batch.add_column(sa.Column("department", sa.String(length=64), nullable=True))
    with op.batch_alter_table("api_tokens") as batch:
        batch.add_column(sa.Column("scopes", JSON, nullable=True))
        batch.add_column(sa.Column("expires_at", UTC, nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("api_tokens") as batch:
        batch.drop_column("expires_at")
        batch.drop_column("scopes")
    for name in ("users", "api_tokens"):
        with op.batch_alter_table(name) as batch:
            batch.drop_column("department")
            batch.drop_column("area")
    for name in ("shifts", "incident_areas", "areas", "catalogues"):
        op.drop_table(name)


def _areas() -> None:
    op.create_table(
        "areas",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("zh", sa.String(length=80), nullable=False),
        sa.Column("en", sa.String(length=80), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("geometry", JSON, nullable=False),
        sa.CheckConstraint("level in ('city', 'county', 'township', 'grid')", name=op.f("ck_areas_level")),
        sa.ForeignKeyConstraint(["parent"], ["areas.id"], name=op.f("fk_areas_parent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_areas")),
    )
    op.create_index(op.f("ix_areas_parent"), "areas", ["parent"])
    op.create_index(op.f("ix_areas_generation"), "areas", ["generation"])
    op.create_table(
        "incident_areas",
        sa.Column("incident_id", BIG_ID, nullable=False),
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_incident_areas_incident_id")
        ),
        sa.PrimaryKeyConstraint("incident_id", "area", name=op.f("pk_incident_areas")),
    )
    op.create_index("ix_incident_areas_area_incident_id", "incident_areas", ["area", "incident_id"])
    op.create_table(
        "shifts",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=True),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("contact", sa.String(length=128), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=True),
        sa.Column("days", sa.String(length=32), nullable=False),
        sa.Column("hours", sa.String(length=11), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["area"], ["areas.id"], name=op.f("fk_shifts_area")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shifts")),
    )
    op.create_index(op.f("ix_shifts_area"), "shifts", ["area"])
