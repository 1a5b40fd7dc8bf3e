"""Who asks, and what they may see: the one place that authorises every read of an enterprise.

admin: everything. enterprise: reads the enterprises named and acts there. regulator: reads them, with evidence.
installer: reads them, without evidence bundles. An enterprise that is not yours does not exist for you: 404.
"""

import asyncio
import hmac
import secrets
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from twin_server import passphrase
from twin_server.attempts import Attempts
from twin_server.context import Clock
from twin_server.problem import not_found
from twin_server.store import Store
from twin_server.store.rows import Audit, Session, Token, User
from twin_wire.errors import ConfigError

ROLES = ("admin", "enterprise", "regulator", "installer")
COOKIE = "twin_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
TOKEN_PREFIX = "mtt_"  # noqa: S105  # the mark by which a leaked token is recognised
WINDOW_US = 15 * 60_000_000
SCRYPTS_AT_ONCE = 2  # 32 MiB and 0.1 s each


class Caller(NamedTuple):
    """Someone who has shown who they are; `id` is opaque and may go into audit rows."""

    id: str
    name: str
    role: str
    enterprises: tuple[str, ...]  # not used for admin
    csrf: str  # "" for programs

    def may_see(self, enterprise: str) -> bool:
        """Tell whether an enterprise exists for this caller."""
        return self.role == "admin" or enterprise in self.enterprises


