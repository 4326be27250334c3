"""Tables of the city: its catalogue, its areas, and who is on duty.

::

    catalogues                      one row a version
    areas (a tree) 1-n shifts       city, county, township, grid; who is on duty where and when
               n-n incidents        incident_areas: every area that an incident lies in, of any level
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from alerts.store.base import Base, BigId, Digest, IdText


class CatalogueRow(Base):
    """One imported catalogue, whole."""

    __tablename__ = "catalogues"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(Digest)
    imported_at: Mapped[datetime]
    imported_by: Mapped[str] = mapped_column(String(64))
    size: Mapped[str] = mapped_column(String(80))
    body: Mapped[str] = mapped_column(Text)


class Area(Base):
    """A city, county, township or grid cell."""

    __tablename__ = "areas"
    __table_args__ = (CheckConstraint("level in ('city', 'county', 'township', 'grid')", name="level"),)

    id: Mapped[str] = mapped_column(IdText, primary_key=True)
    level: Mapped[str] = mapped_column(String(8))
    zh: Mapped[str] = mapped_column(String(80))
    en: Mapped[str] = mapped_column(String(80))
    parent: Mapped[str | None] = mapped_column(ForeignKey("areas.id"), index=True)
    generation: Mapped[int] = mapped_column(index=True)  # of the import that it came with, counted up
    geometry: Mapped[dict[str, Any]]  # GeoJSON, WGS 84


class IncidentArea(Base):
    """An incident lies in an area; one row for each level."""

    __tablename__ = "incident_areas"
    __table_args__ = (Index("ix_incident_areas_area_incident_id", "area", "incident_id"),)

    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    area: Mapped[str] = mapped_column(IdText, primary_key=True)


class Shift(Base):
    """Somebody is on duty in an area: on some days of the week, at some hours, between two dates."""

    __tablename__ = "shifts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    area: Mapped[str] = mapped_column(ForeignKey("areas.id"), index=True)
    department: Mapped[str | None] = mapped_column(IdText)  # None: the grid worker of the place
    person: Mapped[str] = mapped_column(String(64))
    contact: Mapped[str] = mapped_column(String(128))
    user_name: Mapped[str | None] = mapped_column(String(64))
    days: Mapped[str] = mapped_column(String(32))  # "mon,tue"; empty is every day
    hours: Mapped[str] = mapped_column(String(11))  # "08:00-20:00", "20:00-08:00"; empty is all day
    first_day: Mapped[date | None] = mapped_column(Date)
    last_day: Mapped[date | None] = mapped_column(Date)
