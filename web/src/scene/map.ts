/** The map as one thing: a base view (plan or 3D), the overlay above it, and one loop that draws only what changed. */
import type { Frame } from '../lib/frame';
import type { Layout } from '../lib/structure';
import type { LayoutMessage } from '../lib/types';
import { readColours } from './colours';
import type { Box } from './labels';
import type { Model } from './model';
import { Overlay, type Trail } from './overlay';
import { PeopleOnMap } from './people';
import { PlanView } from './plan';
import type { BaseView } from './view';

const TWEEN_MS = 100; // people move at 10 Hz: enough to follow, cheap where a processor draws
const CLICK_PX = 5;

export type ViewKind = 'plan' | 'space';

export interface MapEvents {
  pickPoint: (point: string) => void;
  pickTag: (tag: string) => void;
}

export class MineMap {
  private view: BaseView | null = null;
  private readonly overlay: Overlay;
  private readonly people: PeopleOnMap;
  private readonly smooth = !matchMedia('(prefers-reduced-motion: reduce)').matches;
  private model: Model | null = null;
  private moving = false;
  private drawnAt_ms = 0;
  private handle = 0;
  private wanted: ViewKind = 'plan';
  private readonly sizes: ResizeObserver;
  private pressed: { x: number; y: number } | null = null;

  constructor(
    private readonly host: HTMLElement,
    private readonly layout: Layout,
    private readonly events: MapEvents,
  ) {
    this.people = new PeopleOnMap(layout);
    this.overlay = new Overlay(readColours(), this.people, layout.lines);
    this.overlay.element.classList.add('overlay');
    host.append(this.overlay.element);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(host);
    this.use(new PlanView(this.options()));
    this.loop();
  }

  /** Change the base view; resolves to false when this computer cannot show 3D (the plan stays). */
  async show(kind: ViewKind): Promise<boolean> {
    this.wanted = kind;
    if (kind === 'plan') {
      this.use(new PlanView(this.options()));
      return true;
    }
    const { SpaceView } = await import('./space');
    if (this.wanted !== 'space' || !this.host.isConnected) return true;
    try {
      this.use(new SpaceView(this.options()));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return false; // three.js throws a plain Error where there is no WebGL
    }
    return true;
  }

  setModel(model: Model): void {
    this.model = model;
    this.view?.setRoadways(model.severity, model.chosenRoadway);
    this.overlay.setModel(model);
  }

  setFrame(frame: Frame, named: LayoutMessage): void {
    this.people.take(frame, named, performance.now(), this.smooth && !document.hidden);
    this.moving = true;
  }

  setChosenTag(tag: string, trail: Trail | null): void {
    this.overlay.chosenTag = tag;
    this.overlay.trail = trail;
    this.overlay.touch();
  }

  /** Numbers are not fresh: draw them so. */
  setMuted(muted: boolean): void {
    this.overlay.setMuted(muted);
  }

  /** Labels keep clear of these boxes, in CSS pixels of the host. */
  setReserved(boxes: Box[]): void {
    this.overlay.reserved = boxes;
    this.overlay.change();
  }

  recolour(): void {
    const colours = readColours();
    this.view?.setColours(colours);
    this.overlay.setColours(colours);
  }

  zoom(factor: number): void {
    this.view?.zoom(factor);
  }

  turn(radians: number): void {
    this.view?.turn(radians);
  }

  fit(): void {
    this.view?.fit();
  }

  dispose(): void {
    cancelAnimationFrame(this.handle);
    this.sizes.disconnect();
    this.view?.dispose();
    this.overlay.element.remove();
  }

  private options(): { layout: Layout; colours: ReturnType<typeof readColours>; moved: () => void } {
    return { layout: this.layout, colours: readColours(), moved: () => this.overlay.change() };
  }

  private use(view: BaseView): void {
    this.view?.dispose();
    this.view = view;
    this.host.prepend(view.element);
    this.watchPointer(view.element);
    this.resize();
    if (this.model) view.setRoadways(this.model.severity, this.model.chosenRoadway);
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.host;
    if (!clientWidth || !clientHeight) return;
    this.view?.resize(clientWidth, clientHeight);
    this.overlay.resize(clientWidth, clientHeight);
  }

  private loop = (): void => {
    this.handle = requestAnimationFrame(this.loop);
    const now = performance.now();
    if (this.moving && now - this.drawnAt_ms >= TWEEN_MS) {
      this.drawnAt_ms = now;
      this.moving = this.people.move(now);
      this.overlay.touch();
    }
    if (!this.view) return;
    this.view.render();
    this.overlay.render(this.view);
  };

  private watchPointer(element: HTMLCanvasElement): void {
    const at = (e: PointerEvent): { x: number; y: number } => {
      const box = element.getBoundingClientRect();
      return { x: e.clientX - box.left, y: e.clientY - box.top };
    };
    element.addEventListener('pointerdown', (e) => (this.pressed = at(e)));
    element.addEventListener('pointerup', (e) => {
      const here = at(e);
      const pressed = this.pressed;
      this.pressed = null;
      if (!pressed || Math.hypot(here.x - pressed.x, here.y - pressed.y) > CLICK_PX) return;
      const found = this.overlay.pick(here);
      if (found && 'point' in found) this.events.pickPoint(found.point);
      else if (found) this.events.pickTag(found.tag);
    });
    element.addEventListener('pointermove', (e) => {
      if (e.pointerType !== 'mouse' || e.buttons) return;
      element.classList.toggle('pickable', this.overlay.hover(at(e)));
    });
    element.addEventListener('pointerleave', () => this.overlay.hover(null));
  }
}
