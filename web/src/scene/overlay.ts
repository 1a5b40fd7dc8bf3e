/** Everything drawn over the roadways, in the plan and in 3D alike: people, marks, labels, trail. */
import type { Line, Place } from '../lib/structure';
import { Brush, LABEL_PAD, LABEL_PX, MARK_PX, POINT_PX, type Label } from './brush';
import { clusterDots } from './cluster';
import { font, type Colours } from './colours';
import { placeLabels, type Box, type LabelRequest } from './labels';
import type { Area, Mark, Model } from './model';
import type { PeopleOnMap } from './people';
import { PIXEL_RATIO_MAX, type BaseView, type Screen } from './view';

const DOT_PX = 3.5;
const PICK_PX = 14;
const STEP_PX = 14; // of the boxes along a roadway
const STEPS_MAX = 200; // zoomed in, most of a roadway is off the screen

export interface Trail {
  places: Place[];
}

export class Overlay {
  readonly element = document.createElement('canvas');
  private readonly context = this.element.getContext('2d') as CanvasRenderingContext2D;
  private width = 1;
  private height = 1;
  private labels: Label[] = [];
  private stale = true; // labels have to be placed again
  private dirty = true;
  private positions: { mark: Mark; at: Screen }[] = [];
  private dots: { tag: string; at: Screen }[] = [];
  private model: Model | null = null;
  private hovered = '';
  chosenTag = '';
  trail: Trail | null = null;
  /** Corners taken by the page's own controls. */
  reserved: Box[] = [];

  private readonly brush: Brush;

  constructor(
    colours: Colours,
    private readonly people: PeopleOnMap,
    private readonly lines: readonly Line[],
  ) {
    this.brush = new Brush(this.context, colours);
  }

