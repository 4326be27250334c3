"""People and tokens, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from alerts.catalogue.model import DEPARTMENT_PATTERN
from alerts.http.auth import Ctx, SomeUser
from alerts.services.rights import Right, Within
from alerts.services.views import AccountView, TokenView

router = APIRouter(prefix="/api/v1", tags=["people"])

Name = Annotated[str, Field(pattern=r"^[\w.@-]{1,64}$")]
NamePath = Annotated[str, Path(pattern=r"^[\w.@-]{1,64}$")]
Password = Annotated[str, Field(min_length=1, max_length=1024)]
Place = Annotated[str, Field(min_length=1, max_length=64)]


class Account(BaseModel):
    """What somebody may do, and in which part of the city."""

    model_config = ConfigDict(extra="forbid")
    role: str = Field(max_length=16)
    area: Place | None = None
    department: Annotated[str, Field(pattern=DEPARTMENT_PATTERN)] | None = None

    def within(self) -> Within:
        """Return the part of the city."""
        return Within(self.area, self.department)


class NewUser(Account):
    """A person who may log in; without a password by the identity provider alone."""

    name: Name
    password: Password | None = None


class ChangedUser(Account):
    """What a person may do from now on; ``disabled`` ends all sessions."""

    disabled: bool = False


class NewPassword(BaseModel):
    """The password from now on."""

    model_config = ConfigDict(extra="forbid")
    password: Password


class NewToken(Account):
    """A script's key; ``scopes`` restricts it to some of its role's rights, ``days`` its life."""

    name: Name
    scopes: list[Right] | None = Field(default=None, max_length=len(Right))
    days: int | None = Field(default=None, ge=1, le=3650)


class MadeToken(BaseModel):
    """The key, the only time it can be seen."""

    token: str


@router.get("/users")
def list_users(context: Ctx, _user: SomeUser) -> tuple[AccountView, ...]:
    """List people, the disabled ones too."""
    return context.services.people.list_users()


@router.post("/users", status_code=201)
def create_user(body: NewUser, context: Ctx, user: SomeUser) -> AccountView:
    """Add a person."""
    return context.services.people.create_user(
        body.name, body.password, body.role, where=body.within(), by=user.name
    )


@router.put("/users/{name}")
def change_user(name: NamePath, body: ChangedUser, context: Ctx, user: SomeUser) -> AccountView:
    """Change what a person may do and see; the last administrator stays one."""
    return context.services.people.change_user(
        name, body.role, where=body.within(), disabled=body.disabled, by=user.name
    )


@router.put("/users/{name}/password", status_code=204)
def set_password(name: NamePath, body: NewPassword, context: Ctx, user: SomeUser) -> None:
    """Give a person another password, and end that person's sessions."""
    context.services.people.set_password(name, body.password, by=user.name)


@router.get("/tokens")
def list_tokens(context: Ctx, _user: SomeUser) -> tuple[TokenView, ...]:
    """List tokens, the revoked ones too; the keys themselves nobody can see again."""
    return context.services.people.list_tokens()


@router.post("/tokens", status_code=201)
def create_token(body: NewToken, context: Ctx, user: SomeUser) -> MadeToken:
    """Make a token for a script."""
    token = context.services.people.create_token(
        body.name, body.role, scopes=body.scopes, where=body.within(), days=body.days, by=user.name
    )
    return MadeToken(token=token)


@router.delete("/tokens/{name}", status_code=204)
def revoke_token(name: NamePath, context: Ctx, user: SomeUser) -> None:
    """End a token for good."""
    context.services.people.revoke_token(name, by=user.name)
