"""Accounts and the directory of people in PostgreSQL: small tables, plain statements."""

import json
from typing import Any

import psycopg

from twin_server.store.rows import Enterprise, Person, Session, Token, User, Voucher
from twin_wire.errors import ConfigError

Db = psycopg.Connection[tuple[Any, ...]]


def enterprises(db: Db) -> list[Enterprise]:
    """Return all enterprises by id."""
    return [Enterprise._make(row) for row in db.execute('select * from enterprise order by ent collate "C"')]


def add_enterprise(db: Db, row: Enterprise) -> None:
    """Add an enterprise and the head of its empty log; ConfigError when its id or origin is taken."""
    done = db.execute("insert into enterprise values(%s,%s,%s,%s,%s,%s) on conflict do nothing", row)
    if not done.rowcount:
        raise ConfigError(f"an enterprise {row.id!r}, or one with the log {row.origin!r}, is here already")
    db.execute("insert into head values(%s, 0)", (row.id,))


def owner(db: Db, gateway: str) -> str | None:
    """Return the enterprise a gateway belongs to."""
    row = db.execute("select ent from owner where gateway = %s", (gateway,)).fetchone()
    return row[0] if row else None


def put_voucher(db: Db, row: Voucher) -> None:
    """Keep a voucher and claim the gateway; ConfigError when it belongs to another enterprise."""
    db.execute("insert into owner values(%s,%s) on conflict do nothing", (row.gateway, row.enterprise))
    if owner(db, row.gateway) != row.enterprise:
        raise ConfigError(f"the gateway id {row.gateway!r} is taken", "choose another id: they are unique on a server")
    query = (
        "insert into voucher values(%s,%s,%s,%s,%s,%s,%s,%s) on conflict(ent, gateway, epoch) do update set "
        "name = excluded.name, site = excluded.site, secret = excluded.secret, expires_us = excluded.expires_us, "
        "used_us = excluded.used_us"
    )
    db.execute(query, row)


def voucher(db: Db, gateway: str) -> Voucher | None:
    """Return the newest voucher of a gateway."""
    query = "select * from voucher where gateway = %s order by epoch desc limit 1"
    row = db.execute(query, (gateway,)).fetchone()
    return Voucher._make(row) if row else None


def put_user(db: Db, row: User) -> None:
    """Insert or replace a user by id; ConfigError when the name belongs to another."""
    values = (row.id, row.name, row.role, json.dumps(row.enterprises), row.salt, row.hash, row.created_us)
    query = (
        "insert into account values(%s,%s,%s,%s,%s,%s,%s) on conflict(id) do update set name = excluded.name, "
        "role = excluded.role, enterprises = excluded.enterprises, salt = excluded.salt, hash = excluded.hash, "
        "created_us = excluded.created_us"
    )
    try:
        db.execute(query, values)
    except psycopg.errors.UniqueViolation:
        raise ConfigError(f"a user named {row.name!r} is here already") from None


def users(db: Db) -> list[User]:
    """Return all users by name."""
    rows = db.execute('select * from account order by name collate "C"')
    return [User._make((*row[:3], tuple(json.loads(row[3])), *row[4:])) for row in rows]


def delete_user(db: Db, user: str) -> None:
    """Delete a user and its sessions."""
    db.execute("delete from session where account = %s", (user,))
    db.execute("delete from account where id = %s", (user,))


def put_session(db: Db, row: Session, now_us: int) -> None:
    """Keep a session, drop expired ones."""
    db.execute("delete from session where expires_us < %s", (now_us,))
    query = (
        "insert into session values(%s,%s,%s,%s) on conflict(hash) do update set account = excluded.account, "
        "csrf = excluded.csrf, expires_us = excluded.expires_us"
    )
    db.execute(query, row)


def session(db: Db, cookie_hash: bytes) -> Session | None:
    """Return a session by the hash of its cookie."""
    row = db.execute("select * from session where hash = %s", (cookie_hash,)).fetchone()
    return Session._make(row) if row else None


def delete_session(db: Db, cookie_hash: bytes) -> None:
    """Delete a session."""
    db.execute("delete from session where hash = %s", (cookie_hash,))


def put_token(db: Db, row: Token) -> None:
    """Insert or replace a token."""
    values = (row.id, row.name, row.hash, row.role, json.dumps(row.enterprises), row.created_us, row.expires_us)
    query = (
        "insert into token values(%s,%s,%s,%s,%s,%s,%s) on conflict(id) do update set name = excluded.name, "
        "hash = excluded.hash, role = excluded.role, enterprises = excluded.enterprises, "
        "created_us = excluded.created_us, expires_us = excluded.expires_us"
    )
    db.execute(query, values)


def tokens(db: Db) -> list[Token]:
    """Return all tokens by name."""
    rows = db.execute('select * from token order by name collate "C", id collate "C"')
    return [Token._make((*row[:4], tuple(json.loads(row[4])), *row[5:])) for row in rows]


def delete_token(db: Db, token: str) -> None:
    """Delete a token."""
    db.execute("delete from token where id = %s", (token,))


_PERSON = "select tag, name, team, details, changed_us from person where ent = %s"


def people(db: Db, ent: str) -> list[Person]:
    """Return all rows by tag."""
    return [_person_of(row) for row in db.execute(f'{_PERSON} order by tag collate "C"', (ent,))]


def person(db: Db, ent: str, tag: str) -> Person | None:
    """Return one row."""
    row = db.execute(f"{_PERSON} and tag = %s", (ent, tag)).fetchone()
    return _person_of(row) if row else None


def put_person(db: Db, ent: str, row: Person) -> None:
    """Insert or replace one row."""
    values = (ent, row.tag, row.name, row.team, json.dumps(dict(row.details), ensure_ascii=False), row.changed_us)
    query = (
        "insert into person values(%s,%s,%s,%s,%s,%s) on conflict(ent, tag) do update set name = excluded.name, "
        "team = excluded.team, details = excluded.details, changed_us = excluded.changed_us"
    )
    db.execute(query, values)


def delete_person(db: Db, ent: str, tag: str) -> bool:
    """Delete one row; its bytes are still in the table's file."""
    return db.execute("delete from person where ent = %s and tag = %s", (ent, tag)).rowcount > 0


def vacuum(db: Db) -> None:
    """Rewrite the directory, so that its file keeps no old row; the server's WAL and backups keep theirs."""
    db.execute("vacuum full person")


def _person_of(row: tuple[Any, ...]) -> Person:
    tag, name, team, details, changed_us = row
    return Person(tag, name, team, json.loads(details), changed_us)
