"""The components that other tests lean on really start, answer and end."""

from __future__ import annotations

import subprocess

import components


def test_mosquitto_starts_and_ends(mosquitto: components.Mosquitto) -> None:
    assert components.port_open(mosquitto.port)
    mosquitto.stop()
    assert not components.port_open(mosquitto.port)


def test_postgres_gives_each_test_a_database(postgres_url: str, postgres: components.Postgres) -> None:
    assert postgres_url.endswith("/t_test_postgres_gives_each_test_a_database")
    assert components.port_open(postgres.port)


def test_program_runs_our_own_command(tmp_path) -> None:
    done = subprocess.run(
        components.towerwatch("--version"), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("towerwatch ")
