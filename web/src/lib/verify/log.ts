/** One enterprise's log as this browser fetches it: checkpoint, entries, bodies, proofs. Nothing here is believed yet. */
import { FormatFault, type Bytes } from './bytes';
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

/** The server did not answer, or not as it should: nothing is proven either way. */
export class NoAnswer extends Error {}

async function get(path: string, missing = false): Promise<Response | null> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: 'same-origin', signal: AbortSignal.timeout(20_000) });
  } catch {
    throw new NoAnswer('no answer');
  }
  if (missing && answer.status === 404) return null;
  if (!answer.ok) throw new NoAnswer(`answer ${answer.status}`);
  return answer;
}

const octets = async (answer: Response): Promise<Bytes> => new Uint8Array(await answer.arrayBuffer());

/** Groups of three digits, all but the last with an x: 1234067 is x001/x234/067. */
export function tileNumber(n: number): string {
  const digits = String(n).padStart(Math.ceil(String(n).length / 3) * 3, '0');
  const groups = digits.match(/.{3}/g)!;
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
}

export class RemoteLog {
  private readonly log: string;
  private readonly api: string;

  constructor(readonly enterprise: string) {
    this.log = `/log/${encodeURIComponent(enterprise)}`;
    this.api = `/api/v1/enterprises/${encodeURIComponent(enterprise)}`;
  }

  async checkpoint(): Promise<string> {
    return (await get(`${this.log}/checkpoint`))!.text();
  }

  async hints(): Promise<Hints> {
    return (await (await get(`${this.log}/keys`))!.json()) as Hints;
  }

  /** Hashes of tile `n` at `level` in a tree where that tile is `width` wide. */
  async tile(level: number, n: number, width: number): Promise<Bytes[]> {
    const data = await octets((await get(`${this.log}/tile/${level}/${tileNumber(n)}${partial(width)}`))!);
    if (data.length !== 32 * width) throw new FormatFault(`tile ${level}/${n} is not ${width} hashes`);
    return Array.from({ length: width }, (_, at) => data.slice(32 * at, 32 * at + 32));
  }

  /** The entries of bundle `n` in a log where that bundle is `width` wide. */
  async bundle(n: number, width: number): Promise<Bytes[]> {
    const data = await octets((await get(`${this.log}/tile/entries/${tileNumber(n)}${partial(width)}`))!);
    const entries: Bytes[] = [];
    for (let at = 0; at < data.length; ) {
      const length = (data[at]! << 8) | (data[at + 1] ?? 0);
      if (at + 2 + length > data.length) throw new FormatFault(`bundle ${n} ends early`);
      entries.push(data.slice(at + 2, at + 2 + length));
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

  /** A body by its digest; null when the server no longer has it. */
  async body(digest: string): Promise<Bytes | null> {
    const answer = await get(`${this.log}/body/${digest}`, true);
    return answer && octets(answer);
  }

  async envelope(index: number): Promise<Bytes> {
    return octets((await get(`${this.api}/envelopes/${index}`))!);
  }

  /** The path from entry `index` to the root at `size`. */
  async inclusion(index: number, size: number): Promise<Bytes[]> {
    return this.path(`${this.api}/proof?index=${index}&size=${size}`);
  }

  async consistency(from: number, to: number): Promise<Bytes[]> {
    return this.path(`${this.api}/consistency?from=${from}&to=${to}`);
  }

  async evidence(point: string, time_us: number): Promise<Found> {
    const answer = await get(`${this.api}/points/${encodeURIComponent(point)}/evidence?time_us=${time_us}`);
    return (await answer!.json()) as Found;
  }

  private async path(url: string): Promise<Bytes[]> {
    const { path } = (await (await get(url))!.json()) as { path: string[] };
    if (!Array.isArray(path) || path.length > 63) throw new FormatFault('a proof of wrong form');
    return path.map((text) => {
      if (!/^[0-9a-f]{64}$/.test(text)) throw new FormatFault('a proof of wrong form');
      return Uint8Array.from({ length: 32 }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
    });
  }
}

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
  const groups = rows('groups').map((group) => group.get('points') as string[]);
  const decimals = new Map(rows('points').map((point) => [point.get('id') as string, point.get('decimals') as number]));
  return { groups, decimals };
}

