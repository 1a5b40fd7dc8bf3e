/** The hashes of a bundle of entries: what the tree needs and what the chain needs; by workers of their own where there are some. */
import { sha256 } from '@noble/hashes/sha2.js';
import type { Bytes } from './bytes';

const HASH = 32;
const [LEAF, NODE] = [Uint8Array.of(0), Uint8Array.of(1)];
// three states for a million hashes: making one for each costs more than a third of the time
const [fresh, state, found] = [sha256.create(), sha256.create(), new Uint8Array(HASH)];

/** Writes the hash of `prefix` (if any) and `data` into `out` at a place. */
function hashInto(out: Bytes, at: number, data: Uint8Array, prefix: Uint8Array | null): void {
  fresh._cloneInto(state);
  if (prefix) state.update(prefix);
  state.update(data).digestInto(found);
  out.set(found, at);
}

export interface Digests {
  /** Leaf hashes; for a full tile also every row of nodes over them, up to one. */
  rows: Bytes[];
  /** The statements' own hashes, which their successors name. */
  own: Bytes;
}

/** Hashes entries; `full`: they are a whole tile, a power of two of them. */
export function digestsOf(raws: readonly Bytes[], full: boolean): Digests {
  const [leaves, own] = [new Uint8Array(HASH * raws.length), new Uint8Array(HASH * raws.length)];
  raws.forEach((raw, n) => {
    hashInto(leaves, HASH * n, raw, LEAF);
    hashInto(own, HASH * n, raw, null);
  });
  const rows: Bytes[] = [leaves];
  for (let below = leaves; full && below.length > HASH; below = rows.at(-1)!) {
    const row = new Uint8Array(below.length / 2);
    for (let at = 0; at < row.length; at += HASH) hashInto(row, at, below.subarray(2 * at, 2 * at + 2 * HASH), NODE);
    rows.push(row);
  }
  return { rows, own };
}

export const hashAt = (hashes: Bytes, n: number): Bytes => hashes.subarray(HASH * n, HASH * (n + 1));

export type Digest = (raws: Bytes[], full: boolean) => Promise<Digests>;

/** Hashes here. */
export const inline: Digest = async (raws, full) => digestsOf(raws, full);

export interface Task {
  raws: Bytes[];
  full: boolean;
}

/** Several workers that hash; a browser that lets a worker make none gets its hashes from here. */
export class Crew {
  private readonly workers: { worker: Worker; due: ((found: Digests) => void)[]; tasks: Task[] }[] = [];

  constructor(make: () => Worker, count: number) {
    for (let n = 0; n < count; n++) {
      try {
        this.add(make());
      } catch {
        return;
      }
    }
  }

  digest: Digest = (raws, full) => {
    const next = this.workers.reduce<(typeof this.workers)[number] | null>((best, each) => (best && best.due.length <= each.due.length ? best : each), null);
    if (!next) return inline(raws, full);
    return new Promise((resolve) => {
      const task: Task = { raws, full };
      next.due.push(resolve);
      next.tasks.push(task);
      next.worker.postMessage(task);
    });
  };

  end(): void {
    for (const { worker } of this.workers) worker.terminate();
  }

  private add(worker: Worker): void {
    const each = { worker, due: [] as ((found: Digests) => void)[], tasks: [] as Task[] };
    worker.onmessage = ({ data }: MessageEvent<Digests>) => {
      each.tasks.shift();
      each.due.shift()?.(data);
    };
    worker.onerror = () => {
      this.workers.splice(this.workers.indexOf(each), 1);
      each.due.forEach((resolve, n) => resolve(digestsOf(each.tasks[n]!.raws, each.tasks[n]!.full)));
    };
    this.workers.push(each);
  }
}