class Access:
    """Sign-in, sessions, tokens and the question `may this caller …`."""

    def __init__(self, store: Store, clock: Clock, session_h: float, behind_proxy: bool) -> None:
        self.store = store
        self.clock = clock
        self.session_us = int(session_h * 3_600_000_000)
        self.behind_proxy = behind_proxy
        self._by_both = Attempts(5, WINDOW_US)
        self._by_address = Attempts(30, WINDOW_US)
        self._by_name = Attempts(60, WINDOW_US)  # high: a stranger must not lock a person out
        self._scrypts = asyncio.Semaphore(SCRYPTS_AT_ONCE)

    # -- questions

    async def caller(self, request: web.Request) -> Caller:
        """Return who asks; 401 when nobody does, 403 when a changing request by cookie lacks its CSRF token."""
        header = request.headers.get("Authorization", "")
        if header:
            scheme, _, secret = header.partition(" ")
            found = await self._by_token(secret.strip()) if scheme.lower() == "bearer" else None
        else:
            found = await self._by_cookie(request.cookies.get(COOKIE, ""))
            if found is not None:
                self._check_origin(request, found)
        if found is None:
            raise web.HTTPUnauthorized(text="sign in, or send a token", headers={"WWW-Authenticate": "Bearer"})
        return found

    async def enterprise(self, request: web.Request, *roles: str) -> str:
        """Return the enterprise in the path if the caller may see it (404) and has one of `roles`, if any (403)."""
        caller = await self.caller(request)
        enterprise = request.match_info["e"]
        if not caller.may_see(enterprise) or enterprise not in {row.id for row in await self.store.enterprises()}:
            raise not_found()
        self.require(caller, *roles)
        return enterprise

    def require(self, caller: Caller, *roles: str) -> None:
        """403 unless the caller is an admin or has one of `roles`; no roles: anyone."""
        if roles and caller.role != "admin" and caller.role not in roles:
            raise web.HTTPForbidden(text=f"this needs the role {' or '.join(roles)}")

    def address(self, request: web.Request) -> str:
        """Return the client's address; behind a proxy the one the proxy saw."""
        if self.behind_proxy:
            forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
            if forwarded:
                return forwarded[:64]
        return request.remote or ""

    def is_secure(self, request: web.Request) -> bool:
        """Tell whether the client speaks TLS, to us or to the proxy."""
        return request.secure or (self.behind_proxy and request.headers.get("X-Forwarded-Proto", "") == "https")

    # -- sign-in

    async def sign_in(self, name: str, secret: str, address: str) -> tuple[Caller, str]:
        """Return the caller and the cookie of a new session; 401 for a wrong pair, 429 after too many."""
        now_us = self.clock()
        tries = ((self._by_both, (name, address)), (self._by_address, address), (self._by_name, name))
        wait_us = max(attempts.wait_us(key, now_us) for attempts, key in tries)
        if wait_us:
            wait_s = str(wait_us // 1_000_000 + 1)
            raise web.HTTPTooManyRequests(text=f"too many attempts, wait {wait_s} s", headers={"Retry-After": wait_s})
        user = next((user for user in await self.store.users() if user.name == name), None)
        salt, expected = (user.salt, user.hash) if user else (b"nobody", bytes(32))
        async with self._scrypts:
            good = await asyncio.to_thread(passphrase.matches, secret[: passphrase.CHARS_MAX], salt, expected)
        if user is None or not good:
            for attempts, key in tries:
                attempts.failed(key, now_us)
            await self.store.audit("", Audit(now_us, "server", "login_failed", user.id if user else "", address))
            raise web.HTTPUnauthorized(text="name or passphrase is wrong")
        self._by_both.succeeded((name, address))
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        await self.store.put_session(Session(_hash(cookie), user.id, csrf, now_us + self.session_us), now_us)
        await self.store.audit("", Audit(now_us, user.id, "login", user.id, address))
        return _caller_of(user, csrf), cookie

    async def sign_out(self, request: web.Request) -> None:
        """End the session of this request's cookie."""
        await self.store.delete_session(_hash(request.cookies.get(COOKIE, "")))

    async def add_user(self, name: str, secret: str, role: str, enterprises: tuple[str, ...]) -> User:
        """Add a person; ConfigError when the name is taken or role, enterprises or passphrase will not do."""
        await self._check_grant(role, enterprises)
        if not name or len(name) > 64 or not name.isprintable():
            raise ConfigError("a name has 1 to 64 printable characters")
        passphrase.check_new(secret)
        salt = passphrase.new_salt()
        scrambled = await asyncio.to_thread(passphrase.scramble, secret, salt)
        user = User(f"u-{secrets.token_hex(6)}", name, role, enterprises, salt, scrambled, self.clock())
        await self.store.put_user(user)
        return user

    async def add_token(self, name: str, role: str, enterprises: tuple[str, ...], days: float) -> tuple[Token, str]:
        """Make a program's token; return its row and the token itself, which is shown once and never kept."""
        await self._check_grant(role, enterprises)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now_us = self.clock()
        expires_us = now_us + int(days * 86_400_000_000) if days else 0
        token = Token(f"t-{secrets.token_hex(6)}", name, _hash(secret), role, enterprises, now_us, expires_us)
        await self.store.put_token(token)
        return token, secret

    async def _check_grant(self, role: str, enterprises: tuple[str, ...]) -> None:
        if role not in ROLES:
            raise ConfigError(f"no role {role!r}", f"one of {', '.join(ROLES)}")
        unknown = set(enterprises) - {row.id for row in await self.store.enterprises()}
        if unknown:
            raise ConfigError(f"no enterprise {', '.join(sorted(unknown))}")
        if role != "admin" and not enterprises:
            raise ConfigError(f"the role {role!r} needs at least one enterprise")

    async def _by_cookie(self, cookie: str) -> Caller | None:
        session = await self.store.session(_hash(cookie)) if cookie else None
        if session is None or session.expires_us <= self.clock():
            return None
        user = next((user for user in await self.store.users() if user.id == session.user), None)
        return _caller_of(user, session.csrf) if user else None

    async def _by_token(self, secret: str) -> Caller | None:
        if not secret.startswith(TOKEN_PREFIX):
            return None
        wanted = _hash(secret)
        for token in await self.store.tokens():
            if hmac.compare_digest(token.hash, wanted) and not 0 < token.expires_us <= self.clock():
                return Caller(token.id, token.name, token.role, token.enterprises, "")
        return None

    def _check_origin(self, request: web.Request, caller: Caller) -> None:
        """Refuse what another site makes a signed-in browser send: changes without the token, foreign WebSockets."""
        if request.method not in SAFE_METHODS:
            if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), caller.csrf.encode()):
                raise web.HTTPForbidden(text=f"the header {CSRF_HEADER} is missing or wrong")
        elif request.headers.get("Upgrade", "").lower() == "websocket":
            origin = urlsplit(request.headers.get("Origin", "")).netloc
            if origin.lower() != request.host.lower():
                raise web.HTTPForbidden(text="a WebSocket from another site")


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _caller_of(user: User, csrf: str) -> Caller:
    return Caller(user.id, user.name, user.role, user.enterprises, csrf)
