"""Log in by the city's own identity provider: OpenID Connect, authorization code with PKCE.

The provider says who somebody is; what that person may do and see is an account here, which an administrator
has made. So nobody comes in whom nobody has let in.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from alerts.config import OidcSettings
from alerts.services.errors import LoginRefused
from towerwatch.errors import RetryableError
from towerwatch.logs import get_logger

TIMEOUT_S = 10.0
KNOWN_FOR_S = 600.0  # the provider's own description, and its keys; an unknown key is asked for at once
ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "ES256",
    "ES384",
    "EdDSA",
]  # never none, never a shared secret
LEEWAY_S = 60

log = get_logger(__name__)


class ProviderAway(RetryableError):
    """The identity provider does not answer, or not as one."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What a browser keeps between leaving for the provider and coming back."""

    state: str
    nonce: str
    verifier: str
    target: str

    def dump(self) -> str:
        """Return it as text."""
        return json.dumps([self.state, self.nonce, self.verifier, self.target])

    @classmethod
    def load(cls, text: str) -> Pending | None:
        """Read it back; None for what is none."""
        try:
            values = json.loads(text)
        except ValueError:
            return None
        if not isinstance(values, list) or len(values) != 4 or not all(isinstance(v, str) for v in values):
            return None
        return cls(*values)


class Provider:
    """One identity provider; asks it for its addresses and keys when they are first needed."""

    def __init__(self, settings: OidcSettings, redirect_uri: str) -> None:
        """Keep the settings, and where the provider sends browsers back to."""
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._known: dict[str, tuple[float, Any]] = {}

    def begin(self, target: str) -> tuple[str, Pending]:
        """Return where to send a browser, and what it must bring back; raise ProviderAway."""
        pending = Pending(
            secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), target
        )
        with self._session() as session:
            address, _state = session.create_authorization_url(
                self._address("authorization_endpoint"),
                state=pending.state,
                nonce=pending.nonce,
                code_verifier=pending.verifier,
            )
        return str(address), pending

    def finish(self, pending: Pending, code: str) -> str:
        """Return the name of who has come back with a code.

        Raises:
            LoginRefused: the code or what the provider says is not good.
            ProviderAway: it does not answer.

        """
        try:
            with self._session() as session:
                token = session.fetch_token(
                    self._address("token_endpoint"),
                    code=code,
                    code_verifier=pending.verifier,
                    timeout=TIMEOUT_S,
                )
                claims = self._checked(token.get("id_token"), pending.nonce)
                return self._name(claims, session)
        except (AuthlibBaseError, JoseError, ValueError) as error:
            log.warning("login by the identity provider refused", why=str(error))
            msg = "the identity provider's answer is not good"
            raise LoginRefused(msg) from None
        except requests.RequestException as error:
            msg = f"the identity provider does not answer: {type(error).__name__}"
            raise ProviderAway(msg) from None

    def _session(self) -> OAuth2Session:
        return OAuth2Session(
            self._settings.client_id,
            self._settings.client_secret.reveal(),
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )

    def _name(self, claims: dict[str, Any], session: OAuth2Session) -> str:
        """Return the claim that names the account; from the user-info address where the token has it not."""
        wanted = self._settings.name_claim
        if wanted not in claims:
            answer = session.get(self._address("userinfo_endpoint"), timeout=TIMEOUT_S)
            answer.raise_for_status()
            more = answer.json()
            if more.get("sub") != claims["sub"]:
                msg = "the user info is somebody else's"
                raise ValueError(msg)
            claims = claims | more
        if wanted == "email" and claims.get("email_verified") is not True:
            msg = "the e-mail address is not verified"
            raise ValueError(msg)
        name = claims.get(wanted)
        if not isinstance(name, str) or not name:
            msg = f"there is no claim {wanted}"
            raise ValueError(msg)
        return name

    def _checked(self, token: object, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token once signature, issuer, audience, times and nonce are right."""
        if not isinstance(token, str):
            msg = "there is no ID token"
            raise ValueError(msg)  # noqa: TRY004 - of the answer, as all that is wrong with it
        try:
            decoded = jwt.decode(token, self._keys(), algorithms=ALGORITHMS)
        except (JoseError, ValueError):  # perhaps the provider has a new key
            decoded = jwt.decode(token, self._keys(again=True), algorithms=ALGORITHMS)
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        registry.validate(decoded.claims)
        return dict(decoded.claims)

    def _keys(self, *, again: bool = False) -> KeySet:
        return KeySet.import_key_set(self._get(self._address("jwks_uri"), again=again))

    def _address(self, name: str) -> str:
        described = self._get(f"{self._settings.issuer}/.well-known/openid-configuration")
        found = described.get(name)
        if described.get("issuer") != self._settings.issuer or not isinstance(found, str):
            msg = (
                f"the identity provider at {self._settings.issuer} does not describe itself as such ({name})"
            )
            raise ProviderAway(msg)
        if urlsplit(self._settings.issuer).scheme == "https" and urlsplit(found).scheme != "https":
            msg = f"the identity provider's {name} is not HTTPS"
            raise ProviderAway(msg)
        return found

    def _get(self, address: str, *, again: bool = False) -> Any:
        at, known = self._known.get(address, (0.0, None))
        now = time.monotonic()
        if known is not None and not again and now - at < KNOWN_FOR_S:
            return known
        try:
            answer = requests.get(address, timeout=TIMEOUT_S)
            answer.raise_for_status()
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            msg = f"the identity provider does not answer: {type(error).__name__}"
            raise ProviderAway(msg) from None
        if not isinstance(document, dict):
            msg = "the identity provider's answer is no JSON object"
            raise ProviderAway(msg)
        self._known[address] = (now, document)
        return document
