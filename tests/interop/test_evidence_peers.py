"""Code we did not write verifies our evidence: cwt (COSE), pymerkle (tree), sigstore (inclusion, checkpoint)."""

from types import SimpleNamespace
from typing import Any

import pymerkle
import pytest
from cwt import COSE, COSEKey, VerifyError
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, SignedNote
from sigstore.errors import VerificationError

from tests.support.evidence import GATEWAY, LOG, ORIGIN, VECTORS, Log, statement, vector
from twin_wire.keys import PublicKey
from twin_wire.merkle import leaf_hash
from twin_wire.note import checkpoint_text, sign_note
from twin_wire.receipt import make_consistency_receipt, make_receipts

ENTRIES = [statement(seq=i) for i in range(70)]
TREE = Log(ENTRIES)


def cose_key(public: PublicKey) -> Any:
    """Return a peer's key object for an Ed25519 key and its id."""
    return COSEKey.new({1: 1, 2: public.kid, 3: -19, -1: 6, -2: public.raw})


def test_cwt_verifies_statements() -> None:
    for raw in (vector("statement"), vector("statement_v1"), ENTRIES[7]):
        protected, unprotected, payload = COSE.new(verify_kid=True).decode_with_headers(raw, cose_key(GATEWAY.public))
        assert len(payload) == 32
        assert protected[15] == {1: ORIGIN, 2: "gw/42"}
        assert not unprotected


def test_cwt_refuses_a_changed_statement() -> None:
    raw = bytearray(ENTRIES[7])
    raw[-70] ^= 1
    with pytest.raises(VerifyError):
        COSE.new().decode(bytes(raw), cose_key(GATEWAY.public))


def test_cwt_verifies_receipts_over_the_root() -> None:
    size, root = 70, TREE.roots[70]
    inclusion = make_receipts(LOG, ORIGIN, size, root, 9, [(3, TREE.path(3, size))])[0]
    consistency = make_consistency_receipt(LOG, ORIGIN, 31, size, root, 9, TREE.consistency(31, size))
    for receipt in (inclusion, consistency):
        header, _, payload = COSE.new(verify_kid=True).decode_with_headers(
            receipt, cose_key(LOG.public), detached_payload=root
        )
        assert payload == root
        assert header[395] == 1
        with pytest.raises(VerifyError):
            COSE.new().decode(receipt, cose_key(LOG.public), detached_payload=TREE.roots[69])


def test_pymerkle_has_the_same_roots_and_paths() -> None:
    peer = pymerkle.InmemoryTree(algorithm="sha256")
    for size, entry in enumerate(ENTRIES, 1):
        peer.append_entry(entry)
        assert peer.get_root() == TREE.roots[size]
        for index in {0, size // 3, size // 2, size - 1}:
            # a peer's path begins with the leaf itself and counts entries from 1
            ours = [leaf_hash(ENTRIES[index]), *TREE.path(index, size)]
            assert peer.prove_inclusion(index + 1).path == ours


def sigstore_entry(index: int, size: int, body: bytes) -> Any:
    """Return what the peer looks at in a log entry."""
    proof = SimpleNamespace(
        log_index=index, tree_size=size, hashes=TREE.path(index, size), root_hash=TREE.roots[size], checkpoint=None
    )
    return SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=body))


def test_sigstore_accepts_our_inclusion_proofs_and_no_other_entry() -> None:
    for size in (1, 2, 7, 64, 70):
        for index in range(0, size, 5):
            verify_merkle_inclusion(sigstore_entry(index, size, ENTRIES[index]))
            with pytest.raises(VerificationError):
                verify_merkle_inclusion(sigstore_entry(index, size, ENTRIES[index] + b"\0"))


class Keyring:
    """The one key the peer may use to check a note."""

    def verify(self, *, key_id: bytes, signature: bytes, data: bytes) -> None:
        LOG.public.verify(signature, data)


def test_sigstore_reads_our_checkpoints_and_their_signatures() -> None:
    note = sign_note(checkpoint_text(ORIGIN, 70, TREE.roots[70]), ORIGIN, LOG)
    key_id: Any = bytes.fromhex(VECTORS["log_vkey"].split("+")[1])
    for text, size, root in (
        (note, 70, TREE.roots[70]),
        (VECTORS["checkpoint"] + VECTORS["cosignature_line"], 5, vector("root5")),
    ):
        peer = SignedCheckpoint.from_text(text)
        assert (peer.checkpoint.origin, peer.checkpoint.log_size) == (ORIGIN, size)
        assert bytes.fromhex(peer.checkpoint.log_hash) == root
        assert peer.checkpoint.other_content == []
        ring: Any = Keyring()
        peer.signed_note.verify(ring, key_id)
    assert len(SignedNote.from_text(VECTORS["checkpoint"] + VECTORS["cosignature_line"]).signatures) == 2
