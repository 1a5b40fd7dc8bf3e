/** Receipts of RFC 9942: proof that a statement is an entry of the log, the tree's size under the signature. */
import { FormatFault, hex, join, ProofFault, same, type Bytes } from './bytes';
import { decode, head, Tag, type Item } from './cbor';
import type { PublicKey } from './keys';
import { checkInclusion, leafHash } from './merkle';
import type { Checkpoint } from './note';

const BYTES_MAX = 4096;
const PATH_MAX = 63;
const SIGN1 = Uint8Array.from([0x84, 0x6a, ...[...'Signature1'].map((c) => c.charCodeAt(0))]);
const EMPTY = Uint8Array.of(0x40);
const [ALGORITHM, KID, CLAIMS, TREE_KIND, TREE_PROOFS, TREE_SIZE] = [1, 4, 15, 395, 396, -70002] as const;

/** Checks the receipts of one tree; what the log signed alike for many of them is checked once. */
export class Receipts {
  private readonly good = new Set<string>();

  constructor(
    private readonly tree: Checkpoint,
    private readonly key: PublicKey,
  ) {}

  /** Throws unless the receipt proves that `raw` is entry `index` of the tree. */
  async check(receipt: Bytes, raw: Bytes, index: number): Promise<void> {
    const { protectedBytes, signature, size, at, path } = open(receipt, this.tree.origin, this.key.kid);
    if (size !== this.tree.size || at !== index) throw new ProofFault('receipt for another entry or tree');
    checkInclusion(leafHash(raw), index, size, path, this.tree.root);
    const name = hex(protectedBytes) + hex(signature);
    if (this.good.has(name)) return;
    await this.key.verify(signature, join(SIGN1, head(2, protectedBytes.length), protectedBytes, EMPTY, head(2, 32), this.tree.root));
    this.good.add(name);
  }
}

interface Opened {
  protectedBytes: Bytes;
  signature: Bytes;
  size: number;
  at: number;
  path: Bytes[];
}

function open(receipt: Bytes, origin: string, kid: Bytes): Opened {
  if (receipt.length > BYTES_MAX) throw new FormatFault(`receipt of more than ${BYTES_MAX} bytes`);
  const outer = decode(receipt, 8);
  const parts = outer instanceof Tag && outer.number === 18 ? outer.value : null;
  if (!Array.isArray(parts) || parts.length !== 4) throw new FormatFault('receipt is not a COSE_Sign1');
  const [protectedBytes, unprotected, payload, signature] = parts as [Item, Item, Item, Item];
  if (!(protectedBytes instanceof Uint8Array) || !(unprotected instanceof Map) || unprotected.size !== 1 || payload !== null) throw new FormatFault('receipt with other headers than its own');
  if (!(signature instanceof Uint8Array) || signature.length !== 64) throw new FormatFault('signature is not 64 bytes');
  const header = decode(protectedBytes, 3);
  if (!(header instanceof Map) || header.size !== 5 || (header.get(ALGORITHM) !== -19 && header.get(ALGORITHM) !== -8) || header.get(TREE_KIND) !== 1) throw new FormatFault('receipt with other headers than its own');
  const [named, claims, signedSize] = [header.get(KID), header.get(CLAIMS), header.get(TREE_SIZE)];
  if (!(named instanceof Uint8Array) || !same(named, kid)) throw new ProofFault("receipt names another key than the log's");
  if (!(claims instanceof Map) || claims.get(2) !== origin) throw new ProofFault('receipt of another log');
  const proofs = unprotected.get(TREE_PROOFS);
  const listed = proofs instanceof Map && proofs.size === 1 ? proofs.get(-1) : null;
  if (!Array.isArray(listed) || listed.length !== 1 || !(listed[0] instanceof Uint8Array)) throw new FormatFault('receipt is not for exactly one inclusion');
  const inner = decode(listed[0], 3);
  if (!Array.isArray(inner) || inner.length !== 3) throw new FormatFault('inclusion proof of another form');
  const [size, at, path] = inner as [Item, Item, Item];
  if (typeof size !== 'number' || size !== signedSize || typeof at !== 'number' || at < 0) throw new ProofFault('tree size differs from the signed one');
  if (!Array.isArray(path) || !path.length || path.length > PATH_MAX || !path.every((step) => step instanceof Uint8Array && step.length === 32)) throw new FormatFault('inclusion proof of another form');
  return { protectedBytes, signature, size, at, path: path as Bytes[] };
}
