"""The state documents: what TinyDB writes is durable, minimal and the same as its own JSON storage keeps."""

import random

import pytest
from tinydb import TinyDB, where
from tinydb.operations import delete, increment
from tinydb.storages import JSONStorage

from buffering.state import SqliteStorage, open_state
from twin_wire.errors import StoreError


def test_documents_last_over_a_restart(tmp_path):
    state = open_state(tmp_path / "state.db")
    state.table("device").insert({"id": "ch4-1", "name": "甲烷", "turnaround_ms": 12.5})
    state.close()
    state = open_state(tmp_path / "state.db")
    assert state.table("device").get(where("id") == "ch4-1") == {"id": "ch4-1", "name": "甲烷", "turnaround_ms": 12.5}
    state.close()


def test_a_second_process_is_refused(tmp_path):
    state = open_state(tmp_path / "state.db")
    state.insert({"a": 1})
    with pytest.raises(StoreError, match="BUSY"):
        open_state(tmp_path / "state.db")
    state.close()


def test_a_document_that_is_not_json_changes_nothing(tmp_path):
    storage = SqliteStorage(tmp_path / "state.db")
    storage.write({"_default": {"1": {"a": 1}}})
    with pytest.raises(TypeError):
        storage.write({"_default": {"1": {"a": object()}}})
    assert storage.read() == {"_default": {"1": {"a": 1}}}
    storage.close()
    assert SqliteStorage(tmp_path / "state.db").read() == {"_default": {"1": {"a": 1}}}


def test_what_was_read_can_be_changed_without_changing_the_store(tmp_path):
    storage = SqliteStorage(tmp_path / "state.db")
    assert storage.read() is None
    storage.write({"t": {"1": {"a": [1]}}})
    storage.read()["t"]["1"]["a"].append(2)
    assert storage.read() == {"t": {"1": {"a": [1]}}}
    storage.close()


def test_only_what_differs_is_written(tmp_path):
    storage = SqliteStorage(tmp_path / "state.db")
    documents = {str(n): {"n": n} for n in range(50)}
    storage.write({"t": documents})
    before = storage._connection.total_changes
    storage.write({"t": documents | {"7": {"n": 70}}})
    storage.write({"t": documents | {"7": {"n": 70}}})
    assert storage._connection.total_changes - before == 1
    storage.close()


def one_operation(db: TinyDB, rng: random.Random) -> object:
    """One call of TinyDB's public interface, the same for the same state of `rng`."""
    table = db.table(rng.choice(["_default", "device", "设备"]))
    key, value = rng.choice("abc"), rng.randrange(5)
    return [
        lambda: table.insert({key: value, "n": rng.randrange(100)}),
        lambda: table.insert_multiple([{key: n} for n in range(value)]),
        lambda: table.update({key: value}, where(key) > value),
        lambda: table.update(increment("n"), where("n").exists()),
        lambda: table.update(delete(key), where(key).exists()),
        lambda: table.upsert({key: value, "up": True}, where(key) == value),
        lambda: table.remove(where(key) == value),
        lambda: table.search(where(key) >= value),
        lambda: table.get(where(key) == value),
        lambda: table.count(where("n") > 50),
        lambda: table.truncate(),
        lambda: db.drop_table(table.name),
        lambda: [dict(document) | {"id": document.doc_id} for document in table.all()],
        lambda: sorted(db.tables()),
    ][rng.randrange(14)]()


@pytest.mark.parametrize("seed", range(8))
def test_every_operation_of_tinydb_gives_what_its_json_storage_gives(tmp_path, seed):
    ours, theirs = open_state(tmp_path / "s.db"), TinyDB(tmp_path / "s.json", storage=JSONStorage)
    pair = random.Random(seed), random.Random(seed)
    for step in range(120):
        assert one_operation(ours, pair[0]) == one_operation(theirs, pair[1])
        if step % 40 == 39:
            ours.close()
            ours = open_state(tmp_path / "s.db")
            theirs.close()
            theirs = TinyDB(tmp_path / "s.json", storage=JSONStorage)
    mine, other = ours.storage.read() or {}, theirs.storage.read() or {}
    assert mine == other
    assert {name: list(table) for name, table in mine.items()} == {name: list(table) for name, table in other.items()}
    ours.close()
    theirs.close()
