"""``towerwatch central``: turn alerts into incidents, and look after the central side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alerts import calendar_cli, rollout_cli
from towerwatch.errors import TowerwatchError
from towerwatch.logs import configure_logging

if TYPE_CHECKING:
    from alerts.config import CentralConfig
    from alerts.program import Part
    from alerts.store.database import Database

app = typer.Typer(no_args_is_help=True, help="Turn alerts into incidents: up, consume, work, serve.")
user_app = typer.Typer(no_args_is_help=True, help="People who may log in.")
token_app = typer.Typer(no_args_is_help=True, help="Bearer tokens for scripts.")
artifact_app = typer.Typer(no_args_is_help=True, help="Models and configurations for boxes.")
letters_app = typer.Typer(no_args_is_help=True, help="Messages that could not be used.")
audit_app = typer.Typer(no_args_is_help=True, help="The chain of all changes.")
app.add_typer(user_app, name="user")
app.add_typer(token_app, name="token")
app.add_typer(artifact_app, name="artifact")
app.add_typer(letters_app, name="dead-letters")
app.add_typer(audit_app, name="audit")
app.add_typer(calendar_cli.app, name="calendar")
app.add_typer(rollout_cli.app, name="rollout")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file; without one all defaults hold.")
]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Overrides data_dir of the file.")]


@app.command()
def up(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    *,
    embedded_broker: Annotated[
        bool, typer.Option("--embedded-broker", help="Run an MQTT broker too: loopback, for a try-out.")
    ] = False,
) -> None:
    """Run everything in one process: consume, work and serve."""
    from alerts import program  # noqa: PLC0415 - help must not load the web stack
    from alerts.broker_part import BrokerPart  # noqa: PLC0415

    settings = _settings(config, data_dir, "central")
    with _database(settings) as database, program.alone(database, "consume", "work"):
        workers, senders = program.work_parts(settings, database)
        server, keeper = program.serve_parts(settings, database)
        brokers: list[Part] = [BrokerPart(settings.broker)] if embedded_broker else []
        consumers = program.consume_parts(settings, database, workers)
        _say_password(database)
        _run(
            [*brokers, *senders, *workers, *consumers, keeper, server], lambda: _say(f"serving {server.url}")
        )


@app.command()
def consume(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Take messages from the broker into the inbox."""
    from alerts import program  # noqa: PLC0415

    settings = _settings(config, data_dir, "central-consume")
    with _database(settings) as database, program.alone(database, "consume"):
        _run(program.consume_parts(settings, database), lambda: _say("consuming"))


