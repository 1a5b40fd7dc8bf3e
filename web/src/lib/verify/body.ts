/** The body of a data batch: readings decoded from the bytes whose hash was signed; the layout is SPEC.md's. */
import { FormatFault, inflate, type Bytes } from './bytes';
import { decode, type Item, type Key } from './cbor';

export interface Block {
  points: readonly string[];
  time_us: number[];
  /** One row per point. */
  value: Float64Array[];
  quality: Uint8Array[];
}

export interface Body {
  manifest: Bytes;
  blocks: Block[];
}

const BYTES_MAX = 16 << 20;
const SAMPLES_MAX = 1 << 20;
const BAD = 32;
const [VERSION, MANIFEST, ORIGIN, BLOCKS, CODES, FIRSTS, HALVES, PLANES, STEPS, QUALITY_CODES, QUALITY_LENGTHS, FIXES] = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] as const;
const [DECIMALS_MAX, FLOAT32, FLOAT64_LOW, VERBATIM_LOW, KIND_MAX, WIDTH_MAX] = [9, 10, 11, 13, 14, 5] as const;
const FIX_COLUMNS = 9;
const WORD = 2 ** 32;

interface Head {
  points: readonly string[];
  columns: number;
  rows: number;
  times: Item[];
}

/** Opens a record: one CBOR map with text keys under zlib. */
export async function readRecord(body: Bytes): Promise<Map<string, Item>> {
  const record = decode(await inflate(body, 4 << 20));
  if (!(record instanceof Map) || ![...record.keys()].every((key) => typeof key === 'string')) throw new FormatFault('a record is one map with text keys');
  return record as Map<string, Item>;
}

/** Opens a data body; `groups` are the point ids of its manifest's poll groups, in order. */
export async function readBody(data: Bytes, groups: readonly (readonly string[])[]): Promise<Body> {
  const map = decode(await inflate(data, BYTES_MAX));
  if (!(map instanceof Map) || map.get(VERSION) !== 1) throw new FormatFault('body is not of version 1');
  const manifest = octets(map, MANIFEST);
  if (manifest.length !== 8) throw new FormatFault('body without a manifest');
  const heads = readHeads(map, groups);
  const lanes = readLanes(map, heads);
  const qualities = readQualities(map, heads);
  const steps = readSteps(map, heads);
  const blocks: Block[] = [];
  let lane = 0;
  let sample = 0;
  heads.forEach((head, n) => {
    const block: Block = { points: head.points, time_us: readTimes(map, head, steps[n]!), value: [], quality: [] };
    for (let column = 0; column < head.columns; column++) {
      const quality = qualities.slice(sample, (sample += head.rows));
      const { value, used } = columnOf(lanes, lane, head.rows, quality);
      lane += used;
      block.value.push(value);
      block.quality.push(quality);
    }
    if (head.points.length) blocks.push(block);
  });
  return { manifest, blocks };
}

/** The heads of all blocks, and last a head without points for the table of positions, whose lanes are passed over. */
function readHeads(map: Map<Key, Item>, groups: readonly (readonly string[])[]): Head[] {
  const heads: Head[] = [];
  for (const item of list(map.get(BLOCKS) ?? [])) {
    const [group, rows, ...times] = list(item);
    const points = groups[whole(group, groups.length - 1)]!;
    heads.push({ points, columns: points.length, rows: whole(rows, 65536), times });
  }
  if (map.has(FIXES)) {
    const [, rows, ...times] = list(map.get(FIXES));
    heads.push({ points: [], columns: FIX_COLUMNS, rows: whole(rows, 65536), times });
  }
  if (heads.some((head) => !head.rows) || heads.reduce((sum, h) => sum + h.rows * h.columns, 0) > SAMPLES_MAX) throw new FormatFault('body: wrong number of samples');
  return heads;
}

interface Lanes {
  code: Bytes;
  first: number[];
  /** Differences of each lane, zigzagged; null for a constant one. */
  steps: (Float64Array | null)[];
}

function readLanes(map: Map<Key, Item>, heads: Head[]): Lanes {
  const code = octets(map, CODES);
  if (code.some((c) => (c & 15) > KIND_MAX || c >> 4 > WIDTH_MAX)) throw new FormatFault("body: a lane's kind or width does not exist");
  let before = 0;
  const first = planes(octets(map, FIRSTS), code.length, 6).map((n) => (before += unzigzag(n)));
  const halves = new Reader(octets(map, HALVES));
  const wide = list(map.get(PLANES) ?? []).map((plane) => new Reader(bytes(plane)));
  const steps: (Float64Array | null)[] = [];
  for (const head of heads) {
    for (let column = 0; column < head.columns; column++) {
      for (const c of lanesOfColumn(code, steps.length)) {
        const width = c >> 4;
        const count = head.rows - 1;
        if (!width || !count) steps.push(null);
        else if (width === 1) steps.push(halves.halves(count));
        else steps.push(sum(wide.slice(0, width - 1).map((plane) => plane.octets(count)), count, width - 1));
      }
    }
  }
  if (steps.length !== code.length || ![halves, ...wide].every((stream) => stream.done())) throw new FormatFault('body: the lanes do not fit the points');
  return { code, first, steps };
}

/** The codes of the one or two lanes that make the column which begins at `lane`. */
function lanesOfColumn(code: Bytes, lane: number): number[] {
  const c = code[lane];
  if (c === undefined) throw new FormatFault('body: the lanes do not fit the points');
  const kind = c & 15;
  if (kind !== FLOAT64_LOW && kind !== VERBATIM_LOW) return [c];
  const high = code[lane + 1];
  if (high === undefined || (high & 15) !== kind + 1) throw new FormatFault('body: half a float64 column');
  return [c, high];
}

