/** How marks, people and labels look on the canvas; a brush knows the context and the colours, nothing of the mine. */
import type { Cluster } from './cluster';
import { font, type Colours } from './colours';
import type { Box } from './labels';
import { EXIT_PATH, FAN_PATH, MARK_BASELINE, MARK_PATHS } from './marks';
import type { Mark } from './model';
import type { Screen } from './view';

export const MARK_PX = 20;
export const POINT_PX = 7;
export const LABEL_PX = 12;
export const LABEL_PAD = 4;
const LEADER_PX = 22;
const MARK_SHAPES = MARK_PATHS.map((path) => new Path2D(path));
const FAN_SHAPE = new Path2D(FAN_PATH);
const EXIT_SHAPE = new Path2D(EXIT_PATH);

export interface Label {
  box: Box;
  text: string;
  look: 'plain' | 'zone' | 'name' | 'over' | 'muted' | 'hover';
  severity: number;
  anchor: Screen;
  /** Says something measured, which can go stale. */
  live: boolean;
}

export class Brush {
  /** Nothing on the page is fresh: what was measured is drawn muted. */
  muted = false;

  constructor(
    private readonly context: CanvasRenderingContext2D,
    public colours: Colours,
  ) {}

  drawCluster(cluster: Cluster): void {
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

  drawMark(mark: Mark, at: Screen): void {
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

  drawSeverity(mark: Mark, at: Screen): void {
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

  drawFan(mark: Mark, at: Screen): void {
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

  drawIcon(shape: Path2D, at: Screen): void {
    const g = this.context;
    g.save();
    g.translate(at.x - MARK_PX / 2, at.y - MARK_PX / 2);
    g.lineWidth = 1.6;
    g.lineCap = 'round';
    g.strokeStyle = this.colours.fg;
    g.stroke(shape);
    g.restore();
  }

  drawRefuge(at: Screen): void {
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

  drawPoint(mark: Mark, at: Screen): void {
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
  drawLeader({ box, anchor, look }: Label): void {
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

  drawLabel(label: Label): void {
    const g = this.context;
    const { box, look, severity } = label;
    const stale = look === 'muted' || (this.muted && label.live);
    const alarm = severity > 0 && !this.muted;
    const strong = look === 'hover' || (look === 'over' && !stale);
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
    const ink = alarm ? (this.colours.text[severity] as string) : strong ? this.colours.panel : stale || look === 'name' ? this.colours.muted : this.colours.fg;
    if (look === 'name') {
      g.lineWidth = 3;
      g.lineJoin = 'round';
      g.strokeStyle = this.colours.bg;
      g.strokeText(label.text, box.x + LABEL_PAD, box.y + box.h / 2 + 0.5);
    }
    g.fillStyle = ink;
    g.fillText(label.text, box.x + LABEL_PAD, box.y + box.h / 2 + 0.5);
    if (stale) this.dashUnder(box);
  }

  dashUnder(box: Box): void {
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
