/** What stands on the map: points, fans, exits, zones and roadway names, each with a place, a text and a rank. */
import { isReturned, isUnacked } from '../lib/frame';
import { localName, unitText, valueText, type Lang } from '../lib/format';
import { quantityShort } from '../lib/quantities';
import type { PointNow, ZoneNow } from '../lib/site.svelte';
import type { Layout, Place } from '../lib/structure';

export interface Mark {
  kind: 'point' | 'fan' | 'exit' | 'refuge';
  place: Place;
  /** Ids of the points it stands for; the first is chosen by a click. */
  points: string[];
  severity: number;
  unacked: boolean;
  returned: boolean;
  nodata: boolean;
  stopped: boolean;
  chosen: boolean;
  /** '' for a mark without a label. */
  text: string;
  /** Shown when the pointer rests on it. */
  hover: string;
  rank: number;
}

export interface Area {
  place: Place;
  /** The ends of what it names: no label where the drawing is shorter than the text. */
  ends: [Place, Place];
  text: string;
  over: boolean;
  kind: 'zone' | 'roadway';
  rank: number;
}

export interface Model {
  marks: Mark[];
  areas: Area[];
  /** Worst severity per roadway. */
  severity: Uint8Array;
  chosenRoadway: number;
}

export interface Words {
  lang: Lang;
  running: string;
  stopped: string;
  heads: (n: number, max: number) => string;
}

export interface Chosen {
  point: string;
  zone: string;
}

// What an operator looks for first; the rest is labelled only in alarm or when chosen.
const KEY_QUANTITIES = new Set(['CH4', 'level', 'displacement', 'combustible']);
const SAME_PLACE_M = 3;
const FAN_REACH_M = 60;
const STOPPED_BELOW = 1;
const RANK = { chosen: 0, alarm: 10, zoneOver: 20, fan: 30, zone: 40, value: 50, exit: 60, roadway: 70 };

const worst = (points: PointNow[]): number => points.reduce((w, p) => (p.severity && (!w || p.severity < w) ? p.severity : w), 0);

/** "CH₄ 1.24 %", or the dash where there is no number. */
export function pointText(p: PointNow, lang: Lang): string {
  const value = valueText(p.value, p.info.decimals);
  return `${quantityShort(p.info.quantity, lang)} ${value} ${unitText(p.info.unit)}`.trim();
}

function mark(kind: Mark['kind'], place: Place, points: PointNow[], chosen: Chosen, lang: Lang, name: string): Mark {
  const severity = worst(points);
  const lead = points.filter((p) => p.severity === severity && severity > 0);
  const picked = points.find((p) => p.info.id === chosen.point);
  const shown = lead.length ? lead : picked ? [picked] : points.filter((p) => KEY_QUANTITIES.has(p.info.quantity));
  const isChosen = picked !== undefined;
  const hover = points.map((p) => `${localName(p.info.name || p.info.id, lang)}: ${pointText(p, lang)}`);
  return {
    kind,
    place,
    points: [...shown, ...points].map((p) => p.info.id).filter((id, i, all) => all.indexOf(id) === i),
    severity,
    unacked: lead.some((p) => isUnacked(p.alarm)),
    returned: lead.length > 0 && lead.every((p) => isReturned(p.alarm)),
    nodata: points.length > 0 && points.every((p) => p.stale || p.state === 'stale' || p.state === 'bad' || p.state === 'none'),
    stopped: false,
    chosen: isChosen,
    text: shown.slice(0, 2).map((p) => pointText(p, lang)).join('  '),
    hover: [name, ...hover.slice(0, 4)].filter(Boolean).join(' · '),
    rank: isChosen ? RANK.chosen : severity ? RANK.alarm + severity : RANK.value,
  };
}

interface Group {
  roadway: number;
  chainage_m: number;
  points: PointNow[];
}

function groupByPlace(layout: Layout, points: PointNow[]): Group[] {
  const groups: Group[] = [];
  for (const p of points) {
    const roadway = p.info.roadway ? layout.indexOf(p.info.roadway) : -1;
    if (roadway < 0) continue;
    const chainage_m = p.info.chainage_m ?? 0;
    const near = groups.find((g) => g.roadway === roadway && Math.abs(g.chainage_m - chainage_m) < SAME_PLACE_M);
    if (near) near.points.push(p);
    else groups.push({ roadway, chainage_m, points: [p] });
  }
  return groups;
}

