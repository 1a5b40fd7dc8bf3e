/** Plan view: roadways on a 2D canvas, drawn once per change of view or of an alarm; pan and zoom. */
import type { Layout, Place } from '../lib/structure';
import type { Colours } from './colours';
import { PIXEL_RATIO_MAX, sameRoadways, type BaseView, type Screen, type ViewOptions } from './view';

const PADDING_PX = 56;
const ROADWAY_M = 7; // a drawn width; the structure's area is no width
const WIDTH_PX = [5, 13] as const;
const ZOOM_MAX = 24;
const SHAFT_SHARE = 0.2; // a roadway this much longer than its plan is drawn as a shaft
const WHEEL_STEP = 1.0015;

export class PlanView implements BaseView {
  readonly element = document.createElement('canvas');
  private readonly context = this.element.getContext('2d') as CanvasRenderingContext2D;
  private readonly layout: Layout;
  private colours: Colours;
  private readonly moved: () => void;
  private width = 1;
  private height = 1;
  private scale = 1; // px per metre
  private fitScale = 1;
  private centre = { x: 0, y: 0 }; // metres at the middle of the canvas
  private severity = new Uint8Array(0);
  private chosen = -1;
  private dirty = true;
  private fitted = true;
  private readonly order: number[];
  private readonly stop = new AbortController();

  constructor(options: ViewOptions) {
    this.layout = options.layout;
    this.colours = options.colours;
    this.moved = options.moved;
    const height = (i: number): number => Math.max(...this.layout.lines[i]!.corners.map((c) => c.z_m));
    this.order = this.layout.lines.map((_, i) => i).sort((a, b) => height(a) - height(b));
    this.listen();
  }

  project(place: Place, out: Screen): boolean {
    out.x = this.width / 2 + (place.x_m - this.centre.x) * this.scale;
    out.y = this.height / 2 - (place.y_m - this.centre.y) * this.scale;
    return true;
  }

  resize(width: number, height: number): void {
    const ratio = Math.min(devicePixelRatio, PIXEL_RATIO_MAX);
    this.width = width;
    this.height = height;
    this.element.width = Math.round(width * ratio);
    this.element.height = Math.round(height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.fitted) this.fit();
    this.change();
  }

  setRoadways(severity: Uint8Array, chosen: number): void {
    if (sameRoadways(this.severity, severity) && this.chosen === chosen) return;
    this.severity = severity.slice();
    this.chosen = chosen;
    this.dirty = true;
  }

  setColours(colours: Colours): void {
    this.colours = colours;
    this.dirty = true;
  }

  zoom(factor: number): void {
    this.zoomAt(factor, this.width / 2, this.height / 2);
  }

  turn(): void {
    // north stays up on a plan
  }

