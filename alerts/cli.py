"""``towerwatch central``: turn alerts into incidents, and look after the central side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alerts import calendar_cli, rollout_cli
from alerts.areas import cli as areas_cli
from alerts.catalogue import cli as catalogue_cli
from alerts.cli_base import ConfigOption, DataOption, at_the_shell, database_of, say, settings_of
from towerwatch.errors import TowerwatchError

if TYPE_CHECKING:
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
app.add_typer(catalogue_cli.app, name="catalogue")
app.add_typer(areas_cli.app, name="areas")
app.add_typer(areas_cli.roster_app, name="rosters")
app.add_typer(calendar_cli.app, name="calendar")
app.add_typer(rollout_cli.app, name="rollout")

RoleOption = Annotated[str, typer.Option(help="administrator, operator, department, grid_worker or viewer")]
AreaOption = Annotated[str | None, typer.Option(help="Id of the area outside of which nothing is seen.")]
DepartmentOption = Annotated[
    str | None, typer.Option(help="Id of the department whose tasks alone are seen.")
]


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

    settings = settings_of(config, data_dir, "central")
    with database_of(settings) as database, program.alone(database, "consume", "work"):
        workers, senders = program.work_parts(settings, database)
        server, keeper = program.serve_parts(settings, database)
        brokers: list[Part] = [BrokerPart(settings.broker)] if embedded_broker else []
        consumers = program.consume_parts(settings, database, workers)
        _say_password(database)
        _run([*brokers, *senders, *workers, *consumers, keeper, server], lambda: say(f"serving {server.url}"))


@app.command()
def consume(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Take messages from the broker into the inbox."""
    from alerts import program  # noqa: PLC0415

    settings = settings_of(config, data_dir, "central-consume")
    with database_of(settings) as database, program.alone(database, "consume"):
        _run(program.consume_parts(settings, database), lambda: say("consuming"))


