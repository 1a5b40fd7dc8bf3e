/** Everything drawn over the roadways, in the plan and in 3D alike: people, marks, labels, trail. */
import type { Line, Place } from '../lib/structure';
import { clusterDots, type Cluster } from './cluster';
import { font, type Colours } from './colours';
import { placeLabels, type Box, type LabelRequest } from './labels';
import { EXIT_PATH, FAN_PATH, MARK_BASELINE, MARK_PATHS } from './marks';
import type { Area, Mark, Model } from './model';
import type { PeopleOnMap } from './people';
import { PIXEL_RATIO_MAX, type BaseView, type Screen } from './view';

const MARK_PX = 20;
const POINT_PX = 7;
const DOT_PX = 3.5;
const LABEL_PX = 12;
const LABEL_PAD = 4;
const PICK_PX = 14;
const LEADER_PX = 22;
const STEP_PX = 14; // of the boxes along a roadway
const STEPS_MAX = 200; // zoomed in, most of a roadway is off the screen
const MARK_SHAPES = MARK_PATHS.map((path) => new Path2D(path));
const FAN_SHAPE = new Path2D(FAN_PATH);
const EXIT_SHAPE = new Path2D(EXIT_PATH);

interface Label {
  box: Box;
  text: string;
  look: 'plain' | 'zone' | 'name' | 'over' | 'muted' | 'hover';
  severity: number;
  anchor: Screen;
}

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
  private clusters: Cluster[] = [];
  private dots: { tag: string; at: Screen }[] = [];
  private model: Model | null = null;
  private hovered = '';
  chosenTag = '';
  trail: Trail | null = null;
  muted = false;
  /** Corners taken by the page's own controls. */
  reserved: Box[] = [];

  constructor(
    private colours: Colours,
    private readonly people: PeopleOnMap,
    private readonly lines: readonly Line[],
  ) {}

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
    this.colours = colours;
    this.change();
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
    for (const label of this.labels) this.drawLeader(label);
    for (const { mark, at } of this.positions) this.drawMark(mark, at);
    for (const label of this.labels) this.drawLabel(label);
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
    const ask = (text: string, anchor: Screen, look: Label['look'], severity: number, rest: Pick<LabelRequest, 'gap' | 'mode' | 'rank' | 'forced' | 'shy'>): void => {
      g.font = font(look === 'name' ? 11 : LABEL_PX, look === 'plain' && severity ? 600 : 400);
      requests.push({ x: anchor.x, y: anchor.y, w: Math.ceil(g.measureText(text).width) + 2 * LABEL_PAD, h: 18, ...rest });
      made.push({ text, look, severity, anchor });
    };
    for (const { mark, at } of this.positions) {
      if (!mark.text) continue;
      const look = mark.nodata && !mark.severity ? 'muted' : 'plain';
      const gap = mark.severity || mark.kind !== 'point' ? MARK_PX / 2 + 3 : POINT_PX;
      ask(mark.text, at, look, mark.returned ? 0 : mark.severity, { gap, mode: 'around', rank: mark.rank, forced: mark.chosen });
      const last = this.positions.find((p) => p.mark.hover === this.hovered && p.mark === mark);
      if (last && this.hovered) ask(this.hovered, at, 'hover', 0, { gap: gap + 2, mode: 'around', rank: -1, forced: true });
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
    ask: (t: string, a: Screen, l: Label['look'], s: number, r: Pick<LabelRequest, 'gap' | 'mode' | 'rank' | 'forced' | 'shy'>) => void,
  ): void {
    const [at, a, b] = [{ x: 0, y: 0 }, { x: 0, y: 0 }, { x: 0, y: 0 }];
    if (!view.project(area.place, at) || !view.project(area.ends[0], a) || !view.project(area.ends[1], b)) return;
    if (area.kind === 'roadway') {
      this.context.font = font(11);
      const room = Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y));
      if (room < this.context.measureText(area.text).width + 24) return;
    }
    const look = area.over ? 'over' : area.kind === 'zone' ? 'zone' : 'name';
    ask(area.text, at, look, 0, { gap: 10, mode: 'centre', rank: area.rank, shy: area.kind === 'roadway' });
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
    g.strokeStyle = this.colours.panel;
    g.stroke();
    g.lineWidth = 2.5;
    g.strokeStyle = this.colours.person;
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
    this.clusters = clusters;
    this.dots = single.map((i) => ({ tag: this.people.tags[i] as string, at: { x: x[i]!, y: y[i]! } }));
    const g = this.context;
    g.globalAlpha = this.muted ? 0.45 : 1;
    g.beginPath();
    for (const i of single) {
      g.moveTo(x[i]! + DOT_PX, y[i]!);
      g.arc(x[i]!, y[i]!, DOT_PX, 0, 2 * Math.PI);
    }
    g.lineWidth = 2;
    g.strokeStyle = this.colours.panel;
    g.stroke();
    g.fillStyle = this.colours.person;
    g.fill();
    for (const cluster of this.clusters) this.drawCluster(cluster);
    const chosen = this.chosenTag ? this.people.tags.indexOf(this.chosenTag) : -1;
    if (chosen >= 0 && shown[chosen]) this.drawChosen(x[chosen]!, y[chosen]!);
    g.globalAlpha = 1;
  }

  private drawCluster(cluster: Cluster): void {
    const g = this.context;
    const radius = 8 + Math.min(6, Math.log2(cluster.members.length));
    g.beginPath();
    g.arc(cluster.x, cluster.y, radius, 0, 2 * Math.PI);
    g.fillStyle = this.colours.person;
    g.fill();
    g.lineWidth = 1.5;
    g.strokeStyle = this.colours.panel;
    g.stroke();
    g.fillStyle = this.colours.panel;
    g.font = font(11, 600);
    g.textAlign = 'center';
    g.textBaseline = 'middle';
    g.fillText(String(cluster.members.length), cluster.x, cluster.y + 0.5);
  }

  private drawChosen(x: number, y: number): void {
    const g = this.context;
    g.beginPath();
    g.arc(x, y, 9, 0, 2 * Math.PI);
    g.lineWidth = 3;
    g.strokeStyle = this.colours.focus;
    g.stroke();
  }

  private drawMark(mark: Mark, at: Screen): void {
    const g = this.context;
    if (mark.chosen) {
      g.strokeStyle = this.colours.focus;
      g.lineWidth = 2.5;
      g.strokeRect(at.x - 13, at.y - 13, 26, 26);
    }
    if (mark.severity) this.drawSeverity(mark, at);
    else if (mark.kind === 'fan') this.drawFan(mark, at);
    else if (mark.kind === 'exit') this.drawIcon(EXIT_SHAPE, at);
    else if (mark.kind === 'refuge') this.drawRefuge(at);
    else this.drawPoint(mark, at);
  }

  private drawSeverity(mark: Mark, at: Screen): void {
    const g = this.context;
    const shape = MARK_SHAPES[mark.severity] as Path2D;
    const fill = this.colours.fill[mark.severity] as string;
    g.save();
    g.translate(at.x - MARK_PX / 2, at.y - MARK_PX / 2);
    g.fillStyle = mark.returned ? this.colours.panel : fill;
    g.fill(shape);
    g.lineWidth = mark.returned ? 3 : 1.6;
    g.strokeStyle = mark.returned ? fill : this.colours.markEdge;
    g.stroke(shape);
    if (mark.returned) {
      g.lineWidth = 1;
      g.strokeStyle = this.colours.markEdge;
      g.stroke(shape);
    }
    g.fillStyle = mark.returned ? this.colours.fg : (this.colours.text[mark.severity] as string);
    g.font = font(11, 700);
    g.textAlign = 'center';
    g.textBaseline = 'alphabetic';
    g.fillText(String(mark.severity), 10, MARK_BASELINE[mark.severity] as number);
    g.restore();
  }

  private drawFan(mark: Mark, at: Screen): void {
    const g = this.context;
    g.beginPath();
    g.arc(at.x, at.y, MARK_PX / 2, 0, 2 * Math.PI);
    g.fillStyle = mark.stopped ? this.colours.bg : this.colours.panel;
    g.fill();
    g.lineWidth = 1.5;
    g.strokeStyle = mark.nodata ? this.colours.nodata : this.colours.fg;
    if (mark.nodata) g.setLineDash([3, 2]);
    g.stroke();
    g.setLineDash([]);
    this.drawIcon(FAN_SHAPE, at);
    if (!mark.stopped) return;
    g.beginPath();
    g.moveTo(at.x - 8, at.y + 8);
    g.lineTo(at.x + 8, at.y - 8);
    g.lineWidth = 2;
    g.strokeStyle = this.colours.fg;
    g.stroke();
  }

  private drawIcon(shape: Path2D, at: Screen): void {
    const g = this.context;
    g.save();
    g.translate(at.x - MARK_PX / 2, at.y - MARK_PX / 2);
    g.lineWidth = 1.6;
    g.lineCap = 'round';
    g.strokeStyle = this.colours.fg;
    g.stroke(shape);
    g.restore();
  }

  private drawRefuge(at: Screen): void {
    const g = this.context;
    g.fillStyle = this.colours.panel;
    g.strokeStyle = this.colours.fg;
    g.lineWidth = 1.5;
    g.fillRect(at.x - 7, at.y - 7, 14, 14);
    g.strokeRect(at.x - 7, at.y - 7, 14, 14);
    g.fillStyle = this.colours.fg;
    g.font = font(11, 700);
    g.textAlign = 'center';
    g.textBaseline = 'middle';
    g.fillText('R', at.x, at.y + 0.5);
  }

  private drawPoint(mark: Mark, at: Screen): void {
    const g = this.context;
    const half = POINT_PX / 2;
    g.lineWidth = 1.5;
    if (mark.nodata) {
      g.setLineDash([2.5, 2]);
      g.strokeStyle = this.colours.nodata;
      g.fillStyle = this.colours.panel;
    } else {
      g.strokeStyle = this.colours.panel;
      g.fillStyle = this.colours.fg;
    }
    g.fillRect(at.x - half, at.y - half, POINT_PX, POINT_PX);
    g.strokeRect(at.x - half, at.y - half, POINT_PX, POINT_PX);
    g.setLineDash([]);
  }

  /** A thin line from a label that had to stand off back to what it names. */
  private drawLeader({ box, anchor, look }: Label): void {
    if (look === 'name' || look === 'zone' || look === 'over') return;
    const x = Math.min(Math.max(anchor.x, box.x), box.x + box.w);
    const y = Math.min(Math.max(anchor.y, box.y), box.y + box.h);
    if (Math.hypot(x - anchor.x, y - anchor.y) < LEADER_PX) return;
    const g = this.context;
    g.beginPath();
    g.moveTo(anchor.x, anchor.y);
    g.lineTo(x, y);
    g.lineWidth = 1;
    g.strokeStyle = this.colours.fg;
    g.stroke();
  }

  private drawLabel(label: Label): void {
    const g = this.context;
    const { box, look, severity } = label;
    const alarm = severity > 0 && !this.muted;
    const strong = look === 'hover' || look === 'over';
    if (look !== 'name') {
      g.globalAlpha = alarm || strong ? 1 : 0.86;
      g.fillStyle = alarm ? (this.colours.fill[severity] as string) : strong ? this.colours.fg : this.colours.panel;
      g.fillRect(box.x, box.y, box.w, box.h);
      g.globalAlpha = 1;
      g.lineWidth = 1;
      g.strokeStyle = alarm || strong ? this.colours.markEdge : look === 'zone' ? this.colours.edge : this.colours.line;
      g.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
    }
    g.font = font(look === 'name' ? 11 : LABEL_PX, alarm ? 600 : 400);
    g.textAlign = 'left';
    g.textBaseline = 'middle';
    const ink = alarm ? (this.colours.text[severity] as string) : strong ? this.colours.panel : look === 'plain' && !this.muted ? this.colours.fg : this.colours.muted;
    if (look === 'name') {
      g.lineWidth = 3;
      g.lineJoin = 'round';
      g.strokeStyle = this.colours.bg;
      g.strokeText(label.text, box.x + LABEL_PAD, box.y + box.h / 2 + 0.5);
    }
    g.fillStyle = look === 'zone' ? this.colours.fg : ink;
    g.fillText(label.text, box.x + LABEL_PAD, box.y + box.h / 2 + 0.5);
    if (look === 'muted' || (this.muted && look === 'plain')) this.dashUnder(box);
  }

  private dashUnder(box: Box): void {
    const g = this.context;
    g.setLineDash([3, 2]);
    g.lineWidth = 1.5;
    g.strokeStyle = this.colours.nodata;
    g.beginPath();
    g.moveTo(box.x + LABEL_PAD, box.y + box.h - 2.5);
    g.lineTo(box.x + box.w - LABEL_PAD, box.y + box.h - 2.5);
    g.stroke();
    g.setLineDash([]);
  }
}
