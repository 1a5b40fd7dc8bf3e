/** What the plan and the 3D view have in common: roadways drawn below, and where a place appears on the screen. */
import type { Layout, Place } from '../lib/structure';
import type { Colours } from './colours';

export interface Screen {
  x: number;
  y: number;
}

export interface BaseView {
  readonly element: HTMLCanvasElement;
  /** Screen position of a place in CSS pixels; false when it is behind the viewer. */
  project(place: Place, out: Screen): boolean;
  /** Width and height in CSS pixels. */
  resize(width: number, height: number): void;
  /** Worst severity of the active alarms per roadway; `chosen` is the index of a highlighted one, -1 none. */
  setRoadways(severity: Uint8Array, chosen: number): void;
  setColours(colours: Colours): void;
  /** Draw if anything changed. */
  render(): void;
  zoom(factor: number): void;
  /** Turn around the vertical; the plan does not turn. */
  turn(radians: number): void;
  fit(): void;
  dispose(): void;
}

export interface ViewOptions {
  layout: Layout;
  colours: Colours;
  /** Called when the projection changed. */
  moved: () => void;
}

export const PIXEL_RATIO_MAX = 2;

/** Tells whether two severity columns are equal, so that nothing is drawn twice. */
export const sameRoadways = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((s, i) => s === b[i]);
