"""What a KJ link keeps in its memory folder beside the files taken: definitions, and the tag of every card.

`tags.csv` (card,tag) is the only place where a card and its tag stand together. It stays on the gateway, may be read by
the mine's own people alone (mode 600), and a line taken out of it makes its tag nobody's.
"""

import contextlib
import csv
import io
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from drivers.kj_records import Definition, is_code
from twin_wire.errors import LinkError
from twin_wire.ids import is_id

BYTES_MAX = 16 << 20
CARDS_MAX = 50_000
TAG_BYTES = 5


def load_definitions(memory: Path) -> list[Definition]:
    """Return the definitions of the last run; nothing if there are none or they cannot be read: the host sends more."""
    try:
        data = _file(memory).read_bytes()
        return msgspec.json.decode(data, type=list[Definition]) if len(data) <= BYTES_MAX else []
    except (OSError, msgspec.MsgspecError):
        return []


def save_definitions(memory: Path, definitions: Iterable[Definition]) -> None:
    """Store the definitions; where the disk refuses, values are UNCERTAIN after a restart until the host sends more."""
    with contextlib.suppress(LinkError):
        _replace(_file(memory), msgspec.json.encode(list(definitions)))


def _file(memory: Path) -> Path:
    return memory / "definitions.json"


class Tags:
    """Card numbers to opaque tags: made once at random, so a tag leads to no card without the file."""

    def __init__(self, memory: Path) -> None:
        self._path = memory / "tags.csv"
        self._tags: dict[str, str] | None = None

    def learn(self, cards: Iterable[str]) -> dict[str, str]:
        """Return the tags of all cards known, the new ones among them written down first; LinkError."""
        if self._tags is None:
            self._tags = self._read()
        tags = self._tags
        fresh = [card for card in dict.fromkeys(cards) if card not in tags][: max(0, CARDS_MAX - len(tags))]
        if fresh:
            grown = tags | {card: f"kj-{secrets.token_hex(TAG_BYTES)}" for card in fresh}
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows([("card", "tag"), *grown.items()])
            _replace(self._path, out.getvalue().encode())
            self._tags = grown
        return self._tags

    def _read(self) -> dict[str, str]:
        """Return what the file says; a line that is no card and tag is passed over, a file too large refused."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LinkError(f"{self._path}: {error.strerror}", "may this program read it?") from error
        if len(data) > BYTES_MAX:
            raise LinkError(f"{self._path} is larger than {BYTES_MAX} bytes", "it is not ours")
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig", "replace")))
        try:
            pairs = [row for row in rows if len(row) == 2 and is_code(row[0]) and is_id(row[1])]
        except csv.Error as error:
            raise LinkError(f"{self._path}: {error}", "it is not a CSV file of card,tag") from error
        return {card: tag for card, tag in pairs if (card, tag) != ("card", "tag")}


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(number)
        fresh.replace(path)
    except OSError as error:
        raise LinkError(f"{path}: {error.strerror}", "disk full? may this program write it?") from error
