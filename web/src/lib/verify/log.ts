/** One enterprise's log as this browser fetches it: checkpoint, entries, bodies, proofs. Nothing here is believed yet. */
import { FormatFault, unhex, type Bytes } from './bytes';
import type { Item } from './cbor';

const TILE = 256;

export interface KeyHint {
  gateway: string;
  kid: string;
  public: string;
  epoch: number;
  enrolled_index: number;
  revoked_index: number | null;
}

export interface Hints {
  origin: string;
  log_vkey: string;
  gateways: KeyHint[];
}

export interface Found {
  gateway: string;
  epoch: number;
  seq: number;
  index: number;
  manifest_digest: string;
}

/** The server did not answer, or not as it should: nothing is proven either way. `status` 0: no answer at all. */
export class NoAnswer extends Error {
  constructor(
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

const TIMEOUT_MS = 20_000;
const DIGEST = /^[0-9a-f]{64}$/;

/** Groups of three digits, all but the last with an x: 1234067 is x001/x234/067. */
export function tileNumber(n: number): string {
  const digits = String(n).padStart(Math.ceil(String(n).length / 3) * 3, '0');
  const groups = digits.match(/.{3}/g)!;
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
}

export class RemoteLog {
  private readonly log: string;
  private readonly api: string;

  constructor(
    readonly enterprise: string,
    private readonly cache: RequestCache = 'default',
  ) {
    this.log = `/log/${encodeURIComponent(enterprise)}`;
    this.api = `/api/v1/enterprises/${encodeURIComponent(enterprise)}`;
  }

  private async get(path: string): Promise<Response | null> {
    let answer: Response;
    try {
      answer = await fetch(path, { credentials: 'same-origin', cache: this.cache, signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch {
      throw new NoAnswer('no answer');
    }
    if (answer.status === 404) return null;
    if (!answer.ok) throw new NoAnswer(`answer ${answer.status}`, answer.status);
    return answer;
  }

  /** The whole answer by `read`; null for "not found". */
  private async read<T>(path: string, read: (answer: Response) => Promise<T>): Promise<T | null> {
    const answer = await this.get(path);
    if (!answer) return null;
    try {
      return await read(answer);
    } catch {
      throw new NoAnswer('the answer broke off');
    }
  }

  private async must<T>(path: string, read: (answer: Response) => Promise<T>): Promise<T> {
    const found = await this.read(path, read);
    if (found === null) throw new NoAnswer('answer 404', 404);
    return found;
  }

  checkpoint(): Promise<string> {
    return this.must(`${this.log}/checkpoint`, text);
  }

  hints(): Promise<Hints> {
    return this.must(`${this.log}/keys`, json) as Promise<Hints>;
  }

  /** Hashes of tile `n` at `level` in a tree where that tile is `width` wide. */
  async tile(level: number, n: number, width: number): Promise<Bytes[]> {
    const data = await this.must(`${this.log}/tile/${level}/${tileNumber(n)}${partial(width)}`, octets);
    if (data.length !== 32 * width) throw new FormatFault(`tile ${level}/${n} is not ${width} hashes`);
    return Array.from({ length: width }, (_, at) => data.subarray(32 * at, 32 * at + 32));
  }

  /** The entries of bundle `n` in a log where that bundle is `width` wide. */
  async bundle(n: number, width: number): Promise<Bytes[]> {
    const data = await this.must(`${this.log}/tile/entries/${tileNumber(n)}${partial(width)}`, octets);
    const entries: Bytes[] = [];
    for (let at = 0; at < data.length; ) {
      const length = (data[at]! << 8) | (data[at + 1] ?? 0);
      if (at + 2 + length > data.length) throw new FormatFault(`bundle ${n} ends early`);
      entries.push(data.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    if (entries.length !== width) throw new FormatFault(`bundle ${n} holds ${entries.length} entries, not ${width}`);
    return entries;
  }

  /** Entries [from, to) of a log of `size`, bundle by bundle. */
  async *entries(from: number, to: number, size = to): AsyncGenerator<{ index: number; raw: Bytes }> {
    for (let n = Math.floor(from / TILE); n * TILE < to; n++) {
      const bundle = await this.bundle(n, Math.min(TILE, size - n * TILE));
      for (let at = Math.max(0, from - n * TILE); at < bundle.length && n * TILE + at < to; at++) yield { index: n * TILE + at, raw: bundle[at]! };
    }
  }

  /** A body by its digest; null when the server does not hold it. */
  body(digest: string): Promise<Bytes | null> {
    if (!DIGEST.test(digest)) throw new FormatFault('not the name of a body');
    return this.read(`${this.log}/body/${digest}`, octets);
  }

  envelope(index: number): Promise<Bytes> {
    return this.must(`${this.api}/envelopes/${index}`, octets);
  }

  /** The path from entry `index` to the root at `size`. */
  inclusion(index: number, size: number): Promise<Bytes[]> {
    return this.path(`${this.api}/proof?index=${index}&size=${size}`);
  }

  consistency(from: number, to: number): Promise<Bytes[]> {
    return this.path(`${this.api}/consistency?from=${from}&to=${to}`);
  }

  /** Where the server says the sample shown at a time lies; null when it knows none. */
  async evidence(point: string, time_us: number): Promise<Found | null> {
    const found = (await this.read(`${this.api}/points/${encodeURIComponent(point)}/evidence?time_us=${time_us}`, json)) as Found | null;
    if (found && (!Number.isSafeInteger(found.index) || found.index < 0 || !DIGEST.test(found.manifest_digest))) throw new NoAnswer('evidence of no known form');
    return found;
  }

  private async path(url: string): Promise<Bytes[]> {
    const path = ((await this.must(url, json)) as { path?: unknown }).path;
    if (!Array.isArray(path) || path.length > 63 || !path.every((step) => typeof step === 'string' && DIGEST.test(step))) throw new FormatFault('a proof of wrong form');
    return (path as string[]).map(unhex);
  }
}

const text = (answer: Response): Promise<string> => answer.text();
const json = (answer: Response): Promise<unknown> => answer.json();
const octets = async (answer: Response): Promise<Bytes> => new Uint8Array(await answer.arrayBuffer());

function partial(width: number): string {
  return width === TILE ? '' : `.p/${width}`;
}

/** The fields of a manifest that reading a body needs. */
export function groupsOf(manifest: Map<string, Item>): { groups: string[][]; decimals: Map<string, number> } {
  const rows = (key: string): Map<string, Item>[] => {
    const found = manifest.get(key);
    if (!Array.isArray(found) || !found.every((row) => row instanceof Map)) throw new FormatFault(`manifest without ${key}`);
    return found as Map<string, Item>[];
  };
  const groups = rows('groups').map((group) => {
    const points = group.get('points');
    if (!Array.isArray(points) || !points.every((point) => typeof point === 'string')) throw new FormatFault('manifest with a group of no points');
    return points as string[];
  });
  const decimals = new Map(rows('points').map((point) => [point.get('id') as string, point.get('decimals') as number]));
  return { groups, decimals };
}

