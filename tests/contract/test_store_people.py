"""What every store promises of people: accounts, acknowledgements, audits and the directory that forgets."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.stores import Test, runner
from twin_server.store import Store
from twin_server.store.rows import (
    LEVELS_US,
    Acknowledgement,
    Audit,
    Enterprise,
    Person,
    Session,
    Token,
    User,
    Voucher,
)
from twin_wire.errors import ConfigError

MINUTE = LEVELS_US[0]
SLOT = 10 * MINUTE


@pytest.fixture
def run(store_url: str) -> Callable[[Test], None]:
    """Return a function that runs a test on a fresh store with the enterprises e1 and e2."""
    return runner(store_url)


def test_an_erased_person_leaves_no_byte_in_the_stores_files(
    run: Callable[[Test], None], stored_files: Callable[[], list[Path]]
) -> None:
    names = [f"王{n}-{secrets.token_hex(8)}" for n in range(200)]

    def bytes_with(name: str) -> list[str]:
        return [path.name for path in stored_files() if name.encode() in path.read_bytes()]

    async def test(store: Store) -> None:
        for n, name in enumerate(names):
            await store.put_person("e1", Person(f"tag-{n}", name, "team", {"phone": f"{n}-555-{name}"}, 1))
        assert len(await store.people("e1")) == 200
        assert bytes_with(names[77])
        assert await store.erase_person("e1", "tag-77")
        assert not await store.erase_person("e1", "tag-77")
        assert await store.person("e1", "tag-77") is None
        assert bytes_with(names[77]) == []
        renamed = Person("tag-5", "renamed", "team", {}, 2)
        await store.put_person("e1", renamed)
        assert await store.person("e1", "tag-5") == renamed
        assert await store.person("e2", "tag-5") is None

    run(test)


def test_accounts_come_back_and_gateways_have_one_owner(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        with pytest.raises(ConfigError):
            await store.add_enterprise(Enterprise("e1", "again", False, "localhost/again", "key", 1))
        with pytest.raises(ConfigError):
            await store.add_enterprise(Enterprise("../e9", "path", False, "localhost/path", "key", 1))
        assert [row.id for row in await store.enterprises()] == ["e1", "e2"]
        voucher = Voucher("e1", "gw-1", "name", "pit", 1, b"s" * 32, 99, 0)
        await store.put_voucher(voucher)
        await store.put_voucher(voucher._replace(epoch=2))
        with pytest.raises(ConfigError):
            await store.put_voucher(voucher._replace(enterprise="e2"))
        assert await store.voucher("gw-1") == voucher._replace(epoch=2)
        assert await store.owner("gw-1") == "e1"
        assert await store.owner("gw-2") is None
        user = User("u-1", "李", "enterprise", ("e1",), b"salt", b"hash", 1)
        await store.put_user(user)
        with pytest.raises(ConfigError):
            await store.put_user(user._replace(id="u-2"))
        assert await store.users() == [user]
        await store.put_session(Session(b"h", "u-1", "csrf", 10), 1)
        assert await store.session(b"h") == Session(b"h", "u-1", "csrf", 10)
        await store.put_session(Session(b"i", "u-1", "csrf", 30), 20)
        assert await store.session(b"h") is None
        await store.delete_user("u-1")
        assert await store.session(b"i") is None
        token = Token("t-1", "export", b"h", "regulator", ("e1", "e2"), 1, 0)
        await store.put_token(token)
        assert await store.tokens() == [token]
        await store.delete_token("t-1")
        assert await store.tokens() == []

    run(test)


def test_notes_acknowledgements_and_audits_come_back(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        ack = Acknowledgement("gw-1", "p0", "limit_high", 10, "u-1", 20, "on it", 1)
        await store.write("e1", lambda tx: tx.acknowledge(ack))
        assert await store.acknowledgements("e1") == [ack]
        assert await store.acknowledgements("e1", 11) == []
        rows = [Audit(5, "u-1", "login", "u-1", ""), Audit(5, "u-2", "login", "u-2", "")]
        for row in rows:
            await store.audit("", row)
        await store.audit("e1", Audit(7, "u-1", "ack", "a", ""))
        assert await store.audits("", 0, 6) == rows
        assert await store.audits("e1", 0, 9) == [Audit(7, "u-1", "ack", "a", "")]
        await store.write("e1", lambda tx: tx.put_note("n", b"1"))
        await store.write("e1", lambda tx: tx.put_note("n", b"2"))
        assert await store.note("e1", "n") == b"2"

    run(test)
