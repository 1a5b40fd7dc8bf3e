"""The tables of the SQLite store: every key begins with the enterprise, as it must where many share one database."""

SLOT_US = 600_000_000  # grain of the time index

ENTERPRISE = """
create table if not exists entry(
    ent text not null, idx integer not null, kind text not null, gateway text not null, epoch integer not null,
    seq integer not null, t0_us integer not null, t1_us integer not null, received_us integer not null,
    rows integer not null, disputed integer not null, readable integer not null, digest blob not null,
    statement blob not null,
    primary key(ent, idx)) without rowid;
create unique index if not exists entry_number on entry(ent, gateway, epoch, seq) where disputed = 0;
create index if not exists entry_other on entry(ent, idx) where kind <> 'data';
create index if not exists entry_latest on entry(ent, gateway, t1_us)
    where kind = 'data' and disputed = 0 and readable = 1;
create table if not exists body(ent text not null, digest blob not null, body blob not null, primary key(ent, digest));
create table if not exists slot(
    ent text not null, slot integer not null, idx integer not null, primary key(ent, slot, idx)) without rowid;
create table if not exists tile(
    ent text not null, level integer not null, n integer not null, hashes blob not null, root blob not null,
    primary key(ent, level, n));
create table if not exists checkpoint(
    ent text not null, size integer not null, time_us integer not null, root blob not null,
    primary key(ent, size)) without rowid;
create table if not exists gateway(
    ent text not null, gateway text not null, name text not null, site text not null, kid blob not null,
    public blob not null, epoch integer not null, enrolled integer not null, revoked integer not null,
    seq integer not null, hash blob not null, above text not null, last_event_us integer not null,
    last_received_us integer not null, forks integer not null, primary key(ent, gateway)) without rowid;
create table if not exists chain(
    ent text not null, gateway text not null, epoch integer not null, kid blob not null, public blob not null,
    enrolled integer not null, revoked integer not null, seq integer not null, hash blob not null,
    above text not null, primary key(ent, gateway, epoch)) without rowid;
create table if not exists document(
    ent text not null, digest blob not null, idx integer not null, kind text not null, gateway text not null,
    valid_from_us integer not null, received_us integer not null, primary key(ent, digest, idx)) without rowid;
create table if not exists point(
    ent text not null, gateway text not null, point text not null, pid integer not null,
    primary key(ent, gateway, point)) without rowid;
create unique index if not exists point_number on point(ent, pid);
create table if not exists aggregate(
    ent text not null, level_us integer not null, t0_us integer not null, shelf integer not null, data blob not null,
    primary key(ent, level_us, t0_us, shelf)) without rowid;
create table if not exists arrival(
    ent text not null, t0_us integer not null, gateway text not null, batches integer not null,
    samples integer not null, good integer not null, late integer not null, delay_us integer not null,
    primary key(ent, t0_us, gateway)) without rowid;
create table if not exists event(
    ent text not null, begin_us integer not null, gateway text not null, point text not null, rule text not null,
    end_us integer not null, severity integer not null, detector text not null, numbers text not null,
    text text not null, epoch integer not null, seq integer not null, idx integer not null,
    received_us integer not null, updated_us integer not null,
    primary key(ent, begin_us, gateway, point, rule)) without rowid;
create index if not exists event_active on event(ent, begin_us) where end_us = 0;
create table if not exists ack(
    ent text not null, begin_us integer not null, gateway text not null, point text not null, rule text not null,
    at_us integer not null, by text not null, note text not null, severity integer not null,
    primary key(ent, begin_us, gateway, point, rule, at_us)) without rowid;
create table if not exists note(ent text not null, name text not null, value blob not null, primary key(ent, name));
create table if not exists audit(
    ent text not null, at_us integer not null, n integer not null, who text not null, act text not null,
    subject text not null, detail text not null, primary key(ent, at_us, n)) without rowid;
"""

SYSTEM = """
create table if not exists enterprise(
    ent text primary key, name text not null, simulated integer not null, origin text not null unique,
    log_vkey text not null, created_us integer not null) without rowid;
create table if not exists owner(gateway text primary key, ent text not null) without rowid;
create table if not exists voucher(
    ent text not null, gateway text not null, name text not null, site text not null, epoch integer not null,
    secret blob not null, expires_us integer not null, used_us integer not null,
    primary key(ent, gateway, epoch)) without rowid;
create table if not exists user(
    id text primary key, name text not null unique, role text not null, enterprises text not null, salt blob not null,
    hash blob not null, created_us integer not null) without rowid;
create table if not exists session(
    hash blob primary key, user text not null, csrf text not null, expires_us integer not null) without rowid;
create table if not exists token(
    id text primary key, name text not null, hash blob not null unique, role text not null, enterprises text not null,
    created_us integer not null, expires_us integer not null) without rowid;
create table if not exists audit(
    ent text not null, at_us integer not null, n integer not null, who text not null, act text not null,
    subject text not null, detail text not null, primary key(ent, at_us, n)) without rowid;
"""

# Names must be erasable to the last byte: no WAL that remembers them, freed pages overwritten.
PEOPLE_PRAGMAS = """
    pragma journal_mode = delete;
    pragma secure_delete = on;
    pragma synchronous = full;
    pragma trusted_schema = off;
"""
PEOPLE = """
create table if not exists person(
    ent text not null, tag text not null, name text not null, team text not null, details text not null,
    changed_us integer not null, primary key(ent, tag)) without rowid;
"""
