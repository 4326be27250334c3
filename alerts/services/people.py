"""People and scripts: passwords, sessions, API tokens. Only digests of tokens are kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from alerts.services.errors import Conflict, Invalid, LoginRefused, NotFound, TooManyLogins
from alerts.services.views import SessionView, UserView
from alerts.store.database import Database
from alerts.store.tables import ApiToken, LoginFailure, User, UserSession
from alerts.texts import ROLES
from towerwatch.secrets import register
from towerwatch.timebase import utc_now

ADMIN = "admin"
SESSION_LIFE = timedelta(hours=12)
MIN_PASSWORD = 10
MAX_PASSWORD = 1024
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
        name, address = name[:64], address[:64]
        self._throttle(name, address)
        with self._database.read() as session:
            user = session.scalar(select(User).where(User.name == name, User.disabled_at.is_(None)))
            known, stored = (user is not None, user.password_hash if user else self._nobody)
        if not self._matches(stored, password[:MAX_PASSWORD]) or not known:
            with self._database.write() as session:
                session.add(LoginFailure(name=name, address=address, at=utc_now()))
            msg = "name or password is wrong"
            raise LoginRefused(msg)
        return self._open_session(name, address)

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
            return UserView(name=user.name, role=user.role) if user else None

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
        """Return who a script's bearer token speaks for; None when unknown or revoked."""
        with self._database.read() as session:
            row = session.get(ApiToken, digest(token))
            return UserView(name=f"token:{row.name}", role=row.role) if row and not row.revoked_at else None

    def create_token(self, name: str, role: str = "operator") -> str:
        """Make a bearer token for a script and return it, the only time it can be seen."""
        _check_name(name)
        _check_role(role)
        token = "twt_" + secrets.token_urlsafe(32)
        register(token)
        with self._database.write() as session:
            if session.scalar(select(ApiToken).where(ApiToken.name == name)) is not None:
                msg = f"there is a token named {name!r} already"
                raise Conflict(msg)
            session.add(ApiToken(token_hash=digest(token), name=name, role=role, created_at=utc_now()))
        return token

    def revoke_token(self, name: str) -> None:
        """End a token for good; raise :class:`NotFound` when there is none of that name."""
        with self._database.write() as session:
            row = session.scalar(select(ApiToken).where(ApiToken.name == name))
            if row is None:
                msg = f"there is no token named {name!r}"
                raise NotFound(msg)
            row.revoked_at = utc_now()

    def create_user(self, name: str, password: str, role: str = "operator") -> None:
        """Add a person; raise Conflict for a taken name, Invalid for a bad name, role or password."""
        _check_name(name)
        _check_role(role)
        _check_password(password)
        with self._database.write() as session:
            if session.scalar(select(User).where(User.name == name)) is not None:
                msg = f"there is a user named {name!r} already"
                raise Conflict(msg)
            self._add(session, name, password, role)

    def set_password(self, name: str, password: str) -> None:
        """Change a password and end the sessions of that user."""
        _check_password(password)
        with self._database.write() as session:
            user = session.scalar(select(User).where(User.name == name))
            if user is None:
                msg = f"there is no user named {name!r}"
                raise NotFound(msg)
            user.password_hash = self._hasher.hash(password)
            session.execute(delete(UserSession).where(UserSession.user_id == user.id))

    def ensure_admin(self) -> str | None:
        """Make the first administrator when there is no user at all; return the password, once."""
        with self._database.write() as session:
            self._database.lock(session, "first administrator")
            if session.scalar(select(func.count()).select_from(User)):
                return None
            password = secrets.token_urlsafe(12)
            register(password)
            self._add(session, ADMIN, password, "administrator")
            return password

    def _add(self, session: Session, name: str, password: str, role: str) -> None:
        hashed = self._hasher.hash(password)
        session.add(User(name=name, password_hash=hashed, role=role, created_at=utc_now()))

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
                user=UserView(name=user.name, role=user.role),
                expires_at=now + SESSION_LIFE,
            )


def digest(token: str) -> str:
    """Return the SHA-256 of a token; it is random and long, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        msg = f"name {name!r}: 1 to 64 letters, digits, dots, dashes, @ or _"
        raise Invalid(msg)


def _check_role(role: str) -> None:
    if role not in ROLES:
        msg = f"role {role!r}: one of {', '.join(ROLES)}"
        raise Invalid(msg)


def _check_password(password: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        msg = f"a password needs {MIN_PASSWORD} to {MAX_PASSWORD} characters"
        raise Invalid(msg)
