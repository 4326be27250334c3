"""People and scripts: passwords, sessions, API tokens. Only digests of tokens are kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from alerts.catalogue.model import department_id
from alerts.services.errors import Conflict, Invalid, LoginRefused, NotFound, TooManyLogins
from alerts.services.rights import EVERYWHERE, ROLE_RIGHTS, Right, Within
from alerts.services.views import AccountView, SessionView, TokenView, UserView
from alerts.store import audit, journal
from alerts.store.city import Area
from alerts.store.database import Database
from alerts.store.tables import ApiToken, LoginFailure, User, UserSession
from alerts.texts import ROLES
from towerwatch.secrets import register
from towerwatch.timebase import utc_now

ADMIN = "admin"
SESSION_LIFE = timedelta(hours=12)
MIN_PASSWORD = 10
MAX_PASSWORD = 1024
MAX_TOKEN_DAYS = 3650
MAX_TOKEN_NAME = 58  # who acts by one is written down as token:NAME, in 64 characters
SHELL = "shell"  # whoever runs a command on central's own machine
# a person mistypes a few times; a guesser gets 10 tries in 10 minutes for one name, 100 for all names. Both
# count by address: a limit by the name alone would let anybody lock anybody out
FAILURES_ALLOWED = 10
FAILURES_FROM_ADDRESS = 100
FAILURE_WINDOW = timedelta(minutes=10)
_NAME = re.compile(r"^[\w.@-]{1,64}$")


class PeopleService:
    """Who may come in."""

    def __init__(self, database: Database) -> None:
        """Keep the database; passwords use argon2id with the library's current parameters."""
        self._database = database
        self._hasher = PasswordHasher()
        # verified when the name is unknown, so that the answer takes as long as for a known one
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def login(self, name: str, password: str, address: str) -> SessionView:
        """Open a session for who knows the password; ``address`` is where the request came from.

        Raises:
            TooManyLogins: this address has failed too often lately, for the name or for many names.
            LoginRefused: name or password is wrong, or the user is disabled.

        """
        name = name[:64]
        self._check(name, password, address)
        return self._open_session(name, address[:64])

    def login_vouched(self, name: str, address: str) -> SessionView:
        """Open a session for whom an identity provider vouches; raise LoginRefused without an account."""
        with self._database.read() as session:
            user = session.scalar(select(User).where(User.name == name, User.disabled_at.is_(None)))
        if user is None:
            msg = f"{name[:64]} has no account here"
            raise LoginRefused(msg)
        return self._open_session(name, address[:64])

    def _check(self, name: str, password: str, address: str) -> None:
        """Let a right password pass; count a wrong one against the name and the address that it came from."""
        address = address[:64]
        self._throttle(name, address)
        with self._database.read() as session:
            user = session.scalar(select(User).where(User.name == name, User.disabled_at.is_(None)))
            known, stored = (user is not None, user.password_hash if user else self._nobody)
        if not self._matches(stored, password[:MAX_PASSWORD]) or not known:
            with self._database.write() as session:
                session.add(LoginFailure(name=name, address=address, at=utc_now()))
            msg = "name or password is wrong"
            raise LoginRefused(msg)

    def user_of_session(self, token: str) -> UserView | None:
        """Return who a session cookie belongs to; None when it is unknown, expired or disabled."""
        with self._database.read() as session:
            user = session.scalar(
                select(User)
                .join(UserSession, UserSession.user_id == User.id)
                .where(
                    UserSession.token_hash == digest(token),
                    UserSession.expires_at > utc_now(),
                    User.disabled_at.is_(None),
                )
            )
            return _user_view(user) if user else None

    def csrf_matches(self, token: str, csrf: str) -> bool:
        """Say whether ``csrf`` is the one handed out with this session."""
        with self._database.read() as session:
            row = session.get(UserSession, digest(token))
            return row is not None and secrets.compare_digest(row.csrf, digest(csrf))

    def logout(self, token: str) -> None:
        """End a session; an unknown one is no error."""
        with self._database.write() as session:
            session.execute(delete(UserSession).where(UserSession.token_hash == digest(token)))

    def user_of_token(self, token: str) -> UserView | None:
        """Return who a script's bearer token speaks for; None when unknown, revoked or expired."""
        with self._database.read() as session:
            row = session.get(ApiToken, digest(token))
        if row is None or row.revoked_at or (row.expires_at and row.expires_at <= utc_now()):
            return None
        rights = ROLE_RIGHTS[row.role]
        if row.scopes is not None:
            rights = rights & frozenset(map(Right, row.scopes))
        return UserView(
            name=f"token:{row.name}",
            role=row.role,
            rights=tuple(sorted(rights)),
            area=row.area,
            department=row.department,
        )

    def create_token(
        self,
        name: str,
        role: str = "operator",
        *,
        scopes: Sequence[str] | None = None,
        where: Within = EVERYWHERE,
        days: int | None = None,
        by: str = SHELL,
    ) -> str:
        """Make a bearer token for a script and return it, the only time it can be seen.

        Args:
            name: who it is for, in timeline and audit.
            role: what it may do at most.
            scopes: the rights out of those of the role that it gets; None is all of them.
            where: the area or department that it sees.
            days: how long it holds; None is until it is revoked.
            by: who makes it, for the audit.

        Raises:
            Conflict: the name is taken.
            Invalid: a bad name, role, scope, place or life.

        """
        _check_name(name)
        if len(name) > MAX_TOKEN_NAME:
            msg = f"name of {len(name)} characters; at most {MAX_TOKEN_NAME}"
            raise Invalid(msg)
        _check_role(role, where)
        _check_scopes(role, scopes)
        if days is not None and not 1 <= days <= MAX_TOKEN_DAYS:
            msg = f"{days} days: from 1 to {MAX_TOKEN_DAYS}"
            raise Invalid(msg)
        token = "twt_" + secrets.token_urlsafe(32)
        register(token)
        now = utc_now()
        with self._database.write() as session:
            if session.scalar(select(ApiToken).where(ApiToken.name == name)) is not None:
                raise Conflict.of("token_there", name=name)
            _check_area(session, where)
            row = ApiToken(
                token_hash=digest(token),
                name=name,
                role=role,
                scopes=sorted(scopes) if scopes is not None else None,
                area=where.area,
                department=where.department,
                created_at=now,
                expires_at=now + timedelta(days=days) if days is not None else None,
            )
            session.add(row)
            about = {"role": role, "scopes": row.scopes, "area": row.area, "department": row.department}
            audit.record(session, by, "token create", f"token {name}", about)
        return token

    def revoke_token(self, name: str, *, by: str = SHELL) -> None:
        """End a token for good; raise :class:`NotFound` when there is none of that name."""
        with self._database.write() as session:
            row = session.scalar(select(ApiToken).where(ApiToken.name == name))
            if row is None:
                raise NotFound.of("no_token", name=name)
            row.revoked_at = utc_now()
            audit.record(session, by, "token revoke", f"token {name}")

    def list_tokens(self) -> tuple[TokenView, ...]:
        """List tokens by name, the revoked ones too."""
        with self._database.read() as session:
            rows = session.scalars(select(ApiToken).order_by(ApiToken.name)).all()
        return tuple(TokenView.model_validate(row, from_attributes=True) for row in rows)

    def list_users(self) -> tuple[AccountView, ...]:
        """List people by name, the disabled ones too."""
        with self._database.read() as session:
            rows = session.scalars(select(User).order_by(User.name)).all()
        return tuple(map(_account_view, rows))

    def create_user(
        self,
        name: str,
        password: str | None,
        role: str = "operator",
        *,
        where: Within = EVERYWHERE,
        by: str = SHELL,
    ) -> AccountView:
        """Add a person; one without a password comes in by an identity provider alone.

        Raises:
            Conflict: the name is taken.
            Invalid: a bad name, role, place or password.

        """
        _check_name(name)
        _check_role(role, where)
        if password is None:
            password = secrets.token_urlsafe(32)  # which nobody is told
        _check_password(password)
        with self._database.write() as session:
            if session.scalar(select(User).where(User.name == name)) is not None:
                raise Conflict.of("user_there", name=name)
            _check_area(session, where)
            row = self._add(session, name, password, role, where)
            about = {"role": role, "area": where.area, "department": where.department}
            audit.record(session, by, "user add", f"user {name}", about)
            return _account_view(row)

    def change_user(self, name: str, role: str, *, where: Within, disabled: bool, by: str) -> AccountView:
        """Change what a person may do and see; the sessions of one who is disabled end.

        Raises:
            NotFound: there is nobody of that name.
            Invalid: a bad role or place.
            Conflict: it is the last administrator who could still log in.

        """
        _check_role(role, where)
        with self._database.write() as session:
            self._database.lock(session, "first administrator")
            user = _named(session, name)
            _check_area(session, where)
            user.role, user.area, user.department = role, where.area, where.department
            user.disabled_at = (user.disabled_at or utc_now()) if disabled else None
            session.flush()
            active = select(User.id).where(User.role == "administrator", User.disabled_at.is_(None))
            if session.scalar(active.limit(1)) is None:
                raise Conflict.of("last_administrator", name=name)
            if disabled:
                session.execute(delete(UserSession).where(UserSession.user_id == user.id))
            about = {"role": role, "area": where.area, "department": where.department, "disabled": disabled}
            audit.record(session, by, "user change", f"user {name}", about)
            return _account_view(user)

    def set_password(self, name: str, password: str, *, by: str = SHELL) -> None:
        """Change a password and end the sessions of that user."""
        _check_password(password)
        with self._database.write() as session:
            user = _named(session, name)
            user.password_hash = self._hasher.hash(password)
            session.execute(delete(UserSession).where(UserSession.user_id == user.id))
            audit.record(session, by, "user password", f"user {name}")

    def change_own_password(self, name: str, old: str, new: str, address: str) -> None:
        """Change a password for who knows the old one; raises as :meth:`login` where it is wrong."""
        self._check(name, old, address)
        self.set_password(name, new, by=name)

    def ensure_admin(self) -> str | None:
        """Make the first administrator when there is no user at all; return the password, once."""
        with self._database.write() as session:
            self._database.lock(session, "first administrator")
            if session.scalar(select(func.count()).select_from(User)):
                return None
            password = secrets.token_urlsafe(12)
            register(password)
            self._add(session, ADMIN, password, "administrator", EVERYWHERE)
            audit.record(session, journal.SYSTEM, "user add", f"user {ADMIN}", {"role": "administrator"})
            return password

    def _add(self, session: Session, name: str, password: str, role: str, where: Within) -> User:
        user = User(
            name=name,
            password_hash=self._hasher.hash(password),
            role=role,
            area=where.area,
            department=where.department,
            created_at=utc_now(),
        )
        session.add(user)
        return user

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    def _throttle(self, name: str, address: str) -> None:
        since = utc_now() - FAILURE_WINDOW
        here = select(LoginFailure.at).where(LoginFailure.address == address, LoginFailure.at > since)
        with self._database.read() as session:
            for failures, allowed in (
                (here.where(LoginFailure.name == name), FAILURES_ALLOWED),
                (here, FAILURES_FROM_ADDRESS),
            ):
                times = session.scalars(failures.order_by(LoginFailure.at.desc()).limit(allowed)).all()
                if len(times) == allowed:
                    raise TooManyLogins(max(1, int((times[-1] - since).total_seconds()) + 1))

    def _open_session(self, name: str, address: str) -> SessionView:
        token, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(32), utc_now()
        register(token)
        with self._database.write() as session:
            user = session.scalars(select(User).where(User.name == name)).one()
            session.execute(delete(UserSession).where(UserSession.expires_at < now))
            session.execute(delete(LoginFailure).where(LoginFailure.at < now - FAILURE_WINDOW))
            session.execute(
                delete(LoginFailure).where(LoginFailure.name == name, LoginFailure.address == address)
            )
            session.add(
                UserSession(
                    token_hash=digest(token),
                    user_id=user.id,
                    csrf=digest(csrf),
                    created_at=now,
                    expires_at=now + SESSION_LIFE,
                )
            )
            return SessionView(
                token=token,
                csrf=csrf,
                user=_user_view(user),
                expires_at=now + SESSION_LIFE,
            )


