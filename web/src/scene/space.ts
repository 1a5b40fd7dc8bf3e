/** 3D view: roadways as one instanced draw call, rendered only when something changed; loaded on demand. */
import {
  Color,
  CylinderGeometry,
  DirectionalLight,
  GridHelper,
  HemisphereLight,
  InstancedMesh,
  Matrix4,
  MeshLambertMaterial,
  PerspectiveCamera,
  Quaternion,
  Scene,
  Sphere,
  Vector3,
  WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import type { Layout, Place } from '../lib/structure';
import type { Colours } from './colours';
import { PIXEL_RATIO_MAX, sameRoadways, type BaseView, type Screen, type ViewOptions } from './view';

const RADIUS_SHARE = 0.008; // of the mine's extent: a roadway true to scale would be a hair
const SIDES = 8;
const FIELD_DEG = 40;
const START = new Vector3(-0.45, 0.85, 1.05); // seen from the south-west and above
const FILL = 0.86; // of the view that the mine may take
const FIT_ROUNDS = 4;
const GRID_CELLS = 24;

/** x east, y up, z south: the right-handed frame of the graphics card. */
const toSpace = (p: Place, out: Vector3): Vector3 => out.set(p.x_m, p.z_m, -p.y_m);

export class SpaceView implements BaseView {
  readonly element: HTMLCanvasElement;
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(FIELD_DEG, 1, 1, 1e6);
  private readonly controls: OrbitControls;
  private readonly pieces: InstancedMesh;
  private readonly owner: number[] = []; // roadway of each piece
  private readonly ball: Sphere;
  private readonly layout: Layout;
  private grid: GridHelper | null = null;
  private colours: Colours;
  private readonly moved: () => void;
  private severity = new Uint8Array(0);
  private chosen = -1;
  private width = 1;
  private height = 1;
  private dirty = true;
  private touched = false; // the viewer has turned or zoomed: keep that
  private readonly scratch = new Vector3();

  /** Throws when this computer gives no WebGL context. */
  constructor(options: ViewOptions) {
    this.renderer = new WebGLRenderer({ antialias: true, powerPreference: 'low-power' });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, PIXEL_RATIO_MAX));
    this.element = this.renderer.domElement;
    this.layout = options.layout;
    this.colours = options.colours;
    this.moved = options.moved;
    const corners = [...this.layout.everyCorner()].map((c) => toSpace(c, new Vector3()));
    this.ball = new Sphere().setFromPoints(corners.length ? corners : [new Vector3()]);
    this.ball.radius = Math.max(this.ball.radius, 1);
    this.pieces = this.makePieces();
    this.scene.add(this.pieces, new HemisphereLight(0xffffff, 0x777777, 2.6));
    const sun = new DirectionalLight(0xffffff, 1.2);
    sun.position.set(0.4, 1, 0.6);
    this.scene.add(sun);
    this.controls = new OrbitControls(this.camera, this.element);
    this.controls.enableDamping = false;
    this.controls.maxPolarAngle = Math.PI * 0.49;
    this.controls.minDistance = this.ball.radius * 0.1;
    this.controls.maxDistance = this.ball.radius * 6;
    this.controls.addEventListener('change', () => this.change());
    this.controls.addEventListener('start', () => (this.touched = true));
    this.fit();
    this.setColours(options.colours);
  }

  project(place: Place, out: Screen): boolean {
    const v = toSpace(place, this.scratch).project(this.camera);
    out.x = ((v.x + 1) / 2) * this.width;
    out.y = ((1 - v.y) / 2) * this.height;
    return v.z < 1;
  }

  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.renderer.setSize(width, height);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (!this.touched) this.fit();
    this.change();
  }

  setRoadways(severity: Uint8Array, chosen: number): void {
    if (sameRoadways(this.severity, severity) && this.chosen === chosen) return;
    this.severity = severity.slice();
    this.chosen = chosen;
    this.paint();
  }

  setColours(colours: Colours): void {
    this.colours = colours;
    this.scene.background = new Color(colours.bg);
    if (this.grid) {
      this.scene.remove(this.grid);
      this.grid.dispose();
    }
    const size = this.ball.radius * 2.1;
    this.grid = new GridHelper(size, GRID_CELLS, colours.line, colours.line);
    this.grid.position.set(this.ball.center.x, this.lowest() - this.ball.radius * 0.04, this.ball.center.z);
    this.scene.add(this.grid);
    this.paint();
  }

  render(): void {
    if (!this.dirty) return;
    this.dirty = false;
    this.renderer.render(this.scene, this.camera);
  }

  zoom(factor: number): void {
    this.touched = true;
    const offset = this.camera.position.clone().sub(this.controls.target);
    const length = offset.length() / factor;
    offset.setLength(Math.min(this.controls.maxDistance, Math.max(this.controls.minDistance, length)));
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
    this.change();
  }

  turn(radians: number): void {
    this.touched = true;
    const offset = this.camera.position.clone().sub(this.controls.target);
    offset.applyAxisAngle(new Vector3(0, 1, 0), radians);
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
    this.change();
  }

  fit(): void {
    this.touched = false;
    this.controls.target.copy(this.ball.center);
    this.camera.near = this.ball.radius / 50;
    this.camera.far = this.ball.radius * 20;
    this.camera.updateProjectionMatrix();
    let distance = this.ball.radius * 2;
    for (let round = 0; round < FIT_ROUNDS; round++) {
      this.camera.position.copy(START).setLength(distance).add(this.ball.center);
      this.controls.update();
      this.camera.updateMatrixWorld();
      distance *= this.reach() / FILL;
    }
    this.change();
  }

  dispose(): void {
    this.controls.dispose();
    this.pieces.geometry.dispose();
    (this.pieces.material as MeshLambertMaterial).dispose();
    this.pieces.dispose();
    this.grid?.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss(); // browsers allow only a few contexts
    this.element.remove();
  }

  /** How far the mine reaches from the middle of the view: 1 touches the edge. */
  private reach(): number {
    let most = 0.01;
    for (const corner of this.layout.everyCorner()) {
      const v = toSpace(corner, this.scratch).project(this.camera);
      most = Math.max(most, Math.abs(v.x), Math.abs(v.y));
    }
    return most;
  }

  private lowest(): number {
    let low = Infinity;
    for (const c of this.layout.everyCorner()) low = Math.min(low, c.z_m);
    return Number.isFinite(low) ? low : 0;
  }

  private makePieces(): InstancedMesh {
    const spans: [Vector3, Vector3][] = [];
    this.layout.lines.forEach((line, roadway) => {
      for (let i = 1; i < line.corners.length; i++) {
        spans.push([toSpace(line.corners[i - 1]!, new Vector3()), toSpace(line.corners[i]!, new Vector3())]);
        this.owner.push(roadway);
      }
    });
    const radius = this.ball.radius * RADIUS_SHARE;
    const mesh = new InstancedMesh(new CylinderGeometry(radius, radius, 1, SIDES, 1), new MeshLambertMaterial(), spans.length);
    const [matrix, turn, up] = [new Matrix4(), new Quaternion(), new Vector3(0, 1, 0)];
    spans.forEach(([a, b], i) => {
      const along = b.clone().sub(a);
      const length = along.length();
      turn.setFromUnitVectors(up, length ? along.divideScalar(length) : up);
      matrix.compose(a.clone().add(b).multiplyScalar(0.5), turn, new Vector3(1, Math.max(length, radius), 1));
      mesh.setMatrixAt(i, matrix);
      mesh.setColorAt(i, new Color());
    });
    return mesh;
  }

  private paint(): void {
    const [plain, chosen] = [new Color(this.colours.roadway), new Color(this.colours.focus)];
    const alarm = this.colours.fill.map((c) => (c ? new Color(c) : plain));
    this.owner.forEach((roadway, i) => {
      const severity = this.severity[roadway] ?? 0;
      this.pieces.setColorAt(i, severity ? alarm[severity]! : roadway === this.chosen ? chosen : plain);
    });
    if (this.pieces.instanceColor) this.pieces.instanceColor.needsUpdate = true;
    this.dirty = true;
  }

  private change(): void {
    this.dirty = true;
    this.moved();
  }
}
