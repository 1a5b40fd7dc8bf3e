/** The body of a data batch: readings decoded from the bytes whose hash was signed; the layout is SPEC.md's.

Positions and events are passed over: the pages compare numbers of points. What is passed over is still measured, so
that no byte of the readings' streams is left unexplained.
*/
import { FormatFault, inflate, type Bytes } from './bytes';
import { decode, type Item, type Key } from './cbor';

export interface Block {
  points: readonly string[];
  time_us: number[];
  /** One row per point, bit for bit what was put in. */
  value: Float64Array[];
  quality: Uint8Array[];
}

export interface Body {
  manifest: Bytes;
  blocks: Block[];
}

export const BODY_BYTES_MAX = 1 << 20;
const INFLATED_BYTES_MAX = 16 << 20;
const RECORD_BYTES_MAX = 4 << 20;
const SAMPLES_MAX = 1 << 20;
const ROWS_MAX = 1 << 16;
const BLOCKS_MAX = 4096;
const LANES_MAX = 1 << 15;
const BAD = 32;
const [VERSION, MANIFEST, CLOCK, ORIGIN, BLOCKS, CODES, FIRSTS, HALVES, PLANES, STEPS, QUALITY_CODES, QUALITY_LENGTHS, FIXES, EVENTS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13] as const;
const [DECIMALS_MAX, FLOAT32, FLOAT64_LOW, VERBATIM_LOW, KIND_MAX, WIDTH_MAX] = [9, 10, 11, 13, 14, 5] as const;
const SCALES = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9] as const;
const FIRST_MAX = 2 ** 46;
const PERIOD_US_MAX = 2 ** 36 - 1;
const WHOLE_MAX = Number.MAX_SAFE_INTEGER;
const FIX_COLUMNS = 9;
const CANONICAL_NAN_HIGH = 0x7ff80000;

interface Head {
  /** Empty for the table of positions, whose lanes are read and let go. */
  points: readonly string[];
  columns: number;
  rows: number;
  times: Item[];
}

/** Opens a record: one CBOR map with text keys under zlib. */
export async function readRecord(body: Bytes): Promise<Map<string, Item>> {
  const record = decode(await inflate(body, RECORD_BYTES_MAX));
  if (!(record instanceof Map) || ![...record.keys()].every((key) => typeof key === 'string')) throw new FormatFault('a record is one map with text keys');
  return record as Map<string, Item>;
}

/** The point ids of a manifest's poll groups, in order. */
export type Groups = readonly (readonly string[])[];

/** Opens a data body; `of` are its manifest's groups, or who knows them by the manifest's key. */
export async function readBody(data: Bytes, of: Groups | ((manifest: Bytes) => Groups)): Promise<Body> {
  if (data.length > BODY_BYTES_MAX) throw new FormatFault(`body of more than ${BODY_BYTES_MAX} bytes`);
  const map = decode(await inflate(data, INFLATED_BYTES_MAX));
  if (!(map instanceof Map) || map.get(VERSION) !== 1) throw new FormatFault('body is not of version 1');
  if (!map.has(CLOCK) || [...map.keys()].some((key) => typeof key !== 'number' || key < 0 || key > EVENTS)) throw new FormatFault('body is not a map of the known keys');
  const manifest = octets(map, MANIFEST);
  if (manifest.length !== 8) throw new FormatFault('body without a manifest');
  const heads = readHeads(map, typeof of === 'function' ? of(manifest) : of);
  const lanes = readLanes(map, heads);
  const qualities = readQualities(map, heads);
  const steps = readSteps(map, heads);
  const blocks: Block[] = [];
  let lane = 0;
  let sample = 0;
  heads.forEach((head, n) => {
    const block: Block = { points: head.points, time_us: readTimes(map, head, steps[n]!), value: [], quality: [] };
    if (!head.points.length) return;
    for (let column = 0; column < head.columns; column++) {
      const quality = qualities.slice(sample, (sample += head.rows));
      const { value, used } = columnOf(lanes, lane, head.rows, quality);
      lane += used;
      block.value.push(value);
      block.quality.push(quality);
    }
    blocks.push(block);
  });
  return { manifest, blocks };
}

