"""A line to PostgreSQL that breaks where it is told to: before a message gets through, or before its answer does."""

import contextlib
import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

SOCKET = ".s.PGSQL.5432"
ANSWER_S = 0.3  # inside a pipeline there is none


class CutLine:
    """Passes bytes on between clients and the server; `arm` says which message from now on is the last."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self._after: int | None = None  # messages still to let through
        self._persist = False
        self._word = b""
        self._closing = threading.Event()
        self.cuts = 0
        self.messages = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, after: int, persist: bool, word: bytes = b"") -> None:
        """Let `after` messages with `word` through, then cut: the next reaches the server or not, its answer nobody."""
        with self._lock:
            self._after, self._persist, self._word, self.messages = after, persist, word, 0

    def disarm(self) -> None:
        with self._lock:
            self._after = None

    def close(self) -> None:
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, contextlib.suppress(OSError):
            server.connect(str(self._server / SOCKET))
            while not self._closing.is_set():
                ready, _, _ = select.select([client, server], [], [], 0.2)
                if server in ready:
                    data = server.recv(1 << 20)
                    if not data:
                        return
                    client.sendall(data)
                if client in ready:
                    data = client.recv(1 << 20)
                    if not data:
                        return
                    cut, persist = self._is_last(data)
                    if not cut or persist:
                        server.sendall(data)
                    if cut:
                        if persist:
                            select.select([server], [], [], ANSWER_S)  # it was done, and the answer is lost
                        return

    def _is_last(self, data: bytes) -> tuple[bool, bool]:
        with self._lock:
            self.messages += 1
            if self._after is None or self._word not in data:
                return False, False
            if self._after > 0:
                self._after -= 1
                return False, False
            self._after = None
            self.cuts += 1
            return True, self._persist


@contextlib.contextmanager
def cut_line(url: str, server: str) -> Iterator[tuple[CutLine, str]]:
    """Yield a line to the server with its socket in folder `server`, and `url` through that line."""
    with tempfile.TemporaryDirectory(prefix="cut") as folder:
        line = CutLine(Path(folder), Path(server))
        try:
            yield line, url.replace(quote(server, safe=""), quote(folder, safe=""))
        finally:
            line.close()
