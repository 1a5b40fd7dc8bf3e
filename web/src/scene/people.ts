/** Where people are on the map: places from frames, moved smoothly from one frame to the next. */
import type { Frame } from '../lib/frame';
import type { Layout, Place } from '../lib/structure';
import type { LayoutMessage } from '../lib/types';

const GONE_S = 600; // as the server counts heads: not heard for ten minutes is not there

export class PeopleOnMap {
  tags: string[] = [];
  /** Now shown, metres. */
  now: Place[] = [];
  sigma_m: number[] = [];
  private before: Place[] = [];
  private after: Place[] = [];
  private roadwayOf: number[] = [];
  private named: LayoutMessage | null = null;
  private startedAt_ms = 0;
  private span_ms = 1;

  constructor(private readonly layout: Layout) {}

  /** Take a frame's positions as the ones to move to. */
  take(frame: Frame, named: LayoutMessage, now_ms: number, smooth: boolean): void {
    if (this.named !== named) {
      this.named = named;
      this.roadwayOf = named.roadways.map((id) => this.layout.indexOf(id));
    }
    const old = new Map(this.tags.map((tag, i) => [tag, this.now[i] as Place]));
    const [tags, after, before, sigma]: [string[], Place[], Place[], number[]] = [[], [], [], []];
    for (let i = 0; i < frame.tag.length; i++) {
      if ((frame.personAge_s[i] as number) > GONE_S) continue;
      const roadway = this.roadwayOf[frame.roadway[i] as number] ?? -1;
      const place = this.layout.at(roadway, frame.chainage_m[i] as number);
      if (!place) continue;
      const tag = named.tags[frame.tag[i] as number] ?? '';
      tags.push(tag);
      after.push(place);
      before.push((smooth && old.get(tag)) || place);
      sigma.push(frame.sigma_m[i] as number);
    }
    this.tags = tags;
    this.after = after;
    this.before = before;
    this.sigma_m = sigma;
    this.span_ms = smooth ? Math.min(1100, Math.max(50, now_ms - this.startedAt_ms)) : 1;
    this.startedAt_ms = now_ms;
    this.move(now_ms);
  }

  /** Set `now` for a moment; returns true while anybody still moves. */
  move(now_ms: number): boolean {
    const share = Math.min(1, Math.max(0, (now_ms - this.startedAt_ms) / this.span_ms));
    this.now = this.after.map((to, i) => {
      const from = this.before[i] as Place;
      return {
        x_m: from.x_m + (to.x_m - from.x_m) * share,
        y_m: from.y_m + (to.y_m - from.y_m) * share,
        z_m: from.z_m + (to.z_m - from.z_m) * share,
      };
    });
    return share < 1;
  }
}
