/** Bodies frozen by the gateway's implementation are read equal here, bit for bit; what the format forbids is refused. */
import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FormatFault, hex, unhex, type Bytes } from '../src/lib/verify/bytes';
import { readBody, readRecord } from '../src/lib/verify/body';
import { decode, Float, type Item } from '../src/lib/verify/cbor';
import { groupsOf } from '../src/lib/verify/log';

const file = (name: string): Buffer => readFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url));
const octets = (name: string): Bytes => new Uint8Array(file(name));

interface Expected {
  groups: string[][];
  batch: { manifest: string; blocks: { points: string[]; time_us: number[]; value: string[][]; quality: number[][] }[] };
}

function bits(values: Float64Array): string[] {
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  return Array.from(values, (_, at) => view.getBigUint64(8 * at, true).toString(16).padStart(16, '0'));
}

describe('frozen bodies', () => {
  it.each(['small', 'mixed', 'empty', 'mine'])('body_%s is read as it was written: points, times, qualities, every bit of every number', async (name) => {
    const expected = JSON.parse(file(`body_${name}.json`).toString()) as Expected;
    const body = await readBody(octets(`body_${name}.bin`), expected.groups);
    expect(hex(body.manifest)).toBe(expected.batch.manifest);
    expect(body.blocks.length).toBe(expected.batch.blocks.length);
    body.blocks.forEach((block, at) => {
      const want = expected.batch.blocks[at]!;
      expect(block.points).toEqual(want.points);
      expect(block.time_us).toEqual(want.time_us);
      expect(block.quality.map((row) => [...row])).toEqual(want.quality);
      expect(block.value.map(bits)).toEqual(want.value);
    });
  });

  it('hold NaN, infinity and minus zero, so that the comparison above means something', async () => {
    const all = (JSON.parse(file('body_mixed.json').toString()) as Expected).batch.blocks.flatMap((b) => b.value.flat());
    for (const wanted of ['7ff8000000000000', '7ff0000000000000', 'fff0000000000000', '8000000000000000']) expect(all).toContain(wanted);
  });

  it('names the groups of the frozen manifest', async () => {
    const { groups, decimals } = groupsOf(await readRecord(octets('manifest.bin')));
    const expected = JSON.parse(file('manifest.json').toString()) as { groups: { points: string[] }[]; points: { id: string; decimals: number }[] };
    expect(groups).toEqual(expected.groups.map((group) => group.points));
    expect([...decimals]).toEqual(expected.points.map((point) => [point.id, point.decimals]));
  });
});

/** A body of one block of one point made by hand, with changes. */
function byHand(changes: Map<number, string | null> = new Map()): Bytes {
  const parts = new Map<number, string>([
    [0, '01'], [1, '486d616e6966657374'], [2, '8301190100' + '00'], [3, '1903e8'],
    [4, '81' + '84' + '00' + '03' + '00' + '01'], // one block: group 0, 3 rows, start 0, period 1
    [5, '41' + '10'], // one lane: halves, no decimals
    [6, '41' + '0a'], // first 5
    [7, '41' + '21'], // steps -1, +1
  ]); // prettier-ignore
  for (const [key, value] of changes) {
    if (value === null) parts.delete(key);
    else parts.set(key, value);
  }
  const text = [...parts].sort(([a], [b]) => a - b).map(([key, value]) => key.toString(16).padStart(2, '0') + value).join('');
  return new Uint8Array(deflateSync(unhex((0xa0 + parts.size).toString(16) + text)));
}