  fit(): void {
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const c of this.layout.everyCorner()) {
      left = Math.min(left, c.x_m);
      right = Math.max(right, c.x_m);
      bottom = Math.min(bottom, c.y_m);
      top = Math.max(top, c.y_m);
    }
    if (left > right) [left, right, bottom, top] = [0, 1, 0, 1];
    const pad = Math.min(PADDING_PX, this.width / 8);
    this.fitScale = Math.min((this.width - 2 * pad) / Math.max(right - left, 1), (this.height - 2 * pad) / Math.max(top - bottom, 1));
    this.scale = Math.max(this.fitScale, 1e-6);
    this.centre = { x: (left + right) / 2, y: (bottom + top) / 2 };
    this.fitted = true;
    this.change();
  }

  render(): void {
    if (!this.dirty) return;
    this.dirty = false;
    const g = this.context;
    g.fillStyle = this.colours.bg;
    g.fillRect(0, 0, this.width, this.height);
    g.lineCap = 'round';
    g.lineJoin = 'round';
    const width = Math.min(WIDTH_PX[1], Math.max(WIDTH_PX[0], ROADWAY_M * this.scale));
    // all edges first, so that roadways meet without seams
    for (const i of this.order) this.stroke(i, width + 2, this.edgeOf(i));
    for (const i of this.order) this.stroke(i, width, this.fillOf(i));
    for (const i of this.order) if (this.isShaft(i)) this.shaft(i, width);
  }

  dispose(): void {
    this.stop.abort();
    this.element.remove();
  }

  private fillOf(i: number): string {
    return this.colours.fill[this.severity[i] ?? 0] || this.colours.roadway;
  }

  private edgeOf(i: number): string {
    if (i === this.chosen) return this.colours.focus;
    return this.severity[i] ? this.colours.markEdge : this.colours.edge;
  }

  private stroke(i: number, width: number, colour: string): void {
    const g = this.context;
    const at = { x: 0, y: 0 };
    g.beginPath();
    for (const [n, corner] of this.layout.lines[i]!.corners.entries()) {
      this.project(corner, at);
      if (n) g.lineTo(at.x, at.y);
      else g.moveTo(at.x, at.y);
    }
    g.strokeStyle = colour;
    g.lineWidth = i === this.chosen && colour === this.colours.focus ? width + 3 : width;
    g.stroke();
  }

  private isShaft(i: number): boolean {
    const corners = this.layout.lines[i]!.corners;
    const [a, b] = [corners[0]!, corners[corners.length - 1]!];
    const flat = Math.hypot(b.x_m - a.x_m, b.y_m - a.y_m);
    return flat < SHAFT_SHARE * Math.abs(b.z_m - a.z_m);
  }

  private shaft(i: number, width: number): void {
    const g = this.context;
    const at = { x: 0, y: 0 };
    const corners = this.layout.lines[i]!.corners;
    const head = corners[0]!.z_m > corners[corners.length - 1]!.z_m ? corners[0]! : corners[corners.length - 1]!;
    this.project(head, at);
    g.beginPath();
    g.arc(at.x, at.y, width * 0.8 + 3, 0, 2 * Math.PI);
    g.fillStyle = this.fillOf(i);
    g.strokeStyle = this.colours.edge;
    g.lineWidth = 1.5;
    g.fill();
    g.stroke();
    g.beginPath();
    g.arc(at.x, at.y, width * 0.8 - 1, 0, 2 * Math.PI);
    g.stroke();
  }

  private change(): void {
    this.dirty = true;
    this.moved();
  }

  private zoomAt(factor: number, x: number, y: number): void {
    const scale = Math.min(this.fitScale * ZOOM_MAX, Math.max(this.fitScale * 0.5, this.scale * factor));
    const kept = 1 / this.scale - 1 / scale;
    this.centre.x += (x - this.width / 2) * kept;
    this.centre.y -= (y - this.height / 2) * kept;
    this.scale = scale;
    this.fitted = false;
    this.change();
  }

  private listen(): void {
    const signal = this.stop.signal;
    const held = new Map<number, { x: number; y: number }>();
    this.element.addEventListener(
      'wheel',
      (e) => {
        e.preventDefault();
        const box = this.element.getBoundingClientRect();
        this.zoomAt(WHEEL_STEP ** -e.deltaY, e.clientX - box.left, e.clientY - box.top);
      },
      { signal, passive: false },
    );
    this.element.addEventListener('pointerdown', (e) => {
      held.set(e.pointerId, { x: e.clientX, y: e.clientY });
      this.element.setPointerCapture(e.pointerId);
    }, { signal });
    this.element.addEventListener('pointermove', (e) => {
      const before = held.get(e.pointerId);
      if (!before) return;
      const other = [...held].find(([id]) => id !== e.pointerId)?.[1];
      if (other) this.pinch(before, e, other);
      else this.pan(e.clientX - before.x, e.clientY - before.y);
      held.set(e.pointerId, { x: e.clientX, y: e.clientY });
    }, { signal });
    const release = (e: PointerEvent): void => void held.delete(e.pointerId);
    this.element.addEventListener('pointerup', release, { signal });
    this.element.addEventListener('pointercancel', release, { signal });
  }

  private pan(dx: number, dy: number): void {
    if (!dx && !dy) return;
    this.centre.x -= dx / this.scale;
    this.centre.y += dy / this.scale;
    this.fitted = false;
    this.change();
  }

  private pinch(before: Screen, now: PointerEvent, other: Screen): void {
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(now.clientX - other.x, now.clientY - other.y);
    const box = this.element.getBoundingClientRect();
    if (was > 0) this.zoomAt(is / was, (now.clientX + other.x) / 2 - box.left, (now.clientY + other.y) / 2 - box.top);
  }
}