@app.command()
def work(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Apply the inbox to incidents, and send webhooks."""
    from alerts import program  # noqa: PLC0415

    settings = settings_of(config, data_dir, "central-work")
    with database_of(settings) as database, program.alone(database, "work"):
        workers, senders = program.work_parts(settings, database)
        _run([*senders, *workers], lambda: say("working"))


@app.command()
def serve(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Serve API and console."""
    from alerts import program  # noqa: PLC0415

    settings = settings_of(config, data_dir, "central-serve")
    with database_of(settings) as database:
        server, keeper = program.serve_parts(settings, database)
        _say_password(database)
        _run([keeper, server], lambda: say(f"serving {server.url}"))


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

    settings = settings_of(config, data_dir)
    if plain:
        settings = settings.model_copy(update={"enrol": settings.enrol.model_copy(update={"tls": False})})
    path = out or Path(f"{edge}.enrol.json")
    with database_of(settings) as database:
        bundle = enrolment.enrol(database, settings, edge, site, again=again, path=path)
    broker = bundle["broker"]
    if "key_pem" in broker:
        say(f"wrote {path}: carry it to the box and delete it here; it holds a key and a token")
        return
    say(f"wrote {path}: carry it to the box and delete it here; it holds a token")
    say(f"no certificate in it: {broker['host']}:{broker['port']} is used without TLS")


@app.command()
def revoke(edge: str, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Refuse a box from now on: its token, what it sends, and at the broker its certificate."""
    from alerts.enrol import revoke as revoke_edge  # noqa: PLC0415

    settings = settings_of(config, data_dir)
    with database_of(settings) as database:
        listed = revoke_edge(database, settings, edge)
    say(f"box {edge} is revoked")
    if listed is not None:
        say(f"copy {listed} to where the broker's crlfile is, and have it read that again: kill -HUP")


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
    authority = Authority(settings_of(config, data_dir).data_dir / "authority")
    authority.open()
    issued, key = authority.issue(name, hosts=tuple(host or ()))
    out.mkdir(parents=True, exist_ok=True)
    (out / "ca.pem").write_text(authority.certificate_pem, encoding="ascii")
    if host:
        shutil.copyfile(authority.revoked_file, out / authority.revoked_file.name)
    (out / f"{name}.pem").write_text(issued, encoding="ascii")
    write_private(out / f"{name}.key", key.encode())
    say(f"wrote ca.pem, {name}.pem and {name}.key to {out}")


@app.command("export-verdicts")
def export_verdicts(
    out: Annotated[Path, typer.Option(help="A folder (with pictures and clips), or a .jsonl file.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Write what people judged, for retraining; schema: ``central schema verdicts``."""
    from alerts import export  # noqa: PLC0415
    from alerts.evidence import BlobStore  # noqa: PLC0415

    settings = settings_of(config, data_dir)
    with database_of(settings) as database:
        count = export.export_verdicts(database, BlobStore(settings.data_dir / "evidence"), out)
    say(f"wrote {count} judged alerts to {out}")


@app.command("export")
def export_incident(
    incident: Annotated[int, typer.Argument(min=1, help="Number of the incident.")],
    out: Annotated[Path, typer.Option(help="A folder for incident.json and the pictures and clips.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    *,
    blurred: Annotated[
        bool, typer.Option("--blurred", help="Blur all but the case, and leave clips out.")
    ] = False,
) -> None:
    """Write one incident with its evidence, to hand it on; the audit notes who took what."""
    from alerts.case_export import export_case  # noqa: PLC0415
    from alerts.evidence import BlobStore  # noqa: PLC0415

    settings = settings_of(config, data_dir)
    store = BlobStore(settings.data_dir / "evidence")
    with database_of(settings) as database:
        went, stayed = export_case(database, store, incident, out, blurred=blurred, by=at_the_shell())
    say(f"wrote {went} files of evidence to {out}; {stayed} stayed here")


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
    say(json.dumps(document, indent=2, ensure_ascii=False))


@user_app.command("add")
def user_add(
    name: str,
    role: RoleOption = "operator",
    area: AreaOption = None,
    department: DepartmentOption = None,
    *,
    sso: Annotated[bool, typer.Option("--sso", help="No password: by the identity provider alone.")] = False,
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Add a person; the password is asked for, or read from standard input."""
    from alerts.services.people import PeopleService  # noqa: PLC0415
    from alerts.services.rights import Within  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        PeopleService(database).create_user(
            name, None if sso else _ask_password(), role, where=Within(area, department), by=at_the_shell()
        )
    say(f"added {name} ({role})")


@user_app.command("list")
def user_list(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print who may log in, with role, area and department."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        for user in PeopleService(database).list_users():
            where = " ".join(part for part in (user.area, user.department) if part)
            say(f"{user.name} {user.role} {where}{' disabled' if user.disabled_at else ''}".rstrip())


@user_app.command("passwd")
def user_passwd(name: str, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Change a password, and end that person's sessions."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        PeopleService(database).set_password(name, _ask_password(), by=at_the_shell())
    say(f"changed the password of {name}")


@token_app.command("create")
def token_create(
    name: str,
    role: RoleOption = "operator",
    *,
    scope: Annotated[list[str] | None, typer.Option(help="A right out of the role's; repeat.")] = None,
    days: Annotated[int | None, typer.Option(help="How long it holds; for ever without it.")] = None,
    area: AreaOption = None,
    department: DepartmentOption = None,
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Print a bearer token for scripts, the only time it can be seen."""
    from alerts.services.people import PeopleService  # noqa: PLC0415
    from alerts.services.rights import Within  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        token = PeopleService(database).create_token(
            name, role, scopes=scope, where=Within(area, department), days=days, by=at_the_shell()
        )
    say(token)


@token_app.command("list")
def token_list(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print the tokens there are, with role, scopes and life; never the tokens themselves."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        for token in PeopleService(database).list_tokens():
            scopes = "all" if token.scopes is None else ",".join(token.scopes)
            ends = f" until {token.expires_at:%Y-%m-%d}" if token.expires_at else ""
            say(f"{token.name} {token.role} {scopes}{ends}{' revoked' if token.revoked_at else ''}")


@token_app.command("revoke")
def token_revoke(name: str, config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """End a token."""
    from alerts.services.people import PeopleService  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        PeopleService(database).revoke_token(name, by=at_the_shell())
    say(f"revoked {name}")


@artifact_app.command("add")
def artifact_add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    config: ConfigOption = None,
    data_dir: DataOption = None,
) -> None:
    """Put a file where boxes can fetch it; print its SHA-256."""
    from alerts.evidence import BlobStore, add_artifact  # noqa: PLC0415

    settings = settings_of(config, data_dir)
    with database_of(settings) as database:
        store = BlobStore(settings.data_dir / "artifacts")
        store.open()
        say(add_artifact(database, store, file))


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
    with database_of(settings_of(config, data_dir)) as database, database.read() as session:
        found = verify(session, end)
    if found.fault is not None:
        msg = f"audit: {found.fault} ({found.rows} rows before it are good)"
        raise TowerwatchError(msg)
    say(f"audit: {found.rows} rows, unbroken; note its end: {found.rows}:{found.head}")


@letters_app.command("list")
def letters_list(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Print what could not be used or applied, and why, as JSON lines."""
    from alerts.inbox import list_dead_letters  # noqa: PLC0415
    from alerts.work import list_parked  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        for item in [*list_dead_letters(database), *list_parked(database)]:
            say(json.dumps(item, ensure_ascii=False))


@letters_app.command("retry")
def letters_retry(config: ConfigOption = None, data_dir: DataOption = None) -> None:
    """Try all of them again, after an upgrade or a repair; failed notifications too."""
    from alerts.inbox import retry_dead_letters  # noqa: PLC0415
    from alerts.outbox import retry_failed  # noqa: PLC0415
    from alerts.work import retry_parked  # noqa: PLC0415

    with database_of(settings_of(config, data_dir)) as database:
        went_in, stay = retry_dead_letters(database)
        parked, failed = retry_parked(database), retry_failed(database)
    say(f"{went_in} dead letters went in, {stay} stay; {parked} parked rows and {failed} notifications again")


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
        say(line)


def _ask_password() -> str:
    stdin = typer.get_text_stream("stdin")
    if stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return stdin.readline().rstrip("\n")
