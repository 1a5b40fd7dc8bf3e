/** The quick reader and the strict one say the same of every statement, and of every damaged one. */
import { describe, expect, it } from 'vitest';
import { Fault, type Bytes } from '../src/lib/verify/bytes';
import { digestsOf, hashAt } from '../src/lib/verify/digests';
import { readOrFault } from '../src/lib/verify/audit';
import { digest } from '../src/lib/verify/merkle';
import { QuickReader } from '../src/lib/verify/quick';
import { readStatement, type Statement } from '../src/lib/verify/statement';
import { Tree } from '../src/lib/verify/tree';
import { Sealer, T0_MS, TestLog, key } from './support/log';

const FIELDS = ['raw', 'kid', 'issuer', 'subject', 'kind', 'digest', 'chain', 'signature', 'signed'] as const;
const plain = (found: Statement | Fault): unknown => (found instanceof Fault ? found.message : Object.fromEntries(FIELDS.map((name) => [name, found[name]])));

function statements(): Bytes[] {
  const sealers = [new Sealer('gw-1', key('a')), new Sealer('采煤-2', key('b'), 300), new Sealer('g'.repeat(100), key('c'))];
  return sealers.flatMap((sealer) => [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32, 2 ** 40].map((seq, n) => sealer.seal({ seq, kind: n === 4 ? 'gap' : 'data', t_ms: T0_MS + seq }).raw));
}

describe('the quick reader', () => {
  it('gives what the strict one gives, for numbers of every width', () => {
    const reader = new QuickReader();
    for (const raw of statements()) expect(plain(readOrFault(raw, (each) => reader.read(each)))).toEqual(plain(readStatement(raw)));
  });

  it('refuses what the strict one refuses, with every bit of a known form changed, and any byte put in or left out', () => {
    const reader = new QuickReader();
    const all = statements();
    all.forEach((raw) => reader.read(raw));
    for (const raw of [all[0]!, all[14]!]) {
      for (let at = 0; at < raw.length; at += at < 140 ? 1 : 7) {
        const damaged = [0, 5, 7].map((bit) => raw.map((octet, n) => (n === at ? octet ^ (1 << bit) : octet)) as Bytes);
        damaged.push(Uint8Array.from([...raw.slice(0, at), ...raw.slice(at + 1)]), Uint8Array.from([...raw.slice(0, at), 0, ...raw.slice(at)]));
        for (const bad of damaged) expect(plain(readOrFault(bad, (each) => reader.read(each)))).toEqual(plain(readOrFault(bad)));
      }
    }
  }, 30_000);
});

describe('hashes of a tile', () => {
  it('make the tree that entry by entry makes', () => {
    const log = new TestLog();
    log.enrol('gw-1');
    log.batches('gw-1', 600);
    const [ours, whole] = [new Tree(), log.entries.slice(0, 512)];
    for (const part of [whole.slice(0, 256), whole.slice(256)]) {
      const found = digestsOf(part, true);
      ours.appendTile(found.rows);
      part.forEach((raw, n) => expect(hashAt(found.own, n)).toEqual(digest(raw)));
    }
    log.entries.slice(512).forEach((raw) => ours.append(digestsOf([raw], false).rows[0]!));
    for (const size of [1, 255, 256, 300, 511, 512, 513, 602]) expect(ours.root(size)).toEqual(log.tree.root(size));
  });
});
