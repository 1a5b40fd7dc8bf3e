"""Accounts in system.db: enterprises, whose gateway is whose, vouchers, users, sessions, tokens."""

import json
import sqlite3

from twin_server.store.rows import Enterprise, Session, Token, User, Voucher
from twin_wire.errors import ConfigError

Db = sqlite3.Connection


def enterprises(db: Db) -> list[Enterprise]:
    """Return all enterprises by id."""
    rows = db.execute("select * from enterprise order by ent")
    return [Enterprise._make((*row[:2], bool(row[2]), *row[3:])) for row in rows]


def add_enterprise(db: Db, row: Enterprise) -> None:
    """Add an enterprise; ConfigError when its id or origin is taken."""
    try:
        db.execute("insert into enterprise values(?,?,?,?,?,?)", row)
    except sqlite3.IntegrityError:
        raise ConfigError(f"an enterprise {row.id!r}, or one with the log {row.origin!r}, is here already") from None


def owner(db: Db, gateway: str) -> str | None:
    """Return the enterprise a gateway belongs to."""
    row = db.execute("select ent from owner where gateway = ?", (gateway,)).fetchone()
    return row[0] if row else None


def put_voucher(db: Db, row: Voucher) -> None:
    """Keep a voucher and claim the gateway; ConfigError when it belongs to another enterprise."""
    if owner(db, row.gateway) not in (None, row.enterprise):
        raise ConfigError(f"the gateway id {row.gateway!r} is taken", "choose another id: they are unique on a server")
    db.execute("insert or ignore into owner values(?,?)", (row.gateway, row.enterprise))
    db.execute("insert or replace into voucher values(?,?,?,?,?,?,?,?)", row)


def voucher(db: Db, gateway: str) -> Voucher | None:
    """Return the newest voucher of a gateway."""
    row = db.execute("select * from voucher where gateway = ? order by epoch desc limit 1", (gateway,)).fetchone()
    return Voucher._make(row) if row else None


def put_user(db: Db, row: User) -> None:
    """Insert or replace a user by id; ConfigError when the name belongs to another."""
    values = (row.id, row.name, row.role, json.dumps(row.enterprises), row.salt, row.hash, row.created_us)
    taken = db.execute("select 1 from user where name = ? and id <> ?", (row.name, row.id)).fetchone()
    if taken:
        raise ConfigError(f"a user named {row.name!r} is here already")
    db.execute("insert or replace into user values(?,?,?,?,?,?,?)", values)


def users(db: Db) -> list[User]:
    """Return all users by name."""
    rows = db.execute("select * from user order by name")
    return [User._make((*row[:3], tuple(json.loads(row[3])), *row[4:])) for row in rows]


def delete_user(db: Db, user: str) -> None:
    """Delete a user and its sessions."""
    db.execute("delete from session where user = ?", (user,))
    db.execute("delete from user where id = ?", (user,))


def put_session(db: Db, row: Session, now_us: int) -> None:
    """Keep a session, drop expired ones."""
    db.execute("delete from session where expires_us < ?", (now_us,))
    db.execute("insert or replace into session values(?,?,?,?)", row)


def session(db: Db, cookie_hash: bytes) -> Session | None:
    """Return a session by the hash of its cookie."""
    row = db.execute("select * from session where hash = ?", (cookie_hash,)).fetchone()
    return Session._make(row) if row else None


def delete_session(db: Db, cookie_hash: bytes) -> None:
    """Delete a session."""
    db.execute("delete from session where hash = ?", (cookie_hash,))


def put_token(db: Db, row: Token) -> None:
    """Insert or replace a token."""
    values = (row.id, row.name, row.hash, row.role, json.dumps(row.enterprises), row.created_us, row.expires_us)
    db.execute("insert or replace into token values(?,?,?,?,?,?,?)", values)


def tokens(db: Db) -> list[Token]:
    """Return all tokens by name."""
    rows = db.execute("select * from token order by name, id")
    return [Token._make((*row[:4], tuple(json.loads(row[4])), *row[5:])) for row in rows]


def delete_token(db: Db, token: str) -> None:
    """Delete a token."""
    db.execute("delete from token where id = ?", (token,))
