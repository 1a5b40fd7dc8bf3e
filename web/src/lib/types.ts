/** What the server's HTTP API answers, field for field; times are µs since 1970 UTC, `_us` 0 or null means never. */

export type Role = 'admin' | 'enterprise' | 'regulator' | 'installer';
export type Freshness = 'live' | 'late' | 'silent' | 'backfilling';
export type Severity = 1 | 2 | 3 | 4;
export type AlarmState = 'unacked' | 'acked' | 'rtn_unacked' | 'normal';

export interface Me {
  user: string;
  role: Role;
  enterprises: string[];
  csrf: string;
}

export interface Gateway {
  id: string;
  name: string;
  site: string;
  epoch: number;
  seq: number;
  kid: string;
  software: string;
  /** (epoch, first, last) numbers not received although later ones were. */
  holes: [number, number, number][];
  /** Batches waiting in the gateway as it last said; null when it does not say. */
  queue: number | null;
  /** sync 0 none, 1 NTP, 2 GNSS, 3 set by hand; error_us -1 unknown. */
  clock: { sync: number; error_us: number; offset_us: number };
  forks: number;
  revoked: boolean;
  state: Freshness;
  last_event_us: number;
  last_received_us: number;
}

export interface EnterpriseSummary {
  id: string;
  name: string;
  simulated: boolean;
  origin: string;
  log_vkey: string;
  tree_size: number;
  points: number;
  people: number;
  alarms: Record<string, number>;
  state: Freshness;
  last_event_us: number;
  last_received_us: number;
  completeness_24h: number | null;
}

export interface EnterpriseDetail extends EnterpriseSummary {
  gateways: Gateway[];
  history_id: string;
}

/** Samples expected and received per bucket of one gateway. */
export interface Completeness {
  gateway: string;
  bucket_us: number;
  time_us: number[];
  expected: number[];
  received: number[];
  late: number[];
}

export interface Limit {
  kind: 'high' | 'low' | 'rate';
  severity: number;
  value: number;
  restore: number;
  delay_s: number;
  source: string;
}

export interface PointInfo {
  id: string;
  gateway: string;
  quantity: string;
  unit: string;
  decimals: number;
  name: string;
  zone: string;
  roadway: string;
  chainage_m: number | null;
  device: string;
  range_low: number | null;
  range_high: number | null;
  limits: Limit[];
  period_s?: number;
}

export interface History {
  point: string;
  from: number;
  to: number;
  bucket_us: number;
  time_us: number[];
  n: number[];
  min: (number | null)[];
  max: (number | null)[];
  mean: (number | null)[];
  last: (number | null)[];
  bad: number[];
}

export interface Alarm {
  id: string;
  gateway: string;
  point: string;
  rule: string;
  severity: number;
  state: AlarmState;
  begin_us: number;
  end_us: number | null;
  received_us: number;
  acked_us: number | null;
  acked_by: string | null;
  note: string | null;
  text: string;
  detector: string;
  numbers: Record<string, number>;
  index: number | null;
}

export interface Junction {
  id: string;
  x_m: number;
  y_m: number;
  z_m: number;
}

export interface Roadway {
  id: string;
  from: string;
  to: string;
  length_m: number;
  zone: string;
  name: string;
  path: { x_m: number; y_m: number; z_m: number }[];
}

export interface Zone {
  id: string;
  name: string;
  kind: string;
  /** 0: no limit. */
  headcount_max: number;
  /** The zone it lies in, '' for none. */
  parent: string;
}

/** A fan, door, exit or refuge: something that stands at a place. */
export interface Fixture {
  id: string;
  kind: string;
  name: string;
  roadway: string;
  chainage_m: number;
  junction: string;
  serves: string;
}

export interface Structure {
  site: string;
  name: string;
  junctions: Junction[];
  roadways: Roadway[];
  zones: Zone[];
  fixtures: Fixture[];
}

export interface PersonFix {
  tag: string;
  roadway: string;
  chainage_m: number;
  sigma_m: number;
  zone: string;
  method: string;
  time_us: number;
}

export interface ZoneCount {
  id: string;
  name: string;
  kind: string;
  headcount: number;
  headcount_max: number;
}

export interface People {
  people: PersonFix[];
  zones: ZoneCount[];
}

export interface TrackPoint {
  time_us: number;
  roadway: string;
  chainage_m: number;
  sigma_m: number;
}

export interface PersonName {
  name: string;
  team?: string;
  [key: string]: unknown;
}

export interface Evidence {
  gateway: string;
  epoch: number;
  seq: number;
  index: number;
  digest: string;
  size: number;
  manifest_digest: string;
}

/** The text messages of the live and replay sockets. */
export interface LayoutMessage {
  type: 'layout';
  layout: number;
  points: string[];
  tags: string[];
  roadways: string[];
  zones: string[];
}

export interface GatewayTick {
  id: string;
  state: Freshness;
  last_event_us: number;
  last_received_us: number;
  backlog: number;
}

/** A sentence for everyone who watches, until `until_us`; kind "world" tells how much faster a simulated one runs. */
export interface Notice {
  kind: string;
  text: string;
  factor: number;
  until_us: number;
}

export interface TickMessage {
  type: 'tick';
  mode: 'live' | 'replay';
  server_time_us: number;
  as_of_us: number;
  tree_size: number;
  speed: number;
  gateways: GatewayTick[];
  notices: Notice[];
}

export interface AlarmMessage {
  type: 'alarm';
  alarm: Alarm;
}

export type FeedMessage = LayoutMessage | TickMessage | AlarmMessage;