/** The heads of all blocks, and last a head without points for the table of positions. */
function readHeads(map: Map<Key, Item>, groups: Groups): Head[] {
  const blocks = list(map.get(BLOCKS) ?? []);
  if (blocks.length > BLOCKS_MAX) throw new FormatFault(`body: more than ${BLOCKS_MAX} blocks`);
  const heads = blocks.map((item): Head => {
    const [group, rows, ...times] = list(item);
    const points = groups[whole(group, groups.length - 1)]!;
    if (!points.length) throw new FormatFault('body: a block of a group without points');
    return { points, columns: points.length, rows: whole(rows, ROWS_MAX, 1), times };
  });
  if (map.has(FIXES)) {
    const [tags, rows, ...times] = list(map.get(FIXES));
    if (!list(tags).every((tag) => typeof tag === 'string')) throw new FormatFault('body: a tag is no text');
    heads.push({ points: [], columns: FIX_COLUMNS, rows: whole(rows, ROWS_MAX, 1), times });
  }
  if (heads.length > 0 !== map.has(ORIGIN)) throw new FormatFault('body: an origin of times without times, or none');
  if (heads.reduce((sum, h) => sum + h.rows * h.columns, 0) > SAMPLES_MAX) throw new FormatFault(`body: more than ${SAMPLES_MAX} samples`);
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
  if (code.length > LANES_MAX || code.some((c) => (c & 15) > KIND_MAX || c >> 4 > WIDTH_MAX)) throw new FormatFault("body: too many lanes, or a lane's kind or width does not exist");
  let before = 0;
  const first = planes(octets(map, FIRSTS), code.length, 6).map((n) => (before += unzigzag(n)));
  if (first.some((n) => Math.abs(n) >= FIRST_MAX)) throw new FormatFault('body: a first number is too large');
  const halves = new Halves(octets(map, HALVES));
  const wide = list(map.get(PLANES) ?? []).map((plane) => new Plane(bytes(plane)));
  const steps: (Float64Array | null)[] = [];
  for (const head of heads) {
    for (let column = 0; column < head.columns; column++) {
      for (const c of lanesOfColumn(code, steps.length)) {
        const width = c >> 4;
        const count = head.rows - 1;
        if (!width || !count) steps.push(null);
        else if (width === 1) steps.push(halves.take(count));
        else steps.push(together(wide.slice(0, width - 1), count, width - 1));
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
  if (kind === FLOAT64_LOW + 1 || kind === VERBATIM_LOW + 1) throw new FormatFault('body: half a float64 column');
  if (kind !== FLOAT64_LOW && kind !== VERBATIM_LOW) return [c];
  const high = code[lane + 1];
  if (high === undefined || (high & 15) !== kind + 1) throw new FormatFault('body: half a float64 column');
  return [c, high];
}

function together(streams: Plane[], count: number, wanted: number): Float64Array {
  if (streams.length !== wanted) throw new FormatFault('body: a plane is missing');
  const out = new Float64Array(count);
  let scale = 1;
  for (const stream of streams) {
    const part = stream.take(count);
    for (let n = 0; n < count; n++) out[n]! += part[n]! * scale;
    scale *= 256;
  }
  return out;
}

/** One byte of every difference that is wide enough, in order. */
class Plane {
  private at = 0;
  constructor(private readonly data: Bytes) {}

  take(count: number): Bytes {
    if (this.at + count > this.data.length) throw new FormatFault('body: a stream ends early');
    return this.data.subarray(this.at, (this.at += count));
  }

  done(): boolean {
    return this.at === this.data.length && this.at > 0;
  }
}

/** Differences below 16, two a byte, the low half first; a half left over at the end is 0. */
class Halves {
  private at = 0;
  constructor(private readonly data: Bytes) {}

  take(count: number): Float64Array {
    if (this.at + count > 2 * this.data.length) throw new FormatFault('body: a stream ends early');
    return Float64Array.from({ length: count }, () => this.next());
  }

  private next(): number {
    const octet = this.data[this.at >> 1]!;
    return this.at++ % 2 ? octet >> 4 : octet & 15;
  }

  done(): boolean {
    return (this.at + 1) >> 1 === this.data.length && (this.at % 2 === 0 || this.next() === 0);
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

/** Floats are written as words: a number passed through JavaScript may lose the bits of a NaN. */
function columnOf(lanes: Lanes, lane: number, rows: number, quality: Uint8Array): { value: Float64Array; used: number } {
  const kind = lanes.code[lane]! & 15;
  const value = numbers(lanes, lane, rows);
  const words = new Uint32Array(value.buffer);
  let used = 1;
  if (kind <= DECIMALS_MAX) for (let t = 0; t < rows; t++) value[t]! /= SCALES[kind]!;
  else if (kind === FLOAT32) {
    const view = new DataView(new ArrayBuffer(4));
    value.forEach((n, t) => {
      view.setUint32(0, word(n));
      value[t] = view.getFloat32(0);
    });
  } else {
    const high = numbers(lanes, lane + 1, rows);
    used = 2;
    for (let t = 0; t < rows; t++) {
      words[2 * t] = word(value[t]!);
      words[2 * t + 1] = word(high[t]!);
    }
  }
  if (kind < VERBATIM_LOW) {
    quality.forEach((q, t) => {
      if (q >= BAD) [words[2 * t], words[2 * t + 1]] = [0, CANONICAL_NAN_HIGH];
    });
  }
  return { value, used };
}

function word(number: number): number {
  return number >>> 0;
}

function readQualities(map: Map<Key, Item>, heads: Head[]): Uint8Array {
  const samples = heads.reduce((total, head) => total + (head.points.length ? head.rows * head.columns : 0), 0);
  const out = new Uint8Array(samples);
  if (!map.has(QUALITY_CODES)) {
    if (map.has(QUALITY_LENGTHS)) throw new FormatFault('body: quality runs without codes');
    return out;
  }
  const codes = octets(map, QUALITY_CODES);
  const lengths = planes(octets(map, QUALITY_LENGTHS), codes.length, 4);
  let at = 0;
  lengths.forEach((length, n) => out.fill(codes[n]!, at, (at += length)));
  if (at !== samples || !codes.length || lengths.includes(0)) throw new FormatFault('body: quality runs do not cover the readings');
  return out;
}

function readSteps(map: Map<Key, Item>, heads: Head[]): number[][] {
  const counts = heads.map((head) => (head.times.length === 3 ? head.rows - 1 : 0));
  const all = planes(map.has(STEPS) ? octets(map, STEPS) : new Uint8Array(), counts.reduce((total, n) => total + n, 0), 4);
  let at = 0;
  return counts.map((count) => all.slice(at, (at += count)));
}

function readTimes(map: Map<Key, Item>, head: Head, steps: number[]): number[] {
  const [start, period, tick] = head.times;
  const listed = Array.isArray(period) ? period.map((step) => whole(step, WHOLE_MAX)) : null;
  if (head.times.length !== (tick === undefined ? 2 : 3) || (listed && (tick !== undefined || listed.length !== head.rows - 1))) throw new FormatFault('body: times of no known form');
  if (tick !== undefined && (head.rows < 2 || (tick !== 1 && tick !== 1000))) throw new FormatFault('body: times of no known form');
  const every_us = listed ? 0 : whole(period, PERIOD_US_MAX);
  let now = whole(map.get(ORIGIN), WHOLE_MAX) + whole(start, WHOLE_MAX, -WHOLE_MAX);
  const out = [now];
  for (let t = 1; t < head.rows; t++) {
    const before = now;
    now += (listed ? listed[t - 1]! : every_us) + (tick === undefined ? 0 : unzigzag(steps[t - 1]!) * (tick as number));
    if (now < before) throw new FormatFault('body: times fall');
    out.push(now);
  }
  if (out[0]! < 0 || now > WHOLE_MAX) throw new FormatFault('body: time out of range');
  return out;
}

/** Numbers as byte planes: all lowest bytes, then all second bytes … */
function planes(data: Bytes, count: number, most: number): number[] {
  const width = count ? data.length / count : 0;
  if (!Number.isInteger(width) || width > most || (count > 0 && !width) || (!count && data.length)) throw new FormatFault('body: byte planes of a wrong length');
  return Array.from({ length: count }, (_, n) => {
    let number = 0;
    for (let plane = width - 1; plane >= 0; plane--) number = number * 256 + data[plane * count + n]!;
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
