"""Install each built distribution in an empty environment, start its commands and look at its contents."""

import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

OURS = {"twin_wire", "drivers", "buffering", "edge_agent", "twin_server", "hardware_sim"}
ROOT = Path(__file__).resolve().parents[2]


def print_hash(verifier: Path) -> None:
    """Write the line for the release notes by which anyone checks the verifier that opens from disk (sha256sum -c)."""
    data = verifier.read_bytes()
    sys.stdout.write(f"{sha256(data).hexdigest()}  {verifier.name}\n")


def try_one(path: Path, uv: Path) -> None:
    """Raise CalledProcessError or AssertionError when the distribution does not work by itself."""
    with tempfile.TemporaryDirectory(prefix="dist") as folder:
        python = Path(folder) / "env/bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(python.parents[1])], check=True)
        install = [str(uv), "pip", "install", "-q", "--python", str(python), "-c", str(ROOT / "requirements.lock")]
        subprocess.run([*install, f"{path}[edge,server,sim]"], check=True)
        for command in ("edge-agent", "twin-server", "hardware-sim"):
            subprocess.run([str(python.parent / command), "--help"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        where = [str(python), "-c", "import twin_server, edge_agent; print(twin_server.__file__, edge_agent.__file__)"]
        found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=folder).stdout.split()
        pages = [Path(f).parent / "static" / "index.html" for f in found]
        verifier = Path(found[0]).parent / "static/verify.html"
        missing = [p for p in (*pages, verifier) if not p.is_file()]
        assert not missing, f"{path.name} carries no page: {missing}"
        print_hash(verifier)
    sys.stdout.write(f"{path.name}: installs alone, commands start, pages inside, {path.stat().st_size / 1e6:.2f} MB\n")


def main(folder: Path) -> None:
    """Try every distribution in the folder; the wheel holds our six packages and no tests."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".whl":
            tops = {n.split("/")[0] for n in zipfile.ZipFile(path).namelist() if ".dist-info" not in n}
            assert tops == OURS, tops
        if path.suffix in (".whl", ".gz"):
            try_one(path, ROOT / ".venv/bin/uv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