@app.command()
def work(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Apply the inbox to incidents, and send webhooks."""
    from alerts import program  # noqa: PLC0415

    settings = _settings(config, data_dir, "central-work")
    with _database(settings) as database, program.alone(database, "work"):
        workers, senders = program.work_parts(settings, database)
        _run([*senders, *workers], lambda: _say("working"))


@app.command()
def serve(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Serve API and console."""
    from alerts import program  # noqa: PLC0415

    settings = _settings(config, data_dir, "central-serve")
    with _database(settings) as database:
        server, keeper = program.serve_parts(settings, database)
        _say_password(database)
        _run([keeper, server], lambda: _say(f"serving {server.url}"))


@app.command()
def enrol(
    edge: str,
    site: Annotated[str, typer.Option(help="Id of the site that the box belongs to.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default EDGE.enrol.json.")] = None,
    *,
    again: Annotated[bool, typer.Option("--again", help="Replace token and certificate.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="No certificate: a broker without TLS.")] = False,
) -> None:
    """Write the one file that a box needs: ids, addresses, certificate, key, authority, token."""
    from alerts import enrol as enrolment  # noqa: PLC0415

    settings = _settings(config, data_dir)
    if plain:
        settings = settings.model_copy(update={"enrol": settings.enrol.model_copy(update={"tls": False})})
    path = out or Path(f"{edge}.enrol.json")
    with _database(settings) as database:
        bundle = enrolment.enrol(database, settings, edge, site, again=again, path=path)
    broker = bundle["broker"]
    if "key_pem" in broker:
        _say(f"wrote {path}: carry it to the box and delete it here; it holds a key and a token")
        return
    _say(f"wrote {path}: carry it to the box and delete it here; it holds a token")
    _say(f"no certificate in it: {broker['host']}:{broker['port']} is used without TLS")


@app.command()
def revoke(edge: str, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Refuse a box from now on: its token, and what it sends. Take its certificate from the broker too."""
    from alerts.enrol import revoke as revoke_edge  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        revoke_edge(database, edge)
    _say(f"box {edge} is revoked")


@app.command()
def certificate(
    name: Annotated[str, typer.Argument(help="Common name and file name: broker, towerwatch-central, …")],
    out: Annotated[Path, typer.Option(help="Folder for ca.pem, NAME.pem and NAME.key.")],
    host: Annotated[
        list[str] | None, typer.Option(help="A server's name or address; repeat. Without it: a client.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Issue a certificate of central's own authority: for the broker, for HTTPS, or for central itself."""
    from alerts.enrol import Authority, write_private  # noqa: PLC0415

    if "/" in name or name.startswith("."):
        msg = f"name {name!r}: it becomes a file name"
        raise typer.BadParameter(msg)
    authority = Authority(_settings(config, data_dir).data_dir / "authority")
    authority.open()
    issued, key = authority.issue(name, hosts=tuple(host or ()))
    out.mkdir(parents=True, exist_ok=True)
    (out / "ca.pem").write_text(authority.certificate_pem, encoding="ascii")
    (out / f"{name}.pem").write_text(issued, encoding="ascii")
    write_private(out / f"{name}.key", key.encode())
    _say(f"wrote ca.pem, {name}.pem and {name}.key to {out}")


@app.command("export-verdicts")
def export_verdicts(
    out: Annotated[Path, typer.Option(help="A folder (with pictures and clips), or a .jsonl file.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Write what people judged, for retraining; schema: ``central schema verdicts``."""
    from alerts import export  # noqa: PLC0415
    from alerts.evidence import BlobStore  # noqa: PLC0415

    settings = _settings(config, data_dir)
    with _database(settings) as database:
        count = export.export_verdicts(database, BlobStore(settings.data_dir / "evidence"), out)
    _say(f"wrote {count} judged alerts to {out}")


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="messages, verdicts or api")] = "messages",
) -> None:
    """Print the JSON Schema of the wire contract or of the export, or the API's OpenAPI."""
    document: Any
    if what == "messages":
        from alerts.messages import json_schema  # noqa: PLC0415

        document = json_schema()
    elif what == "verdicts":
        from alerts.export import VerdictRecord  # noqa: PLC0415

        document = VerdictRecord.model_json_schema()
    elif what == "api":
        from alerts.http.app import openapi_document  # noqa: PLC0415

        document = openapi_document()
    else:
        msg = f"{what!r}: write messages, verdicts or api"
        raise typer.BadParameter(msg)
    _say(json.dumps(document, indent=2, ensure_ascii=False))


@user_app.command("add")
def user_add(
    name: str,
    role: Annotated[str, typer.Option(help="administrator, operator or viewer")] = "operator",
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Add a person; the password is asked for, or read from standard input."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        PeopleService(database).create_user(name, _ask_password(), role)
    _say(f"added {name} ({role})")


@user_app.command("passwd")
def user_passwd(name: str, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Change a password, and end that person's sessions."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        PeopleService(database).set_password(name, _ask_password())
    _say(f"changed the password of {name}")


@token_app.command("create")
def token_create(
    name: str,
    role: Annotated[str, typer.Option(help="administrator, operator or viewer")] = "operator",
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Print a bearer token for scripts, the only time it can be seen."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        _say(PeopleService(database).create_token(name, role))


@token_app.command("revoke")
def token_revoke(name: str, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """End a token."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        PeopleService(database).revoke_token(name)
    _say(f"revoked {name}")


@artifact_app.command("add")
def artifact_add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Put a file where boxes can fetch it; print its SHA-256."""
    from alerts.evidence import BlobStore, add_artifact  # noqa: PLC0415

    settings = _settings(config, data_dir)
    with _database(settings) as database:
        store = BlobStore(settings.data_dir / "artifacts")
        store.open()
        _say(add_artifact(database, store, file))


@audit_app.command("verify")
def audit_verify(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    known: Annotated[
        str | None,
        typer.Option(help="An end that was noted before, SEQ:HASH: the chain must hold it."),
    ] = None,
) -> None:
    """Read the whole audit: is every change there, in its order, as it was written? Exit 1 if not."""
    from alerts.store.audit import parse_end, verify  # noqa: PLC0415

    end = parse_end(known) if known is not None else None
    with _database(_settings(config, data_dir)) as database, database.read() as session:
        found = verify(session, end)
    if found.fault is not None:
        msg = f"audit: {found.fault} ({found.rows} rows before it are good)"
        raise TowerwatchError(msg)
    _say(f"audit: {found.rows} rows, unbroken; note its end: {found.rows}:{found.head}")


@letters_app.command("list")
def letters_list(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print what could not be used or applied, and why, as JSON lines."""
    from alerts.inbox import list_dead_letters  # noqa: PLC0415
    from alerts.work import list_parked  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        for item in [*list_dead_letters(database), *list_parked(database)]:
            _say(json.dumps(item, ensure_ascii=False))


@letters_app.command("retry")
def letters_retry(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Try all of them again, after an upgrade or a repair; failed notifications too."""
    from alerts.inbox import retry_dead_letters  # noqa: PLC0415
    from alerts.outbox import retry_failed  # noqa: PLC0415
    from alerts.work import retry_parked  # noqa: PLC0415

    with _database(_settings(config, data_dir)) as database:
        went_in, stay = retry_dead_letters(database)
        parked, failed = retry_parked(database), retry_failed(database)
    _say(
        f"{went_in} dead letters went in, {stay} stay; {parked} parked rows and {failed} notifications again"
    )


def _settings(config: Path | None, data_dir: Path | None, service: str | None = None) -> CentralConfig:
    """Read the configuration; a service logs what it does, a single command only what is wrong."""
    from alerts.config import load_config  # noqa: PLC0415

    configure_logging(service or "central", level="INFO" if service else "WARNING")
    return load_config(config, data_dir)


@contextmanager
def _database(settings: CentralConfig) -> Iterator[Database]:
    from alerts.program import open_database  # noqa: PLC0415

    database = open_database(settings)
    try:
        yield database
    finally:
        database.close()


def _run(parts: Sequence[Part], on_ready: Callable[[], None]) -> None:
    from alerts.program import Program  # noqa: PLC0415

    code = Program(parts).run(on_ready)
    if code:
        msg = "a part died or did not stop in time; the log says which"
        raise TowerwatchError(msg)


def _say_password(database: Database) -> None:
    from alerts.program import first_password  # noqa: PLC0415

    line = first_password(database)
    if line is not None:
        _say(line)


def _say(line: str) -> None:
    typer.echo(line)
    typer.get_text_stream("stdout").flush()


def _ask_password() -> str:
    stdin = typer.get_text_stream("stdin")
    if stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return stdin.readline().rstrip("\n")
