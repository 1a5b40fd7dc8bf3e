/** Puts labels beside their anchors so that none covers another or a mark; pure, in CSS pixels. */

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** around: beside a mark of half-size `gap`. centre: over the anchor itself (roadway and zone names). */
export interface LabelRequest {
  x: number;
  y: number;
  w: number;
  h: number;
  gap: number;
  mode: 'around' | 'centre';
  /** Lower goes first and wins the room. */
  rank: number;
  /** Must appear even if it covers something. */
  forced?: boolean;
  /** Rather left out than laid over a roadway. */
  shy?: boolean;
}

const MARGIN_PX = 2;
const FAR_PX = 22;

const overlaps = (a: Box, b: Box): boolean =>
  a.x < b.x + b.w + MARGIN_PX && b.x < a.x + a.w + MARGIN_PX && a.y < b.y + b.h + MARGIN_PX && b.y < a.y + a.h + MARGIN_PX;

const inside = (a: Box, area: Box): boolean =>
  a.x >= area.x && a.y >= area.y && a.x + a.w <= area.x + area.w && a.y + a.h <= area.y + area.h;

function* candidates(r: LabelRequest): Generator<Box> {
  const { x, y, w, h, gap } = r;
  if (r.mode === 'centre') {
    for (const [dx, dy] of [[0, -1], [0, 1], [-0.6, -1], [0.6, -1], [-0.6, 1], [0.6, 1]] as const) {
      yield { x: x - w / 2 + dx * w, y: y - h / 2 + dy * (h / 2 + gap), w, h };
    }
    return;
  }
  yield* ring(r, gap);
  yield* ring(r, gap + FAR_PX); // with a line back to its anchor
}

function* ring({ x, y, w, h }: LabelRequest, gap: number): Generator<Box> {
  yield { x: x + gap, y: y - h / 2, w, h };
  yield { x: x - gap - w, y: y - h / 2, w, h };
  yield { x: x - w / 2, y: y - gap - h, w, h };
  yield { x: x - w / 2, y: y + gap, w, h };
  yield { x: x + gap * 0.7, y: y - gap * 0.7 - h, w, h };
  yield { x: x + gap * 0.7, y: y + gap * 0.7, w, h };
  yield { x: x - gap * 0.7 - w, y: y - gap * 0.7 - h, w, h };
  yield { x: x - gap * 0.7 - w, y: y + gap * 0.7, w, h };
}

/** The place of every request in `area`, null where there was no room.

`taken` are boxes nothing may cover; `soft` ones are covered only where there is no other room, by shy labels never.
*/
export function placeLabels(
  requests: readonly LabelRequest[],
  taken: readonly Box[],
  soft: readonly Box[],
  area: Box,
): (Box | null)[] {
  const placed: (Box | null)[] = requests.map(() => null);
  const used: Box[] = [...taken];
  const order = requests.map((_, i) => i).sort((a, b) => requests[a]!.rank - requests[b]!.rank || a - b);
  for (const i of order) {
    const request = requests[i]!;
    const free = [...candidates(request)].filter((box) => inside(box, area) && !used.some((other) => overlaps(box, other)));
    let found = free.find((box) => !soft.some((other) => overlaps(box, other))) ?? (request.shy ? null : (free[0] ?? null));
    if (!found && request.forced) found = [...candidates(request)].find((box) => inside(box, area)) ?? null;
    if (!found) continue;
    placed[i] = found;
    used.push(found);
  }
  return placed;
}
