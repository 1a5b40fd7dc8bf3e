/** The Merkle tree of RFC 9162 section 2.1, in the browser: roots from entries and from tiles, proofs checked. */
import { sha256 } from '@noble/hashes/sha2.js';
import { ProofFault, same, type Bytes } from './bytes';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function digest(data: Uint8Array): Bytes {
  return sha256(data) as Bytes;
}

export function leafHash(entry: Uint8Array): Bytes {
  return sha256.create().update(LEAF).update(entry).digest() as Bytes;
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256.create().update(NODE).update(left).update(right).digest() as Bytes;
}

/** The right edge of a growing tree: enough to append and to state the root. */
export class Frontier {
  size = 0;
  private readonly hashes: Bytes[] = [];

  append(leaf: Bytes): void {
    let index = this.size;
    let hash = leaf;
    while (index & 1) {
      hash = nodeHash(this.hashes.pop()!, hash);
      index >>= 1;
    }
    this.hashes.push(hash);
    this.size++;
  }

  root(): Bytes {
    if (!this.hashes.length) return digest(new Uint8Array());
    return this.hashes.slice(0, -1).reduceRight((root, left) => nodeHash(left, root), this.hashes.at(-1)!);
  }
}

/** Throws ProofFault unless the leaf is entry `index` of the tree (size, root). */
export function checkInclusion(leaf: Bytes, index: number, size: number, path: Bytes[], root: Bytes): void {
  let at = index;
  let last = size - 1;
  let hash = leaf;
  if (!(index >= 0 && index < size)) throw new ProofFault(`no entry ${index} in a tree of ${size}`);
  for (const step of path) {
    if (!last) throw new ProofFault('inclusion proof too long');
    if (at % 2 || at === last) {
      hash = nodeHash(step, hash);
      while (at && at % 2 === 0) [at, last] = [half(at), half(last)];
    } else hash = nodeHash(hash, step);
    [at, last] = [half(at), half(last)];
  }
  if (last || !same(hash, root)) throw new ProofFault(`entry ${index} is not in this log of ${size}`, { index, zh: `第 ${index} 条不在这份 ${size} 条的日志中` });
}

/** Throws ProofFault unless the tree (size2, root2) begins with (size1, root1). */
export function checkConsistency(size1: number, size2: number, path: Bytes[], root1: Bytes, root2: Bytes): void {
  const fault = new ProofFault(`the log of ${size2} entries does not continue the one of ${size1}`, { zh: `现在 ${size2} 条的日志不是先前 ${size1} 条的延续：日志被改写` });
  if (size1 < 1 || size1 > size2) throw fault;
  if (size1 === size2) {
    if (path.length || !same(root1, root2)) throw fault;
    return;
  }
  const steps = isPowerOfTwo(size1) ? [root1, ...path] : path;
  if (!steps.length) throw fault;
  let at = size1 - 1;
  let last = size2 - 1;
  while (at % 2) [at, last] = [half(at), half(last)];
  let old = steps[0]!;
  let now = steps[0]!;
  for (const step of steps.slice(1)) {
    if (!last) throw fault;
    if (at % 2 || at === last) {
      old = nodeHash(step, old);
      now = nodeHash(step, now);
      while (at && at % 2 === 0) [at, last] = [half(at), half(last)];
    } else now = nodeHash(now, step);
    [at, last] = [half(at), half(last)];
  }
  if (last || !same(old, root1) || !same(now, root2)) throw fault;
}

function isPowerOfTwo(number: number): boolean {
  while (number % 2 === 0) number /= 2;
  return number === 1;
}

function half(number: number): number {
  return Math.floor(number / 2);
}
