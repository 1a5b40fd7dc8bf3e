/** Readings of an archive by point, in typed columns that a worker hands over without copying. */
import type { Item } from './cbor';
import { FormatFault } from './bytes';

const ROOM = 1024;
export const SHOWN_MAX = 20_000_000;

export interface PointFacts {
  gateway: string;
  id: string;
  name: string;
  unit: string;
  quantity: string;
  zone: string;
  decimals: number;
}

/** Readings in the order of the log; `row` is the entry's row in the archive's list. */
export interface PointReadings extends PointFacts {
  time_us: Float64Array<ArrayBuffer>;
  value: Float64Array<ArrayBuffer>;
  quality: Uint8Array<ArrayBuffer>;
  row: Uint32Array<ArrayBuffer>;
}

class Column {
  size = 0;
  time_us = new Float64Array(ROOM);
  value = new Float64Array(ROOM);
  quality = new Uint8Array(ROOM);
  row = new Uint32Array(ROOM);

  constructor(readonly facts: PointFacts) {}

  add(time_us: readonly number[], value: Float64Array, quality: Uint8Array, row: number): void {
    const size = this.size + time_us.length;
    if (size > this.value.length) this.grow(Math.max(size, 2 * this.value.length));
    this.time_us.set(time_us, this.size);
    this.value.set(value, this.size);
    this.quality.set(quality, this.size);
    this.row.fill(row, this.size, size);
    this.size = size;
  }

  private grow(room: number): void {
    const more = <T extends { set(from: T): void }>(to: T, from: T): T => (to.set(from), to);
    this.time_us = more(new Float64Array(room), this.time_us);
    this.value = more(new Float64Array(room), this.value);
    this.quality = more(new Uint8Array(room), this.quality);
    this.row = more(new Uint32Array(room), this.row);
  }

  taken(): PointReadings {
    const { size } = this;
    return { ...this.facts, time_us: this.time_us.slice(0, size), value: this.value.slice(0, size), quality: this.quality.slice(0, size), row: this.row.slice(0, size) };
  }
}

/** Collects readings; beyond SHOWN_MAX they are counted and not kept. */
export class Shown {
  kept = 0;
  passed = 0;
  private readonly columns = new Map<string, Column>();

  /** A block's column; facts of one point that differ in unit are two points here. */
  add(facts: PointFacts, time_us: readonly number[], value: Float64Array, quality: Uint8Array, row: number): void {
    if (this.kept + time_us.length > SHOWN_MAX) return void (this.passed += time_us.length);
    this.kept += time_us.length;
    const name = `${facts.gateway}\0${facts.id}\0${facts.unit}`;
    let column = this.columns.get(name);
    if (!column) this.columns.set(name, (column = new Column(facts)));
    column.add(time_us, value, quality, row);
  }

  points(): PointReadings[] {
    return [...this.columns.values()].map((column) => column.taken()).sort((a, b) => a.gateway.localeCompare(b.gateway) || a.id.localeCompare(b.id));
  }
}

/** The points of a manifest by id. */
export function pointsOf(manifest: ReadonlyMap<string, Item>, gateway: string): Map<string, PointFacts> {
  const listed = manifest.get('points');
  if (!Array.isArray(listed)) throw new FormatFault('manifest without points');
  return new Map(
    listed.map((row) => {
      const text = (key: string): string => {
        const found = row instanceof Map ? row.get(key) : undefined;
        return typeof found === 'string' ? found : '';
      };
      const decimals = row instanceof Map ? row.get('decimals') : 0;
      const id = text('id');
      return [id, { gateway, id, name: text('name'), unit: text('unit'), quantity: text('quantity'), zone: text('zone'), decimals: typeof decimals === 'number' ? decimals : 0 }];
    }),
  );
}
