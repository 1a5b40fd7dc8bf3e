"""What an identifier and a name for people may look like; one rule for points, devices, zones, gateways, tags."""

import re

ID_CHARS_MAX = 64
NAME_CHARS_MAX = 120
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,63}")


def is_id(text: str) -> bool:
    """Tell whether `text` may be an identifier: 1 to 64 of A-Z a-z 0-9 _ . : - beginning with a letter or digit."""
    return _ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Tell whether `text` may be a name shown to people: at most 120 printable characters of any script."""
    return len(text) <= NAME_CHARS_MAX and text.isprintable()
