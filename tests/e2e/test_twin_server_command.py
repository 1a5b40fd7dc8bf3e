"""The command line as an administrator and a regulator use it, each command a process of its own."""

import asyncio
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.gateway import SealingGateway
from twin_server.__main__ import main

START_US = 1_790_000_000_000_000
WAIT_S = 30.0


def _run(*arguments: str | Path, code: int = 0, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twin_server", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, input=typed, check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@contextmanager
def _serving(data: Path, *arguments: str | Path) -> Iterator[str]:
    command = [sys.executable, "-m", "twin_server", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line.startswith("twin-server listens on "), process.communicate(timeout=WAIT_S)
        yield line.split()[-1]
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


async def _send(url: str, voucher: str, batches: int) -> None:
    gateway = SealingGateway(voucher)
    async with aiohttp.ClientSession() as session:
        await gateway.post(session, url, gateway.begin())
        for n in range(batches):
            answer = await gateway.post(session, url, [gateway.seal_rows(START_US + n * 1_000_000, [[1.0, 2.0, 3.0]])])
            assert answer.verdicts[0].status == "receipt"


def test_from_an_empty_folder_to_a_verified_log(tmp_path: Path) -> None:
    data, secret = tmp_path / "data", tmp_path / "passphrase"
    secret.write_text("a long passphrase\n")
    made = _run("enterprises", "add", "north", "--name", "北矿", "--simulated", "--data", data)
    vkey = made.stdout.split()[-1]
    assert "SIMULATED" in _run("enterprises", "list", "--data", data).stdout
    _run("users", "add", "李", "--role", "regulator", "-e", "north", "--passphrase-file", secret, "--data", data)
    assert "李" in _run("users", "list", "--data", data).stdout
    token = tmp_path / "token"
    token.write_text(_run("tokens", "add", "audit", "--role", "regulator", "-e", "north", "--data", data).stdout)
    voucher = _run("gateways", "add", "gw-1", "-e", "north", "--site", "pit", "--data", data).stdout.strip()
    with _serving(data) as url:
        asyncio.run(_send(url, voucher, 5))
        _run("enterprises", "add", "south", "--simulated", "--data", data)  # while the server runs
        later = _run("gateways", "add", "gw-2", "-e", "south", "--site", "pit", "--data", data).stdout.strip()
        asyncio.run(_send(url, later, 2))
        report = json.loads(_run("verify", url, "--token-file", token, "--vkey", vkey, "--json").stdout)
        assert [(each["enterprise"], each["faults"]) for each in report] == [("north", [])]
        assert report[0]["counts"]["bodies"] == report[0]["size"] >= 9
        archive = tmp_path / "evidence.zip"
        request = urllib.request.Request(f"{url}/api/v1/enterprises/north/evidence.zip?to={START_US + 9_000_000}")
        request.add_header("Authorization", f"Bearer {token.read_text().strip()}")
        with urllib.request.urlopen(request, timeout=WAIT_S) as response:
            archive.write_bytes(response.read())
        _run("verify", url, code=2)
        _run("verify", url, "--token-file", token, "-e", "south", code=2)
    assert "records unaltered since sealing" in _run("verify", archive).stdout
    assert "records unaltered since sealing" in _run("verify", data).stdout
    heads = _run("gateways", "list", "--data", data).stdout
    assert "gw-1" in heads
    assert "1/7" in heads
    csv = _run("export", "-e", "north", "--data", data).stdout
    assert csv.count("\n") >= 15
    archive.write_bytes(archive.read_bytes()[:-4000])
    _run("verify", archive, code=2)
    history = _run("enterprises", "restored", "north", "--data", data).stdout
    assert history.startswith("history ")
    assert "records unaltered since sealing" in _run("verify", data, "-e", "north").stdout


def test_mistakes_are_said_in_one_line_with_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "data")
    assert main(["enterprises", "add", "north", "--data", data]) == 0
    capsys.readouterr()
    for line in (
        "enterprises add north",
        "enterprises add ../x",
        "gateways add gw-1 -e west --site pit",
        "gateways add gw+1 -e north --site pit",
        "gateways extend gw-9",
        "users remove nobody",
        "users add a --role admin --passphrase-file /nowhere",
        "tokens add a --role regulator -e west",
        "serve --listen 0.0.0.0:0",
        "serve --tls-certificate /nowhere",
        "serve --tls-certificate /nowhere --tls-key /nowhere --listen 127.0.0.1:0",
        "serve --config /nowhere",
        "export -e west",
    ):
        assert main([*line.split(), "--data", data]) == 2, line
        said = capsys.readouterr()
        assert said.err.startswith("twin-server: "), line
        assert said.out == ""
    for target in ("/nowhere", data):
        assert main(["verify", target, "-e", "west"]) == 2
    for line, text in (("--help", "twin-server enterprises add"), ("verify --help", "Exit 0: no fault")):
        with pytest.raises(SystemExit) as left:
            main(line.split())
        assert left.value.code == 0
        assert text in capsys.readouterr().out


def test_a_voucher_goes_into_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "voucher"
    _run("enterprises", "add", "north", "--data", data)
    done = _run("gateways", "add", "gw-1", "-e", "north", "--site", "pit", "--data", data, "--out", out)
    assert done.stdout == ""
    assert out.read_text().startswith("MTV1.")
    assert out.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in data.rglob("*.db"))
    assert (data / "keys" / "north.key").stat().st_mode & 0o077 == 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Return a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def test_with_a_certificate_the_server_speaks_tls_alone(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with _serving(tmp_path / "data", "--tls-certificate", cert, "--tls-key", key) as url:
        assert url.startswith("https://")
        context = ssl.create_default_context(cafile=str(cert))
        with urllib.request.urlopen(f"{url}/healthz", context=context, timeout=WAIT_S) as response:
            assert response.read() == b"ok\n"
            assert "max-age" in response.headers["Strict-Transport-Security"]
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(url.replace("https", "http") + "/healthz", timeout=WAIT_S)
    done = _run("serve", "--tls-certificate", key, "--tls-key", cert, "--data", tmp_path / "data", code=2)
    assert "certificate" in done.stderr
