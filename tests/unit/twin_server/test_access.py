"""Who may see what: sign-in, sessions, tokens, attempts, roles."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tests.support.desk import Desk, desk
from twin_server.access import COOKIE, CSRF_HEADER, Access, Caller
from twin_wire.errors import ConfigError

SECRET = "correct horse battery"
Test = Callable[[Desk, Access], Awaitable[None]]
HOUR_US = 3_600_000_000


class Now:
    """A clock the test turns."""

    def __init__(self) -> None:
        self.us = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def run(tmp_path: Path, now: Now) -> Callable[[Test], None]:
    """Return a function that runs a test on a server with the enterprises e1, e2 and a clock the test owns."""

    def runner(test: Test) -> None:
        async def body() -> None:
            async with desk(tmp_path, now) as at:
                await at.enterprise("e1")
                await at.enterprise("e2")
                await test(at, Access(at.store, now, session_h=12, behind_proxy=False))

        asyncio.run(body())

    return runner


def _request(method: str = "GET", enterprise: str = "e1", **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, "/x", named, match_info={"e": enterprise})


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("system.db*"))


async def _cookie(access: Access, name: str, role: str, *enterprises: str) -> tuple[Caller, str]:
    await access.add_user(name, SECRET, role, enterprises)
    return await access.sign_in(name, SECRET, "192.0.2.1")


def test_a_person_signs_in_and_is_known_by_the_cookie_until_it_expires(run: Callable[[Test], None], now: Now) -> None:
    async def test(at: Desk, access: Access) -> None:
        caller, cookie = await _cookie(access, "李", "enterprise", "e1")
        request = _request(Cookie=f"{COOKIE}={cookie}")
        assert await access.caller(request) == caller
        assert await access.enterprise(request) == "e1"
        now.us += 13 * HOUR_US
        with pytest.raises(web.HTTPUnauthorized):
            await access.caller(request)

    run(test)


def test_signing_out_and_removing_a_person_end_the_session(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        caller, cookie = await _cookie(access, "a", "enterprise", "e1")
        request = _request(Cookie=f"{COOKIE}={cookie}")
        await access.sign_out(request)
        with pytest.raises(web.HTTPUnauthorized):
            await access.caller(request)
        _, cookie = await access.sign_in("a", SECRET, "192.0.2.1")
        await at.store.delete_user(caller.id)
        with pytest.raises(web.HTTPUnauthorized):
            await access.caller(_request(Cookie=f"{COOKIE}={cookie}"))

    run(test)


def test_neither_passphrase_nor_cookie_nor_token_is_kept(run: Callable[[Test], None], tmp_path: Path) -> None:
    async def test(at: Desk, access: Access) -> None:
        _, cookie = await _cookie(access, "a", "enterprise", "e1")
        _, token = await access.add_token("t", "regulator", ("e1",), 1)
        kept = await asyncio.to_thread(_bytes_of, tmp_path)
        for secret in (SECRET, cookie, token):
            assert secret.encode() not in kept

    run(test)


def test_a_change_by_cookie_needs_the_csrf_token(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        caller, cookie = await _cookie(access, "a", "enterprise", "e1")
        for token in ("", "x", caller.csrf[:-1]):
            with pytest.raises(web.HTTPForbidden):
                await access.caller(_request("POST", Cookie=f"{COOKIE}={cookie}", **{CSRF_HEADER: token}))
        assert await access.caller(_request("POST", Cookie=f"{COOKIE}={cookie}", **{CSRF_HEADER: caller.csrf}))

    run(test)


def test_a_websocket_from_another_site_is_refused(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        _, cookie = await _cookie(access, "a", "enterprise", "e1")
        base = {"Cookie": f"{COOKIE}={cookie}", "Upgrade": "websocket", "Host": "twin.example:8440"}
        for origin in ("", "https://evil.example", "https://twin.example:8440.evil.example", "null"):
            with pytest.raises(web.HTTPForbidden):
                await access.caller(_request(**base, Origin=origin))
        assert await access.caller(_request(**base, Origin="https://twin.example:8440"))

    run(test)


@pytest.mark.parametrize("role", ["enterprise", "regulator", "installer"])
def test_another_enterprise_does_not_exist(run: Callable[[Test], None], role: str) -> None:
    async def test(at: Desk, access: Access) -> None:
        _, secret = await access.add_token("t", role, ("e1",), 0)
        texts = set()
        for foreign in ("e2", "e3", "../e1", ""):
            with pytest.raises(web.HTTPNotFound) as refused:
                await access.enterprise(_request(enterprise=foreign, Authorization=f"Bearer {secret}"))
            texts.add(refused.value.text)
        assert len(texts) == 1
        assert await access.enterprise(_request(Authorization=f"Bearer {secret}")) == "e1"

    run(test)


def test_an_admin_sees_all_and_a_role_is_asked_for(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        _, admin = await access.add_token("a", "admin", (), 0)
        _, regulator = await access.add_token("r", "regulator", ("e1",), 0)
        for enterprise in ("e1", "e2"):
            request = _request(enterprise=enterprise, Authorization=f"Bearer {admin}")
            assert await access.enterprise(request, "enterprise") == enterprise
        with pytest.raises(web.HTTPNotFound):
            await access.enterprise(_request(enterprise="e3", Authorization=f"Bearer {admin}"))
        with pytest.raises(web.HTTPForbidden):
            await access.enterprise(_request(Authorization=f"Bearer {regulator}"), "enterprise", "installer")

    run(test)


def test_a_token_expires_and_a_removed_one_is_unknown(run: Callable[[Test], None], now: Now) -> None:
    async def test(at: Desk, access: Access) -> None:
        token, secret = await access.add_token("t", "regulator", ("e1",), 1)
        request = _request(Authorization=f"Bearer {secret}")
        assert (await access.caller(request)).id == token.id
        now.us += 25 * HOUR_US
        with pytest.raises(web.HTTPUnauthorized):
            await access.caller(request)
        token, secret = await access.add_token("t", "regulator", ("e1",), 0)
        await at.store.delete_token(token.id)
        for header in (f"Bearer {secret}", "Bearer ", "Bearer x", "Basic eDp5", secret):
            with pytest.raises(web.HTTPUnauthorized):
                await access.caller(_request(Authorization=header))

    run(test)


def test_attempts_are_limited_per_name_and_address_and_end_by_themselves(run: Callable[[Test], None], now: Now) -> None:
    async def test(at: Desk, access: Access) -> None:
        await access.add_user("a", SECRET, "regulator", ("e1",))
        for _ in range(5):
            with pytest.raises(web.HTTPUnauthorized):
                await access.sign_in("a", "wrong", "192.0.2.1")
        with pytest.raises(web.HTTPTooManyRequests) as refused:
            await access.sign_in("a", SECRET, "192.0.2.1")
        assert int(refused.value.headers["Retry-After"]) > 0
        await access.sign_in("a", SECRET, "192.0.2.2")  # a stranger does not lock the person out
        now.us += 16 * 60_000_000
        await access.sign_in("a", SECRET, "192.0.2.1")

    run(test)


def test_an_unknown_name_is_answered_like_a_wrong_passphrase(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        await access.add_user("a", SECRET, "regulator", ("e1",))
        texts = []
        for name in ("a", "nobody"):
            with pytest.raises(web.HTTPUnauthorized) as refused:
                await access.sign_in(name, "wrong", "192.0.2.1")
            texts.append(refused.value.text)
        assert texts[0] == texts[1]

    run(test)


def test_users_and_tokens_that_make_no_sense_are_refused(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        await access.add_user("a", SECRET, "admin", ())
        for name, secret, role, enterprises in (
            ("a", SECRET, "admin", ()),
            ("b", "short", "admin", ()),
            ("b", SECRET, "king", ()),
            ("b", SECRET, "enterprise", ()),
            ("b", SECRET, "enterprise", ("e1", "e7")),
            ("", SECRET, "admin", ()),
            ("x\n", SECRET, "admin", ()),
        ):
            with pytest.raises(ConfigError):
                await access.add_user(name, secret, role, enterprises)
        with pytest.raises(ConfigError):
            await access.add_token("t", "regulator", (), 1)

    run(test)


def test_an_address_from_a_proxy_counts_only_where_a_proxy_is_configured(run: Callable[[Test], None]) -> None:
    async def test(at: Desk, access: Access) -> None:
        request = _request(**{"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https"})
        assert access.address(request) != "203.0.113.9"
        assert not access.is_secure(request)
        behind = Access(at.store, at.clock, 1, behind_proxy=True)
        assert behind.address(request) == "203.0.113.9"
        assert behind.is_secure(request)

    run(test)
