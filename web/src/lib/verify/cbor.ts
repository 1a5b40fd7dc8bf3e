/** Strict deterministic CBOR (RFC 8949 section 4.2.1): one form per item, every other form refused. */
import { FormatFault, join, type Bytes } from './bytes';

export class Tag {
  constructor(
    readonly number: number,
    readonly value: Item,
  ) {}
}

/** A float: kept apart from integers, for 1.0 and 1 are two things to whoever signs bytes. */
export class Float {
  constructor(readonly value: number) {}
}

export type Key = number | string;
/** A plain number is an integer. */
export type Item = number | string | boolean | null | Bytes | Item[] | Map<Key, Item> | Tag | Float;

const DEPTH_MAX = 16;
const ITEMS_MAX = 1 << 20;

/** Decodes exactly one item. Integers beyond 2**53 - 1 are refused: nothing we read carries one. */
export function decode(data: Bytes, depth_max = DEPTH_MAX): Item {
  const reader = new Reader(data);
  const item = reader.item(depth_max);
  if (reader.at !== data.length) throw new FormatFault(`${data.length - reader.at} bytes after the item`);
  return item;
}

/** Encodes what proofs and key ids need: integers, bytes, texts, arrays, maps already in order. */
export function encode(item: Item): Bytes {
  if (typeof item === 'number') return item >= 0 ? head(0, item) : head(1, -1 - item);
  if (typeof item === 'string') {
    const text = new TextEncoder().encode(item);
    return join(head(3, text.length), text);
  }
  if (item instanceof Uint8Array) return join(head(2, item.length), item);
  if (Array.isArray(item)) return join(head(4, item.length), ...item.map(encode));
  if (item instanceof Map) return join(head(5, item.size), ...[...item].flatMap(([k, v]) => [encode(k), encode(v)]));
  throw new FormatFault('no form for this item here');
}

/** The shortest head of a major type with its argument. */
export function head(major: number, number: number): Bytes {
  if (number < 24) return Uint8Array.of((major << 5) | number);
  const width = number < 0x100 ? 1 : number < 0x10000 ? 2 : number < 0x100000000 ? 4 : 8;
  const out = new Uint8Array(1 + width);
  out[0] = (major << 5) | (24 + Math.log2(width));
  const view = new DataView(out.buffer);
  if (width === 8) view.setBigUint64(1, BigInt(number));
  else if (width === 4) view.setUint32(1, number);
  else if (width === 2) view.setUint16(1, number);
  else out[1] = number;
  return out;
}

class Reader {
  at = 0;
  private left = ITEMS_MAX;
  private readonly view: DataView;

  constructor(private readonly data: Bytes) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  item(depth: number): Item {
    if (depth < 0 || --this.left < 0) throw new FormatFault('CBOR too deep or of too many items');
    const first = this.take(1)[0]!;
    const major = first >> 5;
    if (major === 7) return this.simple(first & 31);
    const number = this.argument(first & 31);
    if (major === 0) return number;
    if (major === 1) return negative(number);
    if (major === 2) return this.take(number).slice();
    if (major === 3) return this.text(number);
    if (major === 4) return this.array(number, depth);
    if (major === 5) return this.map(number, depth);
    return new Tag(number, this.item(depth - 1));
  }

  private take(count: number): Bytes {
    if (count > this.data.length - this.at) throw new FormatFault('CBOR ends early');
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }

  private argument(short: number): number {
    if (short < 24) return short;
    const width = { 24: 1, 25: 2, 26: 4, 27: 8 }[short];
    if (width === undefined) throw new FormatFault('indefinite or reserved CBOR length');
    const at = this.at;
    this.take(width);
    const number =
      width === 1
        ? this.view.getUint8(at)
        : width === 2
          ? this.view.getUint16(at)
          : width === 4
            ? this.view.getUint32(at)
            : Number(this.view.getBigUint64(at));
    if (number < [24, 0x100, 0x10000, 0x100000000][short - 24]!) throw new FormatFault('long form of a short number');
    if (number > Number.MAX_SAFE_INTEGER) throw new FormatFault('integer beyond 2**53 - 1');
    return number;
  }

  private simple(short: number): boolean | null | Float {
    if (short === 20 || short === 21) return short === 21;
    if (short === 22) return null;
    const at = this.at;
    if (short === 25) return new Float(this.half(this.take(2)));
    if (short === 26) {
      this.take(4);
      const number = this.view.getFloat32(at);
      if (Number.isNaN(number) || isHalf(number)) throw new FormatFault('long form of a short float');
      return new Float(number);
    }
    if (short === 27) {
      this.take(8);
      const number = this.view.getFloat64(at);
      if (Number.isNaN(number) || Math.fround(number) === number) throw new FormatFault('long form of a short float');
      return new Float(number);
    }
    throw new FormatFault('simple value that has no meaning here');
  }

  private half(octets: Bytes): number {
    const bits = (octets[0]! << 8) | octets[1]!;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const sign = bits & 0x8000 ? -1 : 1;
    if (exponent === 31) {
      if (fraction && bits !== 0x7e00) throw new FormatFault('NaN in a second form');
      return fraction ? NaN : sign * Infinity;
    }
    return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  }

  private text(count: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(count));
    } catch (error) {
      if (error instanceof FormatFault) throw error;
      throw new FormatFault('text that is not UTF-8');
    }
  }

  private array(count: number, depth: number): Item[] {
    if (count > this.data.length - this.at) throw new FormatFault('CBOR ends early');
    return Array.from({ length: count }, () => this.item(depth - 1));
  }

  private map(count: number, depth: number): Map<Key, Item> {
    if (count > this.data.length - this.at) throw new FormatFault('CBOR ends early');
    const out = new Map<Key, Item>();
    let before: Bytes | null = null;
    for (let n = 0; n < count; n++) {
      const from = this.at;
      const key = this.item(0);
      const bytes = this.data.subarray(from, this.at);
      if (typeof key !== 'number' && typeof key !== 'string') throw new FormatFault('map key of a kind we do not use');
      if (before && !rises(before, bytes)) throw new FormatFault('map keys out of order or twice');
      before = bytes;
      out.set(key, this.item(depth - 1));
    }
    return out;
  }
}

function negative(number: number): number {
  if (number === Number.MAX_SAFE_INTEGER) throw new FormatFault('integer beyond 2**53 - 1');
  return -1 - number;
}

function rises(a: Bytes, b: Bytes): boolean {
  for (let at = 0; at < Math.min(a.length, b.length); at++) if (a[at] !== b[at]) return a[at]! < b[at]!;
  return a.length < b.length;
}

/** Whether float16 holds this float32 exactly: 11 significant bits, exponent within the format. */
function isHalf(number: number): boolean {
  if (number === 0 || !Number.isFinite(number)) return true;
  const size = Math.abs(number);
  if (size > 65504) return false;
  const step = 2 ** Math.max(Math.floor(Math.log2(size)) - 10, -24);
  return Number.isInteger(size / step);
}
