/** The page that opens from disk: its zip reader refuses what hides, its engine names what was changed in a real bundle. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkBundle, type BundleReport } from '../src/lib/verify/bundle';
import { ascii, join, type Bytes } from '../src/lib/verify/bytes';
import { Archive, crc32 } from '../src/lib/verify/zip';
import { csv, curve, figures, inTime } from '../src/offline/readings';

const vector = (name: string): Buffer => readFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url));
const bundle = new Uint8Array(vector('evidence.zip')) as Bytes;
const check = (data: Bytes, key = ''): Promise<BundleReport> => checkBundle(data, key, () => undefined);

function header(signature: number, fields: [number, number][]): Bytes {
  const out = new Uint8Array(4 + fields.reduce((sum, [width]) => sum + width, 0));
  const view = new DataView(out.buffer);
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [width, value] of fields) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += width;
  }
  return out;
}

type File = [name: string, data: Bytes];
const local = ([name, data]: File, crc = crc32(data)): Bytes => join(header(0x04034b50, [[2, 20], [2, 0], [2, 0], [2, 0], [2, 33], [4, crc], [4, data.length], [4, data.length], [2, name.length], [2, 0]]), ascii(name), data);
const listed = ([name, data]: File, at: number, method = 0): Bytes =>
  join(header(0x02014b50, [[2, 20], [2, 20], [2, 0], [2, method], [2, 0], [2, 33], [4, crc32(data)], [4, data.length], [4, data.length], [2, name.length], [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]), ascii(name));
const ending = (count: number, size: number, from: number): Bytes => header(0x06054b50, [[2, 0], [2, 0], [2, count], [2, count], [4, size], [4, from], [2, 0]]);

function zip(files: File[]): Bytes {
  const locals = files.map((file) => local(file));
  const places = locals.map((_, n) => locals.slice(0, n).reduce((sum, each) => sum + each.length, 0));
  const directory = join(...files.map((file, n) => listed(file, places[n]!)));
  const from = locals.reduce((sum, each) => sum + each.length, 0);
  return join(...locals, directory, ending(files.length, directory.length, from));
}

/** The bundle with one file changed (null: left out). */
function changed(edit: (name: string, data: Bytes) => Bytes | null): Bytes {
  const archive = new Archive(bundle);
  return zip([...archive.files.keys()].flatMap((name): File[] => {
    const data = edit(name, archive.read(name, 1 << 21)!.data.slice());
    return data ? [[name, data]] : [];
  }));
}

const flip = (data: Bytes, at: number): Bytes => {
  data[at]! ^= 1;
  return data;
};

describe('the zip reader', () => {
  const [a, b]: [File, File] = [['a', ascii('first')], ['b/c', ascii('second')]];

  it('reads what is stored', () => {
    const archive = new Archive(zip([a, b]));
    expect([...archive.files.keys()]).toEqual(['a', 'b/c']);
    expect(new TextDecoder().decode(archive.read('b/c', 99)!.data)).toBe('second');
    expect(archive.read('none', 99)).toBeNull();
    expect(() => archive.read('a', 4)).toThrow('larger');
    expect(crc32(ascii('123456789'))).toBe(0xcbf43926);
  });

  it('refuses whatever one reader could see and another not', () => {
    const [la, lb] = [local(a), local(b)];
    const whole = (locals: Bytes, directory: Bytes, count: number): Bytes => join(locals, directory, ending(count, directory.length, locals.length));
    const cases: [string, Bytes][] = [
      ['twice', zip([a, a])],
      ['no zip archive', join(zip([a]), Uint8Array.of(0))],
      ['no file, or to two', whole(join(la, Uint8Array.of(7), lb), join(listed(a, 0), listed(b, la.length + 1)), 2)],
      ['no file, or to two', whole(join(la, lb), listed(b, la.length), 1)],
      ['no file, or to two', whole(la, join(listed(a, 0), listed(a, 0)), 2)],
      ['belong to no file', whole(join(la, Uint8Array.of(1, 2)), listed(a, 0), 1)],
      ['compressed', whole(la, listed(a, 0, 8), 1)],
      ['differs from the directory', whole(local(a, 5), listed(a, 0), 1)],
      ['not where the directory says', whole(la, listed(['x', a[1]], 0), 1)],
      ['name that no bundle has', zip([['../a', a[1]]])],
      ["directory ends early", whole(la, listed(a, 0), 2)],
      ['that are no file', whole(la, join(listed(a, 0), Uint8Array.of(1)), 1)],
    ];
    for (const [why, data] of cases) expect(() => new Archive(data), why).toThrow(why);
  });

  it('never does more than refuse an archive with any byte changed or cut off', () => {
    for (let at = 0; at < bundle.length; at += 97) {
      for (const data of [flip(bundle.slice(), at), bundle.slice(0, at)]) {
        try {
          new Archive(data);
        } catch (error) {
          expect((error as Error).constructor.name).toBe('FormatFault');
        }
      }
    }
  });
});

