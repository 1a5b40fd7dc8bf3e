/** Bytes as every part of the verifier handles them: compare, join, hex, base64, open zlib within a limit. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** Something that does not hold; `zh` says it in Chinese, `index` names the log entry, where there is one. */
export class Fault extends Error {
  readonly zh: string;
  readonly index: number | null;

  constructor(message: string, more: { zh?: string; index?: number } = {}) {
    super(message);
    this.zh = more.zh ?? '';
    this.index = more.index ?? null;
  }
}

/** What came does not have the form the specification gives it. */
export class FormatFault extends Fault {}
/** What came has the form, but a signature, hash, number or proof does not hold. */
export class ProofFault extends Fault {}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

export function join(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function hex(data: Uint8Array): string {
  return Array.from(data, (octet) => octet.toString(16).padStart(2, '0')).join('');
}

export function unhex(text: string): Bytes {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new FormatFault('not lower-case hex');
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

export function base64(data: Uint8Array): string {
  return btoa(String.fromCharCode(...data));
}

/** Standard base64 in its one canonical form. */
export function unbase64(text: string): Bytes {
  let plain: string;
  try {
    plain = atob(text);
  } catch {
    throw new FormatFault('not base64');
  }
  const data = Uint8Array.from(plain, (c) => c.charCodeAt(0));
  if (base64(data) !== text) throw new FormatFault('base64 in a second form');
  return data;
}

export function ascii(text: string): Bytes {
  return new TextEncoder().encode(text) as Bytes;
}

/** Opens exactly one zlib stream (RFC 1950); stops at the limit. */
export async function inflate(data: Bytes, bytes_max: number): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return ended(data, join(...parts));
      size += value.length;
      if (size > bytes_max) throw new FormatFault(`opens to more than ${bytes_max} bytes`);
      parts.push(value);
    }
  } catch (error) {
    if (error instanceof FormatFault) throw error;
    throw new FormatFault('broken zlib stream');
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** Not every engine refuses bytes after the stream: its checksum has to be the last of it. */
function ended(data: Bytes, opened: Bytes): Bytes {
  let [low, high] = [1, 0];
  for (let at = 0; at < opened.length; ) {
    for (const end = Math.min(at + ADLER_RUN, opened.length); at < end; at++) high += low += opened[at]!;
    [low, high] = [low % ADLER, high % ADLER];
  }
  if (data.length < 6 || new DataView(data.buffer, data.byteOffset).getUint32(data.length - 4) !== high * 65536 + low) throw new FormatFault('bytes after the zlib stream');
  return opened;
}

const ADLER = 65521;
const ADLER_RUN = 3800; // sums stay exact integers
