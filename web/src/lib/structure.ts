/** Reads the site's structure document and answers where things are; pure. Lengths in metres. */
import type { Fixture, Junction, Roadway, Structure, Zone } from './types';

export class StructureError extends Error {}

type Raw = Record<string, unknown>;

const list = (value: unknown): Raw[] => (Array.isArray(value) ? (value as Raw[]) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);

function fixture(raw: Raw, kind: string): Fixture {
  return {
    id: text(raw['id']),
    kind: text(raw['kind']) || kind,
    name: text(raw['name']) || text(raw['id']),
    roadway: text(raw['roadway']),
    chainage_m: number(raw['chainage_m']),
    junction: text(raw['junction']),
    serves: text(raw['serves']),
  };
}

function bends(value: unknown): Place[] {
  if (!Array.isArray(value)) return [];
  return value.map((p: unknown[]) => ({ x_m: number(p[0]), y_m: number(p[1]), z_m: number(p[2]) }));
}

/** Turns the server's JSON into a Structure; StructureError when a roadway hangs on a junction that is not there. */
export function readStructure(raw: unknown): Structure {
  if (typeof raw !== 'object' || raw === null) throw new StructureError('the structure is no JSON object');
  const doc = raw as Raw;
  const junctions: Junction[] = list(doc['junctions']).map((j) => ({
    id: text(j['id']),
    x_m: number(j['x_m']),
    y_m: number(j['y_m']),
    z_m: number(j['z_m']),
  }));
  const known = new Map(junctions.map((j) => [j.id, j]));
  const roadways: Roadway[] = list(doc['roadways']).map((r) => {
    const from = known.get(text(r['from']));
    const to = known.get(text(r['to']));
    if (!from || !to) throw new StructureError(`roadway ${text(r['id'])} has an unknown end`);
    return {
      id: text(r['id']),
      from: from.id,
      to: to.id,
      length_m: number(r['length_m']) || Math.hypot(to.x_m - from.x_m, to.y_m - from.y_m, to.z_m - from.z_m) || 1,
      zone: text(r['zone']),
      name: text(r['name']) || text(r['id']),
      path: bends(r['path']),
    };
  });
  const zones: Zone[] = list(doc['zones']).map((z) => ({
    id: text(z['id']),
    name: text(z['name']) || text(z['id']),
    kind: text(z['kind']),
    headcount_max: number(z['headcount_max']),
    parent: text(z['parent']),
  }));
  const fixtures = [
    ...list(doc['controls']).map((c) => fixture(c, 'control')),
    ...list(doc['exits']).map((x) => fixture(x, 'exit')),
    ...list(doc['refuges']).map((r) => fixture(r, 'refuge')),
  ];
  return { site: text(doc['site']), name: text(doc['name']), junctions, roadways, zones, fixtures };
}

export interface Place {
  x_m: number;
  y_m: number;
  z_m: number;
}

/** A roadway as drawn: its corners, and the chainage of each. */
export interface Line {
  corners: Place[];
  chainage_m: number[];
}

/** Shares the surveyed length out by the drawn length of each piece, as the server and the gateways do. */
function lineOf(corners: Place[], length_m: number): Line {
  const drawn = [0];
  for (let i = 1; i < corners.length; i++) {
    const [a, b] = [corners[i - 1] as Place, corners[i] as Place];
    drawn.push((drawn[i - 1] as number) + Math.hypot(b.x_m - a.x_m, b.y_m - a.y_m, b.z_m - a.z_m));
  }
  const total = drawn[drawn.length - 1] as number;
  const even = (i: number): number => (length_m * i) / (corners.length - 1); // a shaft drawn as one dot
  return { corners, chainage_m: drawn.map((d, i) => (total ? (d * length_m) / total : even(i))) };
}

/** Positions on the roadways of one structure, by index or id. */
export class Layout {
  readonly lines: Line[];
  private readonly roadwayIndex: Map<string, number>;
  private readonly junctions: Map<string, Junction>;

  constructor(readonly structure: Structure) {
    this.junctions = new Map(structure.junctions.map((j) => [j.id, j]));
    this.lines = structure.roadways.map((r) => {
      const ends = [this.junctions.get(r.from) as Junction, this.junctions.get(r.to) as Junction];
      return lineOf([ends[0] as Place, ...r.path, ends[1] as Place], r.length_m);
    });
    this.roadwayIndex = new Map(structure.roadways.map((r, i) => [r.id, i]));
  }

  /** Index of a roadway id, -1 when unknown. */
  indexOf(roadway: string): number {
    return this.roadwayIndex.get(roadway) ?? -1;
  }

  /** The place at a chainage of the roadway with that index; chainage outside is held at the ends. */
  at(index: number, chainage_m: number): Place | null {
    const line = this.lines[index];
    if (!line) return null;
    const last = line.corners.length - 1;
    let i = 1;
    while (i < last && (line.chainage_m[i] as number) < chainage_m) i++;
    const [a, b] = [line.corners[i - 1] as Place, line.corners[i] as Place];
    const [start, end] = [line.chainage_m[i - 1] as number, line.chainage_m[i] as number];
    const share = end > start ? Math.min(1, Math.max(0, (chainage_m - start) / (end - start))) : 0;
    return {
      x_m: a.x_m + (b.x_m - a.x_m) * share,
      y_m: a.y_m + (b.y_m - a.y_m) * share,
      z_m: a.z_m + (b.z_m - a.z_m) * share,
    };
  }

  /** The place of a point, fixture or person; null when it has none. */
  place(thing: { roadway: string; chainage_m: number | null; junction?: string }): Place | null {
    if (thing.roadway) return this.at(this.indexOf(thing.roadway), thing.chainage_m ?? 0);
    return (thing.junction && this.junctions.get(thing.junction)) || null;
  }

  /** All corners of all roadways; what a view has to show. */
  *everyCorner(): Generator<Place> {
    for (const line of this.lines) yield* line.corners;
  }
}

export interface Headcount {
  /** Heads in the zone itself and in the zones inside it. */
  byZone: Map<string, number>;
  /** Heads anywhere but in a zone of kind "surface". */
  underground: number;
}

/** Counts heads per zone from the zone id of everyone present; people of inner zones count in the outer too. */
export function countHeads(zones: Zone[], present: Iterable<string>): Headcount {
  const known = new Map(zones.map((z) => [z.id, z]));
  const byZone = new Map<string, number>(zones.map((z) => [z.id, 0]));
  let underground = 0;
  for (const id of present) {
    if (known.get(id)?.kind !== 'surface') underground += 1;
    let zone = known.get(id);
    for (let depth = 0; zone && depth < zones.length; depth++) {
      byZone.set(zone.id, (byZone.get(zone.id) ?? 0) + 1);
      zone = known.get(zone.parent);
    }
  }
  return { byZone, underground };
}
