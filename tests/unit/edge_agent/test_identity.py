"""Enrolment: without a link, repeatable, for this gateway alone; the key is for its owner's eyes."""

import shutil
import stat
import time

import pytest

from buffering.queue import Queue
from edge_agent.clock import SystemClock
from edge_agent.config import load_config
from edge_agent.identity import enroll, key_path, load_identity, voucher_from
from tests.support.gateway_folder import write_folder
from tests.support.queues import gap_entry
from tests.support.vouchers import LOG_KEY, voucher_line
from twin_wire.errors import ConfigError, StoreError
from twin_wire.keys import kid_text
from twin_wire.statement import ZERO_HASH, check, read, statement_hash
from twin_wire.voucher import check_enrolment, read_enrol_body

CLOCK = SystemClock()


def enrolled(folder, **fields):
    config = load_config(write_folder(folder))
    return config, enroll(config, voucher_from(voucher_line(**fields), time.time()), "test 1", CLOCK)


def offers_of(config):
    queue = Queue(config.state / "queue.db", gap_entry, 4 << 20)
    offers = queue.offer()
    queue.close()
    return offers


def test_the_enrol_statement_is_the_first_and_proves_the_voucher(tmp_path):
    config, (identity, key_id, new) = enrolled(tmp_path)
    assert new
    loaded, key = load_identity(config)
    assert loaded == identity
    assert kid_text(key.public.kid) == key_id
    (offer,) = offers_of(config)
    statement = read(offer.statement)
    check(statement, key.public)
    assert (statement.kind, statement.chain.seq, statement.chain.prev) == ("enrol", 0, ZERO_HASH)
    check_enrolment(read_enrol_body(offer.body), bytes(16), LOG_KEY.public)
    assert stat.S_IMODE(key_path(config.state, 1).stat().st_mode) == 0o600
    assert stat.S_IMODE(config.state.stat().st_mode) == 0o700


def test_repeating_it_changes_nothing(tmp_path):
    config, first = enrolled(tmp_path)
    _, again = enrolled(tmp_path)
    assert (again[1], again[2]) == (first[1], False)
    assert len(offers_of(config)) == 1


@pytest.mark.parametrize("lost", ["key-1", "state.db"])
def test_it_can_be_finished_after_a_power_cut_in_the_middle(tmp_path, lost):
    config, first = enrolled(tmp_path)
    for file in config.state.glob("queue.db*"):
        file.unlink()
    (config.state / lost).unlink()
    _, again = enrolled(tmp_path)
    assert again[2]
    assert (again[1] == first[1]) is (lost != "key-1")
    assert len(offers_of(config)) == 1
    load_identity(config)


def test_a_new_voucher_begins_a_new_epoch_that_points_back(tmp_path):
    config, first = enrolled(tmp_path)
    _, second = enrolled(tmp_path, epoch=2)
    assert second[2]
    assert second[1] != first[1], "a new epoch has a new key"
    old, new = offers_of(config)
    assert (read(new.statement).chain.epoch, read(new.statement).chain.seq) == (2, 0)
    assert read(new.statement).chain.prev == statement_hash(old.statement)
    with pytest.raises(ConfigError, match="already at epoch 2"):
        enrolled(tmp_path, epoch=1)


@pytest.mark.parametrize(("fields", "path"), [({"gateway": "gw-2"}, "gateway.id"), ({"site": "x"}, "gateway.site")])
def test_a_voucher_for_another_gateway_is_refused(tmp_path, fields, path):
    with pytest.raises(ConfigError) as caught:
        enrolled(tmp_path, **fields)
    assert path in dict(caught.value.faults)
    assert not (tmp_path / "state").exists()


def test_a_voucher_is_taken_as_a_line_or_from_a_file_and_nothing_else(tmp_path):
    line = voucher_line()
    (tmp_path / "v.txt").write_text(line + "\n", encoding="ascii")
    assert voucher_from(line, 0) == voucher_from(str(tmp_path / "v.txt"), 0)
    for wrong in (line[:-4], "MTV1.x.y", str(tmp_path / "none"), "", str(tmp_path), voucher_line(expires_s=5)):
        with pytest.raises(ConfigError):
            voucher_from(wrong, 10)


def test_who_is_not_enrolled_is_told_how(tmp_path):
    config = load_config(write_folder(tmp_path))
    with pytest.raises(ConfigError, match="not enrolled") as caught:
        load_identity(config)
    assert "edge-agent enroll" in caught.value.hint
    assert not (tmp_path / "state").exists(), "asking makes nothing"


def test_a_state_folder_of_another_gateway_is_refused(tmp_path):
    config, _ = enrolled(tmp_path / "a")
    path = write_folder(tmp_path / "b")
    path.write_text(path.read_text(encoding="utf-8").replace('id = "gw-1"', 'id = "gw-9"'), encoding="utf-8")
    shutil.copytree(config.state, tmp_path / "b/state")
    with pytest.raises(ConfigError, match="belongs to gateway gw-1"):
        load_identity(load_config(path))


def test_it_is_refused_while_an_agent_works_on_the_folder(tmp_path):
    config, _ = enrolled(tmp_path)
    queue = Queue(config.state / "queue.db", gap_entry, 4 << 20)
    with pytest.raises(StoreError, match="BUSY"):
        enrolled(tmp_path, epoch=2)
    queue.close()