function sum(parts: Bytes[], count: number, wanted: number): Float64Array {
  if (parts.length !== wanted) throw new FormatFault('body: a plane is missing');
  return Float64Array.from({ length: count }, (_, n) => parts.reduce((total, part, k) => total + part[n]! * 256 ** k, 0));
}

class Reader {
  private at = 0;
  constructor(private readonly data: Bytes) {}

  octets(count: number): Bytes {
    if (this.at + count > this.data.length) throw new FormatFault('body: a stream ends early');
    return this.data.subarray(this.at, (this.at += count));
  }

  /** Numbers below 16, two a byte, the low half first; `at` counts halves here. */
  halves(count: number): Float64Array {
    if (this.at + count > 2 * this.data.length) throw new FormatFault('body: a stream ends early');
    return Float64Array.from({ length: count }, () => {
      const octet = this.data[this.at >> 1]!;
      return this.at++ % 2 ? octet >> 4 : octet & 15;
    });
  }

  done(): boolean {
    return this.at === this.data.length || (this.at + 1) >> 1 === this.data.length;
  }
}

function numbers(lanes: Lanes, lane: number, rows: number): Float64Array {
  const out = new Float64Array(rows);
  const steps = lanes.steps[lane];
  let number = lanes.first[lane]!;
  out[0] = number;
  for (let t = 1; t < rows; t++) out[t] = number += steps ? unzigzag(steps[t - 1]!) : 0;
  return out;
}

function columnOf(lanes: Lanes, lane: number, rows: number, quality: Uint8Array): { value: Float64Array; used: number } {
  const kind = lanes.code[lane]! & 15;
  const low = numbers(lanes, lane, rows);
  const view = new DataView(new ArrayBuffer(8));
  let used = 1;
  if (kind <= DECIMALS_MAX) low.forEach((n, t) => (low[t] = n / 10 ** kind));
  else if (kind === FLOAT32) {
    low.forEach((n, t) => {
      view.setUint32(0, word(n));
      low[t] = view.getFloat32(0);
    });
  } else {
    const high = numbers(lanes, lane + 1, rows);
    used = 2;
    low.forEach((n, t) => {
      view.setUint32(0, word(high[t]!));
      view.setUint32(4, word(n));
      low[t] = view.getFloat64(0);
    });
  }
  if (kind < VERBATIM_LOW) quality.forEach((q, t) => q >= BAD && (low[t] = NaN));
  return { value: low, used };
}

function word(number: number): number {
  return ((number % WORD) + WORD) % WORD;
}

function readQualities(map: Map<Key, Item>, heads: Head[]): Uint8Array {
  const samples = heads.reduce((total, head) => total + (head.points.length ? head.rows * head.columns : 0), 0);
  const out = new Uint8Array(samples + heads.reduce((most, head) => Math.max(most, head.rows * head.columns), 0));
  if (!map.has(QUALITY_CODES)) return out;
  const codes = octets(map, QUALITY_CODES);
  let at = 0;
  planes(octets(map, QUALITY_LENGTHS), codes.length, 4).forEach((length, n) => out.fill(codes[n]!, at, (at += length)));
  if (at !== samples) throw new FormatFault('body: quality runs do not cover the readings');
  return out;
}

function readSteps(map: Map<Key, Item>, heads: Head[]): number[][] {
  const counts = heads.map((head) => (head.times.length === 3 ? head.rows - 1 : 0));
  const total = counts.reduce((total_, n) => total_ + n, 0);
  const all = planes(map.has(STEPS) ? octets(map, STEPS) : new Uint8Array(), total, 4);
  let at = 0;
  return counts.map((count) => all.slice(at, (at += count)));
}

function readTimes(map: Map<Key, Item>, head: Head, steps: number[]): number[] {
  const [start, period, tick] = head.times;
  let now = whole(map.get(ORIGIN), Number.MAX_SAFE_INTEGER) + whole(start, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER);
  const out = [now];
  for (let t = 1; t < head.rows; t++) {
    const listed = Array.isArray(period) ? whole(period[t - 1], Number.MAX_SAFE_INTEGER) : whole(period, 2 ** 36);
    now += listed + (tick === undefined ? 0 : unzigzag(steps[t - 1]!) * whole(tick, 1000));
    out.push(now);
  }
  return out;
}

/** Numbers as byte planes: all lowest bytes, then all second bytes … */
function planes(data: Bytes, count: number, most: number): number[] {
  const width = count ? data.length / count : 0;
  if (!Number.isInteger(width) || width > most || (count > 0 && !width) || (!count && data.length)) throw new FormatFault('body: byte planes of a wrong length');
  return Array.from({ length: count }, (_, n) => {
    let number = 0;
    for (let plane = 0; plane < width; plane++) number += data[plane * count + n]! * 256 ** plane;
    return number;
  });
}

function unzigzag(number: number): number {
  return number % 2 ? -(number + 1) / 2 : number / 2;
}

function octets(map: Map<Key, Item>, key: number): Bytes {
  return bytes(map.get(key) ?? new Uint8Array());
}

function bytes(item: Item | undefined): Bytes {
  if (!(item instanceof Uint8Array)) throw new FormatFault('body: a string of bytes is missing');
  return item;
}

function list(item: Item | undefined): Item[] {
  if (!Array.isArray(item)) throw new FormatFault('body: an array is missing');
  return item;
}

function whole(item: Item | undefined, most: number, least = 0): number {
  if (typeof item !== 'number' || !Number.isSafeInteger(item) || item < least || item > most) throw new FormatFault('body: a whole number is missing or out of range');
  return item;
}
