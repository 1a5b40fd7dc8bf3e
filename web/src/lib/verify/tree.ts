/** A whole Merkle tree kept in memory, 64 bytes an entry: the root of every size it has had can be asked for. */
import { digest, leafHash, nodeHash } from './merkle';
import { same, type Bytes } from './bytes';

const HASH = 32;
const ROOM = 1024; // hashes a level has room for at first

class Hashes {
  size = 0;
  private data = new Uint8Array(ROOM * HASH);

  /** One hash, or several that follow one another. */
  push(hashes: Bytes): void {
    if (this.size * HASH + hashes.length > this.data.length) {
      const more = new Uint8Array(2 * this.data.length);
      more.set(this.data);
      this.data = more;
    }
    this.data.set(hashes, HASH * this.size);
    this.size += hashes.length / HASH;
  }

  at(index: number): Bytes {
    return this.data.subarray(HASH * index, HASH * (index + 1));
  }
}

export class Tree {
  private readonly levels = [new Hashes()];

  get size(): number {
    return this.levels[0]!.size;
  }

  /** Appends an entry's leaf hash and every node it completes. */
  append(leaf: Bytes): void {
    this.complete(0, leaf);
  }

  /** Appends a full tile: its leaf hashes, and the rows of nodes over them up to the one that stands for all. */
  appendTile(rows: readonly Bytes[]): void {
    rows.slice(0, -1).forEach((row, level) => (this.levels[level] ??= new Hashes()).push(row));
    this.complete(rows.length - 1, rows.at(-1)!);
  }

  private complete(from: number, node: Bytes): void {
    let hash = node;
    for (let level = from; ; level++) {
      const row = (this.levels[level] ??= new Hashes());
      row.push(hash);
      if (row.size % 2) return;
      hash = nodeHash(row.at(row.size - 2), row.at(row.size - 1));
    }
  }

  leaf(index: number): Bytes {
    return this.levels[0]!.at(index);
  }

  /** The root when the tree had `size` entries; null for a size it has not reached. */
  root(size: number): Bytes | null {
    if (size > this.size) return null;
    if (!size) return digest(new Uint8Array());
    let root: Bytes | null = null;
    let left = size;
    for (let level = 0; left > 0; level++, left = Math.floor(left / 2)) {
      if (left % 2 === 0) continue;
      const hash = this.levels[level]!.at(left - 1);
      root = root ? nodeHash(hash, root) : hash;
    }
    return root;
  }

  /** The same tree with other leaves in some places. */
  replaced(leaves: ReadonlyMap<number, Bytes>): Tree {
    const tree = new Tree();
    for (let index = 0; index < this.size; index++) tree.append(leaves.get(index) ?? this.leaf(index));
    return tree;
  }

  /** Whether this entry is the one that the tree holds at `index`. */
  holds(index: number, raw: Bytes): boolean {
    return index < this.size && same(this.leaf(index), leafHash(raw));
  }
}