  resize(width: number, height: number): void {
    const ratio = Math.min(devicePixelRatio, PIXEL_RATIO_MAX);
    this.width = width;
    this.height = height;
    this.element.width = Math.round(width * ratio);
    this.element.height = Math.round(height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.change();
  }

  setModel(model: Model): void {
    this.model = model;
    this.change();
  }

  setColours(colours: Colours): void {
    this.brush.colours = colours;
    this.change();
  }

  /** Nothing on the page is fresh: draw what was measured so. */
  setMuted(muted: boolean): void {
    this.brush.muted = muted;
    this.dirty = true;
  }

  /** Labels and marks have to be placed anew. */
  change(): void {
    this.stale = true;
    this.dirty = true;
  }

  /** Only people moved. */
  touch(): void {
    this.dirty = true;
  }

  /** The point or tag under a place on the screen. */
  pick(at: Screen): { point: string } | { tag: string } | null {
    const near = <T extends { at: Screen }>(list: T[], reach: number): T | undefined =>
      list
        .map((each) => ({ each, away: Math.hypot(each.at.x - at.x, each.at.y - at.y) }))
        .filter((found) => found.away <= reach)
        .sort((a, b) => a.away - b.away)[0]?.each;
    const mark = near(this.positions.filter((p) => p.mark.points.length), PICK_PX);
    if (mark) return { point: mark.mark.points[0] as string };
    const dot = near(this.dots, PICK_PX);
    return dot ? { tag: dot.tag } : null;
  }

  /** Shows what is under the pointer; returns whether anything is. */
  hover(at: Screen | null): boolean {
    const found = at ? this.pick(at) : null;
    const mark = found && 'point' in found ? this.positions.find((p) => p.mark.points[0] === found.point) : undefined;
    const text = mark ? mark.mark.hover : found && 'tag' in found ? found.tag : '';
    if (text !== this.hovered) {
      this.hovered = text;
      this.change();
    }
    return found !== null;
  }

  render(view: BaseView): void {
    if (!this.dirty) return;
    this.dirty = false;
    const g = this.context;
    g.clearRect(0, 0, this.width, this.height);
    if (this.stale && this.model) {
      this.stale = false;
      this.placeMarks(view, this.model);
      this.placeAllLabels(view, this.model);
    }
    this.drawTrail(view);
    this.drawPeople(view);
    for (const label of this.labels) this.brush.drawLeader(label);
    for (const { mark, at } of this.positions) this.brush.drawMark(mark, at);
    for (const label of this.labels) this.brush.drawLabel(label);
    this.drawChosen(view);
  }

  private placeMarks(view: BaseView, model: Model): void {
    this.positions = [];
    const height = (m: Mark): number => (m.severity ? 1000 - m.rank : m.kind === 'point' ? -m.rank : 0);
    for (const mark of [...model.marks].sort((a, b) => height(a) - height(b))) {
      const at = { x: 0, y: 0 };
      if (view.project(mark.place, at)) this.positions.push({ mark, at });
    }
  }

  private placeAllLabels(view: BaseView, model: Model): void {
    const g = this.context;
    const requests: LabelRequest[] = [];
    const made: Omit<Label, 'box'>[] = [];
    const ask = (text: string, anchor: Screen, look: Label['look'], severity: number, live: boolean, rest: Pick<LabelRequest, 'gap' | 'mode' | 'rank' | 'forced' | 'shy'>): void => {
      g.font = font(look === 'name' ? 11 : LABEL_PX, look === 'plain' && severity ? 600 : 400);
      requests.push({ x: anchor.x, y: anchor.y, w: Math.ceil(g.measureText(text).width) + 2 * LABEL_PAD, h: 18, ...rest });
      made.push({ text, look, severity, anchor, live });
    };
    for (const { mark, at } of this.positions) {
      if (!mark.text) continue;
      const look = mark.nodata && !mark.severity ? 'muted' : 'plain';
      const gap = mark.severity || mark.kind !== 'point' ? MARK_PX / 2 + 3 : POINT_PX;
      ask(mark.text, at, look, mark.returned ? 0 : mark.severity, mark.points.length > 0, { gap, mode: 'around', rank: mark.rank, forced: mark.chosen });
      const last = this.positions.find((p) => p.mark.hover === this.hovered && p.mark === mark);
      if (last && this.hovered) ask(this.hovered, at, 'hover', 0, false, { gap: gap + 2, mode: 'around', rank: -1, forced: true });
    }
    for (const area of model.areas) this.askArea(view, area, ask);
    const taken = this.positions.map(({ mark, at }) => {
      const half = (mark.severity || mark.kind !== 'point' ? MARK_PX : POINT_PX) / 2;
      return { x: at.x - half, y: at.y - half, w: 2 * half, h: 2 * half };
    });
    const boxes = placeLabels(requests, [...taken, ...this.reserved], this.roadwayBoxes(view), { x: 2, y: 2, w: this.width - 4, h: this.height - 4 });
    this.labels = boxes.flatMap((box, i) => (box ? [{ box, ...made[i]! }] : []));
  }

  private askArea(
    view: BaseView,
    area: Area,
    ask: (t: string, a: Screen, l: Label['look'], s: number, live: boolean, r: Pick<LabelRequest, 'gap' | 'mode' | 'rank' | 'forced' | 'shy'>) => void,
  ): void {
    const [at, a, b] = [{ x: 0, y: 0 }, { x: 0, y: 0 }, { x: 0, y: 0 }];
    if (!view.project(area.place, at) || !view.project(area.ends[0], a) || !view.project(area.ends[1], b)) return;
    if (area.kind === 'roadway') {
      this.context.font = font(11);
      const room = Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y));
      if (room < this.context.measureText(area.text).width + 24) return;
    }
    const look = area.over ? 'over' : area.kind === 'zone' ? 'zone' : 'name';
    ask(area.text, at, look, 0, area.kind === 'zone', { gap: 10, mode: 'centre', rank: area.rank, shy: area.kind === 'roadway' });
  }

  /** Small boxes along every roadway: labels rather stand beside them. */
  private roadwayBoxes(view: BaseView): Box[] {
    const boxes: Box[] = [];
    const [a, b] = [{ x: 0, y: 0 }, { x: 0, y: 0 }];
    for (const line of this.lines) {
      for (let i = 1; i < line.corners.length; i++) {
        if (!view.project(line.corners[i - 1]!, a) || !view.project(line.corners[i]!, b)) continue;
        const steps = Math.min(STEPS_MAX, Math.ceil(Math.hypot(b.x - a.x, b.y - a.y) / STEP_PX));
        for (let n = 0; n <= steps; n++) {
          const share = steps ? n / steps : 0;
          boxes.push({ x: a.x + (b.x - a.x) * share - 3, y: a.y + (b.y - a.y) * share - 3, w: 6, h: 6 });
        }
      }
    }
    return boxes;
  }

  private drawTrail(view: BaseView): void {
    if (!this.trail?.places.length) return;
    const g = this.context;
    const at = { x: 0, y: 0 };
    g.beginPath();
    this.trail.places.forEach((place, i) => {
      view.project(place, at);
      if (i) g.lineTo(at.x, at.y);
      else g.moveTo(at.x, at.y);
    });
    g.lineWidth = 5;
    g.lineJoin = 'round';
    g.strokeStyle = this.brush.colours.panel;
    g.stroke();
    g.lineWidth = 2.5;
    g.strokeStyle = this.brush.colours.person;
    g.stroke();
  }

  private drawPeople(view: BaseView): void {
    const n = this.people.now.length;
    const [x, y, shown] = [new Float32Array(n), new Float32Array(n), new Uint8Array(n)];
    const at = { x: 0, y: 0 };
    this.people.now.forEach((place, i) => {
      if (!view.project(place, at)) return;
      x[i] = at.x;
      y[i] = at.y;
      shown[i] = at.x > -20 && at.y > -20 && at.x < this.width + 20 && at.y < this.height + 20 ? 1 : 0;
    });
    const { single, clusters } = clusterDots(x, y, shown);
    this.dots = single.map((i) => ({ tag: this.people.tags[i] as string, at: { x: x[i]!, y: y[i]! } }));
    const g = this.context;
    g.globalAlpha = this.brush.muted ? 0.45 : 1;
    g.beginPath();
    for (const i of single) {
      g.moveTo(x[i]! + DOT_PX, y[i]!);
      g.arc(x[i]!, y[i]!, DOT_PX, 0, 2 * Math.PI);
    }
    g.lineWidth = 2;
    g.strokeStyle = this.brush.colours.panel;
    g.stroke();
    g.fillStyle = this.brush.colours.person;
    g.fill();
    for (const cluster of clusters) this.brush.drawCluster(cluster);
    g.globalAlpha = 1;
  }

  private drawChosen(view: BaseView): void {
    const place = this.people.now[this.people.tags.indexOf(this.chosenTag)];
    const at = { x: 0, y: 0 };
    if (!this.chosenTag || !place || !view.project(place, at)) return;
    const g = this.context;
    g.beginPath();
    g.arc(at.x, at.y, 11, 0, 2 * Math.PI);
    g.lineWidth = 6;
    g.strokeStyle = this.brush.colours.panel;
    g.stroke();
    g.lineWidth = 3;
    g.strokeStyle = this.brush.colours.focus;
    g.stroke();
  }
}
