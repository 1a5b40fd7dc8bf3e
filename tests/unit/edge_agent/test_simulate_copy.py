"""The copy of a configuration for simulated devices leads to no real port, host or file."""

from pathlib import Path

from buffering.state import open_state
from edge_agent.config import load_config
from edge_agent.identity import load_identity
from edge_agent.simulate import _write_copy, enroll_simulated
from hardware_sim.kj_site import write_gateway
from tests.support.gateway_folder import write_folder

MORE = """
[[link]]
id = "wind"
kind = "ascii-line"
port = "/dev/ttyReal"
parity = "E"
[[link]]
id = "plc"
kind = "modbus-tcp"
host = "10.0.0.7"
tcp_port = 502
"""


def test_what_is_not_simulated_leads_nowhere_and_what_is_leads_to_the_simulator(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    write_gateway(tmp_path, inbox, 20.0, 60.0, "127.0.0.1:0", done=str(tmp_path / "done"))
    path = tmp_path / "gateway.toml"
    path.write_text(path.read_text(encoding="utf-8") + MORE, encoding="utf-8")
    config = load_config(path)
    for links in ({}, {"kj-1": {"folder": "/sim/kj", "memory": "/sim/kj.memory"}, "wind": {"port": "/sim/wind"}}):
        folder = tmp_path / f"copy-{len(links)}"
        folder.mkdir()
        copy = load_config(_write_copy(config, path, folder, links, "127.0.0.1:0"))
        text = repr([link.options for link in copy.links])
        for real in (str(inbox), str(tmp_path / "done"), "ttyReal", "10.0.0.7"):
            assert real not in text
        kj = copy.links[0].options
        assert kj["stations"] == config.links[0].options["stations"], "a table inside a link survives"
        assert kj["folder"].startswith("/sim" if links else str(folder))


def test_a_start_that_broke_off_half_way_does_not_stop_the_next_one(tmp_path: Path) -> None:
    config = load_config(write_folder(tmp_path))
    config.state.mkdir()
    open_state(config.state / "state.db").close()
    for _ in range(2):
        enroll_simulated(config, None)
    assert load_identity(config)[0].simulated
