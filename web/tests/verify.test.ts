/** The browser's verifier reads the frozen vectors that every implementation must read. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatFault, hex, ProofFault, unhex, type Bytes } from '../src/lib/verify/bytes';
import { decode, Float } from '../src/lib/verify/cbor';
import { keyText, PublicKey } from '../src/lib/verify/keys';
import { tileNumber } from '../src/lib/verify/log';
import { checkConsistency, checkInclusion, Frontier, leafHash } from '../src/lib/verify/merkle';
import { parseVkey, readCheckpoint } from '../src/lib/verify/note';
import { checkStatement, readEnvelope, readStatement } from '../src/lib/verify/statement';

const v = JSON.parse(readFileSync(new URL('../../tests/vectors/evidence.json', import.meta.url), 'utf8'));
const bytes = (text: string): Bytes => unhex(text);

describe('statements', () => {
  it('reads and verifies the golden statement, in its first and its present media type', async () => {
    const key = new PublicKey(bytes(v.public.gateway));
    for (const raw of [v.statement, v.statement_v1]) await checkStatement(readStatement(bytes(raw)), key);
    const statement = readStatement(bytes(v.statement));
    expect(hex(statement.signed)).toBe(v.statement_tbs);
    expect(hex(leafHash(statement.raw))).toBe(v.leaf_hash);
    expect(hex(key.kid)).toBe(v.kid_gateway);
    expect(keyText(key.kid)).toBe('ef30-cdaa-8997-4712');
  });

  it('refuses any single flipped byte', async () => {
    const key = new PublicKey(bytes(v.public.gateway));
    const raw = bytes(v.statement_v1);
    for (let at = 0; at < raw.length; at += 3) {
      const bad = raw.slice();
      bad[at]! ^= 0x41;
      await expect((async () => checkStatement(readStatement(bad), key))(), `byte ${at}`).rejects.toThrow();
    }
  });

  it('splits an envelope', () => {
    expect(hex(readEnvelope(bytes(v.envelope)).statement)).toBe(v.statement_v1);
  });
});

describe('the tree', () => {
  it('gives the roots of RFC 6962 for its eight leaves', () => {
    const tree = new Frontier();
    v.rfc6962_leaves.forEach((leaf: string, n: number) => {
      tree.append(leafHash(bytes(leaf)));
      expect(hex(tree.root())).toBe(v.rfc6962_roots_1_to_8[n]);
    });
  });

  it('checks inclusion and consistency, and refuses other places', () => {
    const path = v.inclusion_1_5.map(bytes);
    checkInclusion(bytes(v.leaf_hash), 1, 5, path, bytes(v.root5));
    for (const index of [0, 2, 3, 4]) expect(() => checkInclusion(bytes(v.leaf_hash), index, 5, path, bytes(v.root5))).toThrow(ProofFault);
    const steps = v.consistency_3_5.map(bytes);
    checkConsistency(3, 5, steps, bytes(v.root3), bytes(v.root5));
    expect(() => checkConsistency(4, 5, steps, bytes(v.root3), bytes(v.root5))).toThrow(ProofFault);
    expect(() => checkConsistency(3, 5, steps.slice(1), bytes(v.root3), bytes(v.root5))).toThrow(ProofFault);
  });
});

describe('notes', () => {
  it('opens the golden checkpoint under its key and under no other', async () => {
    const checkpoint = await readCheckpoint(v.checkpoint, v.log_vkey);
    expect([checkpoint.size, hex(checkpoint.root)]).toEqual([5, v.root5]);
    await expect(readCheckpoint(v.checkpoint, v.signed_note_vkey)).rejects.toThrow(ProofFault);
    await expect(readCheckpoint(v.checkpoint.replace('\n5\n', '\n6\n'), v.log_vkey)).rejects.toThrow(ProofFault);
  });

  it('refuses a verifier key whose id is another', () => {
    expect(() => parseVkey(v.log_vkey.replace('+9249cc6a+', '+9249cc6b+'))).toThrow(ProofFault);
  });
});

describe('CBOR', () => {
  it.each(['1817', '190010', '1a00000100', '5f4100ff', 'a201000100', 'a2020001 00'.replace(' ', ''), 'fb3ff0000000000000', '0000', 'f97e01', '62c328', '81', '1bffffffffffffffff'])(
    'refuses %s',
    (text) => expect(() => decode(bytes(text))).toThrow(FormatFault),
  );

  it('reads each kind of item', () => {
    expect(decode(bytes('8601206161f93c00f5f6'))).toEqual([1, -1, 'a', new Float(1), true, null]);
    expect(decode(bytes('fb3ff199999999999a'))).toEqual(new Float(1.1));
  });
});

it('writes tile numbers in groups of three', () => {
  expect([0, 7, 255, 1000, 1234067].map(tileNumber)).toEqual(['000', '007', '255', 'x001/000', 'x001/x234/067']);
});

it('refuses keys of small order', () => {
  for (const raw of ['01' + '00'.repeat(31), '00'.repeat(32), 'ec' + 'ff'.repeat(30) + '7f']) expect(() => new PublicKey(bytes(raw))).toThrow(ProofFault);
});
