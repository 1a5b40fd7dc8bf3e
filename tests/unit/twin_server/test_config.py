"""server.toml: defaults that are enough, every fault with its place, no listening in the open."""

from pathlib import Path

import pytest

from twin_server.config import check_listen, read_config
from twin_wire.errors import ConfigError


def test_the_defaults_are_enough() -> None:
    config = read_config(None)
    assert (config.host, config.port) == ("127.0.0.1", 8440)
    assert config.store_url == "sqlite:twin-data"
    assert config.public_url == "http://127.0.0.1:8440"
    assert config.origin_prefix == "127.0.0.1"
    check_listen(config)


def test_the_command_line_wins_and_data_is_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text('data = "d"\nlisten = "[::1]:9000"\nurl = "https://twin.example/"\n[limits]\nposts_per_s = 5\n')
    config = read_config(str(path), {"listen": "127.0.0.1:1", "data": None})
    assert (config.data, config.listen) == (str(tmp_path / "d"), "127.0.0.1:1")
    assert config.public_url == "https://twin.example"
    assert config.origin_prefix == "twin.example"
    assert read_config(str(path)).host == "::1"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("listen = 5", "$.listen"),
        ('listen = "x"', "$.listen"),
        ('listen = "a:99999"', "$.listen"),
        ('nonsense = "x"', "nonsense"),
        ('url = "ftp://x"', "$.url"),
        ('[tls]\ncertificate = "c"', "$.tls"),
        ("[limits]\nsession_h = 0", "$.limits.session_h"),
        ("[limits]\nverify_threads = 0", "$.limits.verify_threads"),
        ("= broken", "server.toml"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_config(str(path))
    assert fault in str(refused.value) + str(refused.value.faults)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text('listen = "x"\nurl = "x"\n')
    with pytest.raises(ConfigError) as refused:
        read_config(str(path))
    assert [where for where, _ in refused.value.faults] == ["$.listen", "$.url"]
    with pytest.raises(ConfigError):
        read_config(str(tmp_path / "none.toml"))


def test_beyond_loopback_only_with_tls_or_behind_a_proxy() -> None:
    for listen in ("0.0.0.0:80", "[::]:80", "192.0.2.1:80", "example.org:80"):
        with pytest.raises(ConfigError, match="without TLS"):
            check_listen(read_config(None, {"listen": listen}))
        check_listen(read_config(None, {"listen": listen, "behind_proxy": True}))
        check_listen(read_config(None, {"listen": listen, "tls": {"certificate": "c", "key": "k"}}))
    check_listen(read_config(None, {"listen": "[::1]:80"}))