def _user_view(user: User) -> UserView:
    return UserView(
        name=user.name,
        role=user.role,
        rights=tuple(sorted(ROLE_RIGHTS[user.role])),
        area=user.area,
        department=user.department,
    )


def _account_view(user: User) -> AccountView:
    return AccountView.model_validate(user, from_attributes=True)


def _named(session: Session, name: str) -> User:
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        raise NotFound.of("no_user", name=name)
    return user


def digest(token: str) -> str:
    """Return the SHA-256 of a token; it is random and long, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise Invalid.of("user_name", name=name)


def _check_role(role: str, where: Within) -> None:
    """Refuse an unknown role, and one that sees nothing unless it is said where."""
    if role not in ROLES:
        msg = f"role {role!r}: one of {', '.join(ROLES)}"
        raise Invalid(msg)
    if where.department is not None:
        try:
            department_id(where.department)
        except ValueError as error:
            raise Invalid(str(error)) from None
    if role == "department" and where.department is None:
        raise Invalid.of("say_department")
    if role == "grid_worker" and where.area is None:
        raise Invalid.of("say_area")
    if role == "administrator" and where:
        raise Invalid.of("administrator_everywhere")


def _check_scopes(role: str, scopes: Sequence[str] | None) -> None:
    for scope in scopes or ():
        if scope not in ROLE_RIGHTS[role]:
            msg = f"scope {scope!r}: of role {role} one of {', '.join(sorted(ROLE_RIGHTS[role]))}"
            raise Invalid(msg)


def _check_area(session: Session, where: Within) -> None:
    if where.area is not None and session.get(Area, where.area) is None:
        raise Invalid.of("no_area", area=where.area)


def _check_password(password: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid.of("password_length", least=MIN_PASSWORD, most=MAX_PASSWORD)
