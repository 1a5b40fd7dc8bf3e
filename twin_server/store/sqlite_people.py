"""The erasable directory of one enterprise: a small file of its own without WAL, so that erasing leaves no byte."""

import json
import sqlite3

from twin_server.store.rows import Person

Db = sqlite3.Connection


def people(db: Db, ent: str) -> list[Person]:
    """Return all rows by tag."""
    query = "select tag, name, team, details, changed_us from person where ent = ? order by tag"
    return [_person_of(row) for row in db.execute(query, (ent,))]


def person(db: Db, ent: str, tag: str) -> Person | None:
    """Return one row."""
    query = "select tag, name, team, details, changed_us from person where ent = ? and tag = ?"
    row = db.execute(query, (ent, tag)).fetchone()
    return _person_of(row) if row else None


def put_person(db: Db, ent: str, row: Person) -> None:
    """Insert or replace one row."""
    values = (ent, row.tag, row.name, row.team, json.dumps(dict(row.details), ensure_ascii=False), row.changed_us)
    db.execute("insert or replace into person values(?,?,?,?,?,?)", values)


def delete_person(db: Db, ent: str, tag: str) -> bool:
    """Delete one row; secure_delete overwrites its place."""
    return db.execute("delete from person where ent = ? and tag = ?", (ent, tag)).rowcount > 0


def vacuum(db: Db) -> None:
    """Rewrite the file, so that no freed page keeps an old byte."""
    db.execute("vacuum")


def _person_of(row: tuple[str, str, str, str, int]) -> Person:
    tag, name, team, details, changed_us = row
    return Person(tag, name, team, json.loads(details), changed_us)
