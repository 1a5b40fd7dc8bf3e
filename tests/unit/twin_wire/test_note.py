"""Checkpoints are signed notes that C2SP verifiers read, and nothing looser."""

import pytest

from tests.support.evidence import LOG, ORIGIN, VECTORS, named_key, vector
from twin_wire.errors import FormatError, ProofError
from twin_wire.note import Checkpoint, checkpoint_text, open_note, parse_vkey, read_checkpoint, sign_note, vkey

VKEY = VECTORS["log_vkey"]
NOTE = VECTORS["checkpoint"]
TEXT, _, LINES = NOTE.rpartition("\n\n")


def signed(text: str) -> str:
    """Sign any text as the log."""
    return sign_note(text, ORIGIN, LOG)


def test_the_golden_checkpoint_is_written_and_read() -> None:
    root = vector("root5")
    assert vkey(ORIGIN, LOG.public) == VKEY
    assert signed(checkpoint_text(ORIGIN, 5, root)) == NOTE
    assert read_checkpoint(NOTE, [VKEY]) == Checkpoint(ORIGIN, 5, root)
    assert read_checkpoint(NOTE.encode(), [VKEY]).size == 5


def test_the_example_of_the_specification_opens() -> None:
    text, names = open_note(VECTORS["signed_note"], [VECTORS["signed_note_vkey"]])
    assert (text, names) == ("This is an example message.\n", ("example.com/foo",))


def test_unknown_signatures_are_passed_over() -> None:
    note = NOTE + VECTORS["cosignature_line"]
    assert read_checkpoint(note, [VKEY]).size == 5
    other = vkey("else.example", named_key("else").public)
    assert read_checkpoint(note, [other, VKEY]).size == 5


def test_a_note_without_a_known_signature_proves_nothing() -> None:
    for vkeys in ([], [vkey(ORIGIN, named_key("else").public)], [vkey("else.example", LOG.public)]):
        with pytest.raises(ProofError, match="no known key"):
            open_note(NOTE, vkeys)


def test_a_known_key_that_fails_rejects_the_note_even_beside_a_good_one() -> None:
    foreign = signed(checkpoint_text(ORIGIN, 6, vector("root5"))).rpartition("\n\n")[2]
    with pytest.raises(ProofError, match="does not hold"):
        read_checkpoint(f"{TEXT}\n\n{LINES}{foreign}", [VKEY])
    with pytest.raises(ProofError, match="does not hold"):
        read_checkpoint(f"{TEXT}\n\n{foreign}", [VKEY])


def test_another_log_cannot_speak_in_this_ones_name() -> None:
    key = named_key("else")
    note = sign_note(checkpoint_text(ORIGIN, 5, vector("root5")), "else.example", key)
    with pytest.raises(ProofError, match="not signed by that log"):
        read_checkpoint(note, [VKEY, vkey("else.example", key.public)])


def test_every_flipped_bit_of_a_checkpoint_is_refused() -> None:
    good = NOTE.encode()
    for at in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            with pytest.raises(FormatError):
                read_checkpoint(bytes(bad), [VKEY])


ROOT = TEXT.split("\n")[2]


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n5\n",
        f"{ORIGIN}\n5\n{ROOT}\nextension\n",
        f"{ORIGIN}\n05\n{ROOT}\n",
        f"{ORIGIN}\n-5\n{ROOT}\n",
        f"{ORIGIN}\n+5\n{ROOT}\n",
        f"{ORIGIN}\n 5\n{ROOT}\n",
        f"{ORIGIN}\n5.0\n{ROOT}\n",
        f"{ORIGIN}\n5_0\n{ROOT}\n",
        f"{ORIGIN}\n٥\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n9007199254740992\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
        f"{ORIGIN}\n5\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n5\n {ROOT}\n",
        f"{ORIGIN}\n5\n{ROOT[:-2]}F=\n",
        f"{ORIGIN}\n5\nAAAA\n",
        f"{ORIGIN}\n5\n根\n",
    ],
)
def test_signed_texts_that_are_no_checkpoint_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_checkpoint(signed(text), [VKEY])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        TEXT,
        TEXT + "\n\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("—", "-"),
        NOTE.replace("— ", "—  "),
        NOTE + "— a+b AAAAAAA=\n",
        NOTE + "— a AAAAAA==\n",
        NOTE + "— a AAAAAAA\n",
        NOTE + "— a\n",
        NOTE + "— witness.example AAAAAAA=\n" * 64,
        "x" * 70_000 + NOTE,
        NOTE.encode() + b"\xff\n",
        "\ud800" + NOTE,
        "\0" + NOTE,
    ],
)
def test_malformed_notes_are_refused(note: str | bytes) -> None:
    with pytest.raises(FormatError):
        read_checkpoint(note, [VKEY])


def test_limits_hold_before_signatures_are_looked_at() -> None:
    with pytest.raises(FormatError, match="longer"):
        open_note(signed("x" * 70_000 + "\n"), [VKEY])
    bell = "bell\a\n"
    line = sign_note("\n", ORIGIN, LOG).rpartition("\n\n")[2]
    assert open_note("\n\n" + line, [VKEY])[0] == "\n"
    for note in (line, "\n" + line, bell + "\n" + signed(bell.replace("\a", "")).rpartition("\n\n")[2]):
        with pytest.raises(FormatError, match="without its signatures"):
            open_note(note, [VKEY])


def test_sixteen_and_more_signatures_are_accepted() -> None:
    assert read_checkpoint(NOTE + "— witness.example AAAAAAA=\n" * 63, [VKEY]).size == 5


def test_what_is_no_note_or_checkpoint_is_not_written() -> None:
    for origin, size, root in (("a b", 1, bytes(32)), (ORIGIN, -1, bytes(32)), (ORIGIN, 1, bytes(31))):
        with pytest.raises(FormatError):
            checkpoint_text(origin, size, root)
    for text, name in (("no end", ORIGIN), ("bell\a\n", ORIGIN), ("text\n", "a+b"), ("text\n", "")):
        with pytest.raises(FormatError):
            sign_note(text, name, LOG)


def test_verifier_keys_go_both_ways_and_wrong_ones_are_refused() -> None:
    assert parse_vkey(VKEY) == (ORIGIN, LOG.public)
    name, key_id, key = VKEY.split("+", 2)
    assert parse_vkey(f"{name}+{key_id}+{key}") == (ORIGIN, LOG.public)
    bad = [
        "",
        name,
        f"{name}+{key_id}",
        f"{name}+{key_id.upper()}+{key}",
        f"{name}+00000000+{key}",
        f"x{name}+{key_id}+{key}",
        f"+{key_id}+{key}",
        f"{name}+{key_id}+{key}=",
        f"{name}+{key_id}+{key[:-4]}",
        vkey_of_identity(),
    ]
    for text in bad:
        with pytest.raises(FormatError):
            parse_vkey(text)
    with pytest.raises(FormatError, match="not of type"):
        parse_vkey(VECTORS["w1_vkey"])


def vkey_of_identity() -> str:
    """Return a well-formed verifier key over the point that verifies anything."""
    return "x.example+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