function fixtureMarks(layout: Layout, points: PointNow[], chosen: Chosen, words: Words, taken: Set<PointNow>): Mark[] {
  const marks: Mark[] = [];
  for (const fixture of layout.structure.fixtures) {
    const place = layout.place(fixture);
    const isFan = fixture.kind === 'fan' || fixture.kind === 'local_fan';
    if (!place || !(isFan || fixture.kind === 'exit' || fixture.kind === 'refuge')) continue;
    const name = localName(fixture.name, words.lang);
    if (!isFan) {
      const kind = fixture.kind as 'exit' | 'refuge';
      marks.push({ ...mark(kind, place, [], chosen, words.lang, name), text: name, rank: RANK.exit });
      continue;
    }
    const speed = points
      .filter((p) => p.info.quantity === 'fan_speed' && p.info.roadway === fixture.roadway && !taken.has(p))
      .map((p) => ({ p, away: Math.abs((p.info.chainage_m ?? 0) - fixture.chainage_m) }))
      .filter((each) => each.away <= FAN_REACH_M)
      .sort((a, b) => a.away - b.away)[0]?.p;
    if (speed) taken.add(speed);
    const made = mark('fan', place, speed ? [speed] : [], chosen, words.lang, name);
    const stopped = speed !== undefined && Number.isFinite(speed.value) && speed.value < STOPPED_BELOW;
    const state = speed && Number.isFinite(speed.value) ? (stopped ? words.stopped : words.running) : '';
    const rank = made.rank === RANK.value ? (stopped ? RANK.zoneOver : RANK.fan) : made.rank;
    marks.push({ ...made, stopped, text: `${name} ${state}`.trim(), rank });
  }
  return marks;
}

/** The longest roadway of a zone carries the zone's label. */
function zoneAreas(layout: Layout, zones: ZoneNow[], chosen: Chosen, words: Words): Area[] {
  const areas: Area[] = [];
  for (const zone of zones) {
    let best = -1;
    layout.structure.roadways.forEach((r, i) => {
      if (r.zone === zone.id && (best < 0 || r.length_m > layout.structure.roadways[best]!.length_m)) best = i;
    });
    if (best < 0 || (!zone.headcount && !zone.headcount_max)) continue;
    const line = layout.lines[best]!;
    const length = layout.structure.roadways[best]!.length_m;
    areas.push({
      place: layout.at(best, length / 2) as Place,
      ends: [line.corners[0]!, line.corners[line.corners.length - 1]!],
      text: `${localName(zone.name, words.lang)} ${words.heads(zone.headcount, zone.headcount_max)}`,
      over: zone.over,
      kind: 'zone',
      rank: zone.over || zone.id === chosen.zone ? RANK.zoneOver : RANK.zone,
    });
  }
  return areas;
}

function roadwayAreas(layout: Layout, lang: Lang): Area[] {
  return layout.structure.roadways.map((roadway, i) => {
    const line = layout.lines[i]!;
    return {
      place: layout.at(i, roadway.length_m / 2) as Place,
      ends: [line.corners[0]!, line.corners[line.corners.length - 1]!],
      text: localName(roadway.name, lang),
      over: false,
      kind: 'roadway',
      rank: RANK.roadway,
    };
  });
}

/** Puts together everything drawn over the roadways. */
export function buildModel(layout: Layout, points: PointNow[], zones: ZoneNow[], chosen: Chosen, words: Words): Model {
  const taken = new Set<PointNow>();
  const fixtures = fixtureMarks(layout, points, chosen, words, taken);
  const groups = groupByPlace(layout, points.filter((p) => !taken.has(p)));
  const severity = new Uint8Array(layout.lines.length);
  for (const p of points) {
    const i = layout.indexOf(p.info.roadway);
    if (i >= 0 && p.severity && !isReturned(p.alarm) && (!severity[i] || p.severity < severity[i]!)) severity[i] = p.severity;
  }
  const placed = groups.map((g) => mark('point', layout.at(g.roadway, g.chainage_m) as Place, g.points, chosen, words.lang, ''));
  const chosenPoint = points.find((p) => p.info.id === chosen.point);
  return {
    marks: [...fixtures, ...placed],
    areas: [...zoneAreas(layout, zones, chosen, words), ...roadwayAreas(layout, words.lang)],
    severity,
    chosenRoadway: chosenPoint ? layout.indexOf(chosenPoint.info.roadway) : -1,
  };
}