describe('a body made by hand', () => {
  const groups = [['a']];

  it('is read', async () => {
    const { blocks } = await readBody(byHand(), groups);
    expect([blocks[0]!.time_us, [...blocks[0]!.value[0]!]]).toEqual([[1000, 1001, 1002], [5, 4, 5]]);
  });

  it.each<[string, number, string | null]>([
    ['a version that is not known', 0, '02'],
    ['a version that is a float', 0, 'f93c00'],
    ['no clock', 2, null],
    ['no origin', 3, null],
    ['a group that does not exist', 4, '818401030001'],
    ['no rows', 4, '818400000001'],
    ['more rows than there are differences', 4, '81840018640001'],
    ['steps that do not fit the rows', 4, '8184000300' + '8101'],
    ['a tick that does not exist', 4, '818500030001' + '02'],
    ['a period that is a float', 4, '81840003' + '00f93c00'],
    ['a kind that does not exist', 5, '411f'],
    ['a width that does not exist', 5, '4160'],
    ['half a float64', 5, '411b'],
    ['the upper half of a float64 alone', 5, '411c'],
    ['a lane too many', 5, '421010'],
    ['no first number', 6, null],
    ['halves left over', 7, '422100'],
    ['no halves', 7, null],
    ['a plane nobody needs', 8, '814100'],
    ['an empty plane nobody needs', 8, '8140'],
    ['times nobody needs', 9, '4100'],
    ['runs that do not cover', 10, '4121'],
    ['positions without tags', 12, '84000100' + '01'],
    ['a key that does not exist', 14, '00'],
  ])('is refused with %s', async (_, key, value) => {
    await expect(readBody(byHand(new Map([[key, value]])), groups)).rejects.toThrow(FormatFault);
  });

  it('is refused when a half without meaning is not 0', async () => {
    const rows2 = '818400020001';
    await readBody(byHand(new Map([[4, rows2], [7, '4101']])), groups);
    await expect(readBody(byHand(new Map([[4, rows2], [7, '4121']])), groups)).rejects.toThrow(FormatFault);
  });

  it('is refused when a run has no length, and read when the runs cover', async () => {
    const runs = (codes: string, lengths: string): Map<number, string> => new Map([[10, codes], [11, lengths]]);
    const { blocks } = await readBody(byHand(runs('420021', '420201')), groups);
    expect([[...blocks[0]!.quality[0]!], blocks[0]!.value[0]![2]]).toEqual([[0, 0, 33], NaN]);
    await expect(readBody(byHand(runs('430021' + '00', '43020100')), groups)).rejects.toThrow(FormatFault);
  });

  it('is refused when times fall', async () => {
    await expect(readBody(byHand(new Map([[4, '818500030001' + '01'], [9, '420303']])), groups)).rejects.toThrow(FormatFault);
  });
});

describe('zlib', () => {
  const body = file('body_small.bin');
  const groups = (JSON.parse(file('body_small.json').toString()) as Expected).groups;

  it.each<[string, Buffer]>([
    ['bytes after the stream', Buffer.concat([body, Buffer.of(0)])],
    ['its end cut off', body.subarray(0, -1)],
    ['a wrong checksum', Buffer.concat([body.subarray(0, -1), Buffer.of(body.at(-1)! ^ 1)])],
    ['a raw stream', body.subarray(2)],
    ['nothing', Buffer.alloc(0)],
  ])('is refused with %s', async (_, data) => {
    await expect(readBody(new Uint8Array(data), groups)).rejects.toThrow(FormatFault);
  });

  it('is refused when it opens to more than the limit', async () => {
    await expect(readRecord(new Uint8Array(deflateSync(Buffer.alloc(5 << 20))))).rejects.toThrow(/more than/);
  });
});

describe('numbers in CBOR', () => {
  const read = (text: string): Item => decode(unhex(text));

  it('keep floats apart from integers, also as keys', () => {
    expect(read('01')).toBe(1);
    expect(read('f93c00')).toEqual(new Float(1));
    expect(() => read('a1f93c0000')).toThrow(FormatFault);
  });

  it('are read in all three sizes of float', () => {
    expect(['f97e00', 'f98000', 'f90001', 'f9fc00', 'fa47c35000', 'fb3ff199999999999a'].map((text) => (read(text) as Float).value)).toEqual([NaN, -0, 2 ** -24, -Infinity, 100000, 1.1]);
  });

  it('reach as far as every language holds them exactly', () => {
    expect([read('1b001fffffffffffff'), read('3b001ffffffffffffe')]).toEqual([Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]);
    for (const text of ['1b0020000000000000', '3b001fffffffffffff']) expect(() => read(text)).toThrow(FormatFault);
  });
});