describe('a bundle', () => {
  it('holds, says that it is simulated, and explains the gap', async () => {
    const report = await check(bundle);
    expect(report.findings).toEqual([]);
    expect(report.simulated).toBe(true);
    expect(report.counts).toMatchObject({ entries: 17, signatures: 17, receipts: 17, explained: 1 });
    expect(report.keys.map((each) => each.gateway)).toEqual(['gw-1']);
    expect((await check(bundle, report.vkey)).compared).toBe(true);
  });

  it('gives every reading as the script in the bundle prints it', async () => {
    const report = await check(bundle);
    const parse = (text: string): Map<string, string[]> => new Map(text.trim().split('\n').slice(1).map((line) => line.split(',')).map((cells) => [`${cells[0]} ${cells[3]}`, cells]));
    const [ours, theirs] = [parse([...csv(report.points, report.rows)].join('')), parse(vector('evidence.csv').toString())];
    expect(ours.size).toBe(report.counts.readings);
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
    for (const [name, cells] of theirs) {
      const found = ours.get(name)!;
      const number = (text: string): number | string => (text === 'inf' ? Infinity : text && Number(text));
      expect(Object.is(number(found[4]!), number(cells[4]!)), `${name}: ${found[4]} ${cells[4]}`).toBe(true);
      expect(found.toSpliced(4, 1)).toEqual(cells.toSpliced(4, 1));
    }
  });

  it('names the entry of any flipped byte, with gateway and number', async () => {
    const archive = new Archive(bundle);
    for (const name of [...archive.files.keys()].filter((each) => each.startsWith('entries/'))) {
      const index = Number(/\d+/.exec(name)![0]);
      for (const share of [0.2, 0.97]) {
        const bad = changed((each, data) => (each === name ? flip(data, Math.floor(share * data.length)) : data));
        const { findings } = await check(bad);
        const found = findings.filter((each) => each.index === index);
        expect(found.length, `${name} ${share}`).toBeGreaterThan(0);
        if (index > 5) expect(found[0], `${name} ${share}`).toMatchObject({ gateway: 'gw-1', epoch: 1, seq: index < 9 ? index - 1 : index });
      }
    }
  }, 30_000);

  it('names a byte flipped in the archive as it lies', async () => {
    const { at } = new Archive(bundle).files.get('entries/7.cbor')!;
    const { findings } = await check(flip(bundle.slice(), at + 320));
    expect(findings.map((each) => [each.kind, each.index, each.seq])).toEqual(expect.arrayContaining([['archive', 7, 6]]));
    expect(findings.some((each) => each.kind !== 'archive' && each.index === 7)).toBe(true);
  });

  it('names what was taken out, put in twice, or is of another log', async () => {
    const kinds = async (data: Bytes, key = ''): Promise<string[]> => (await check(data, key)).findings.map((each) => each.kind);
    const without = await check(changed((name, data) => (name.startsWith('entries/6.') ? null : data)));
    expect(without.findings.map(({ kind, gateway, epoch, seq, last }) => [kind, gateway, epoch, seq, last])).toEqual([['count', '', -1, -1, -1], ['missing', 'gw-1', 1, 5, 5]]);
    expect(await kinds(changed((name, data) => (name === 'entries/6.receipt' ? null : data)))).toEqual(['receipt']);
    expect(await kinds(changed((name, data) => (name === 'entries/6.cbor' ? null : data)))).toEqual(expect.arrayContaining(['stray', 'count', 'missing']));
    const other = new Archive(bundle).read('entries/7.cbor', 1 << 20)!.data;
    expect(await kinds(changed((name, data) => (name === 'entries/6.cbor' ? other : data)))).toEqual(expect.arrayContaining(['receipt', 'duplicate', 'missing']));
    expect(await kinds(bundle, 'mine.example+00000000+AAAA')).toEqual(['given']);
    await expect(check(changed((name, data) => (name === 'checkpoint' ? flip(data, 20) : data)))).rejects.toThrow();
    await expect(check(changed((name, data) => (name === 'facts.json' ? null : data)))).rejects.toThrow('no facts.json');
  });
});

describe('a bundle of a server that took what it should not', () => {
  it('names each by entry and number', async () => {
    const { findings } = await check(new Uint8Array(vector('evidence-bad.zip')) as Bytes);
    expect(findings.map(({ kind, index, gateway, epoch, seq }) => [kind, index, gateway, epoch, seq])).toEqual([
      ['duplicate', 5, 'gw-1', 1, 3],
      ['chain', 6, 'gw-1', 1, 4],
      ['absent', 7, 'gw-1', 1, 5],
      ['revoked', 9, 'gw-1', 1, 6],
    ]);
  });
});

describe('readings', () => {
  const point = { gateway: 'g', id: 'p', name: '', unit: '%', quantity: 'CH4', zone: '', decimals: 2, time_us: Float64Array.from([3e6, 1e6, 2e6]), value: Float64Array.from([3, 1, NaN]), quality: Uint8Array.from([0, 0, 33]), row: Uint32Array.from([1, 0, 0]) };

  it('are put in order of time, summed up without those that are no numbers', () => {
    const sorted = inTime(point);
    expect([...sorted.time_us]).toEqual([1e6, 2e6, 3e6]);
    expect(figures(sorted)).toEqual({ n: 3, bad: 1, min: 1, max: 3, mean: 2 });
    expect(curve(sorted, 0, 3)).toMatchObject({ bucket_us: 0, min: [1, null, 3], bad: [0, 1, 0] });
  });

  it('of many keep their least and most in every bucket', () => {
    const n = 50_000;
    const many = { ...point, time_us: Float64Array.from({ length: n }, (_, at) => at * 1e6), value: Float64Array.from({ length: n }, (_, at) => (at === 31_234 ? 99 : at % 7)), quality: new Uint8Array(n), row: new Uint32Array(n) };
    const made = curve(many, 0, n);
    expect(made.time_us.length).toBeLessThanOrEqual(1001);
    expect(Math.max(...(made.max as number[]))).toBe(99);
    expect(made.n.reduce((sum, each) => sum + each, 0)).toBe(n);
  });
});
