"""The central database: tables, engine, migrations."""
