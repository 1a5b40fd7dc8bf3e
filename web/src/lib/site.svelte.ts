/** Everything the pages know of one enterprise: what was loaded, what is live, and how fresh it is. */
import { alarmAt, byUrgency, isOpen, mergeAlarm } from './alarms';
import { api, ApiError } from './api';
import { clock } from './clock.svelte';
import { Feed, type Replay } from './feed.svelte';
import { localName } from './format';
import { AGE_MAX_S, severityOf } from './frame';
import { language } from './i18n/index.svelte';
import { pointState, type PointState } from './quality';
import { session } from './session.svelte';
import { countHeads, Layout, readStructure, StructureError, type Headcount } from './structure';
import type { Alarm, EnterpriseDetail, GatewayTick, PointInfo, Zone } from './types';
import { verifier } from './verify';

const REFRESH_MS = 30_000;
const PRESENT_S = 600; // as the server counts: a tag heard within ten minutes is there

const REPLAY_LOOKBACK_US = 24 * 3600 * 1e6;

export type Loading = 'loading' | 'ready' | 'failed';

/** One point as it stands now. */
export interface PointNow {
  info: PointInfo;
  value: number;
  quality: number;
  /** Now, counting on while nothing new comes. */
  age_s: number;
  /** At the time of the picture, as the frame has it; and that time, 0 without a picture. */
  heldAge_s: number;
  asOf_us: number;
  alarm: number;
  severity: number;
  state: PointState;
  /** Its gateway is silent, or the page itself has lost the server. */
  stale: boolean;
}

export interface ZoneNow extends Zone {
  headcount: number;
  over: boolean;
}

export class Site {
  detail = $state.raw<EnterpriseDetail | null>(null);
  place = $state.raw<Layout | null>(null);
  points = $state.raw<PointInfo[]>([]);
  private liveAlarms = $state.raw<Alarm[]>([]);
  private pastAlarms = $state.raw<Alarm[]>([]);
  loading = $state<Loading>('loading');
  error = $state('');
  alarmsLoaded = $state(false);
  feed = $state.raw<Feed>() as Feed;
  private refreshTimer = 0;
  private stopped = false;

  constructor(
    readonly id: string,
    replay: Replay | null,
  ) {
    this.openFeed(replay);
    void this.load();
    this.refreshTimer = window.setInterval(() => void this.refresh(), REFRESH_MS);
    verifier.follow(id);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.refreshTimer);
    this.feed.stop();
    verifier.stop();
  }

  /** Leave live for a replay, a replay for live, or one replay for another. */
  setReplay(replay: Replay | null): void {
    this.feed.stop();
    this.openFeed(replay);
    if (replay) void this.loadPastAlarms(replay.from_us);
  }

  private openFeed(replay: Replay | null): void {
    const feed = new Feed(this.id, replay);
    feed.listen({
      alarm: (alarm) => (this.liveAlarms = mergeAlarm(this.liveAlarms, alarm)),
      opened: () => void this.refresh(),
      refused: () => void session.refresh(),
    });
    feed.start();
    this.feed = feed;
  }

  async load(): Promise<void> {
    this.loading = 'loading';
    try {
      const [detail, structure, points] = await Promise.all([
        api.enterprise(this.id),
        api.structure(this.id).catch(absent),
        api.points(this.id),
      ]);
      if (this.stopped) return;
      this.detail = detail;
      this.place = structure ? new Layout(readStructure(structure)) : null;
      this.points = points;
      this.loading = 'ready';
      await this.loadAlarms();
      if (this.feed.replaying) await this.loadPastAlarms(this.feed.asOf_us || Date.now() * 1000);
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    if (this.stopped || session.absorb(error)) return;
    if (!(error instanceof ApiError || error instanceof StructureError)) throw error;
    this.error = error.message;
    this.loading = 'failed';
  }

  private async loadAlarms(): Promise<void> {
    this.liveAlarms = (await api.alarms(this.id, { active: 1 })).filter(isOpen);
    this.alarmsLoaded = true;
  }

  private async loadPastAlarms(from_us: number): Promise<void> {
    try {
      this.pastAlarms = await api.alarms(this.id, { from: Math.round(from_us - REPLAY_LOOKBACK_US), to: Date.now() * 1000 });
    } catch (error) {
      if (!session.absorb(error) && !(error instanceof ApiError)) throw error;
    }
  }

  /** Ask again for what the feed does not carry; failures show as offline, not as an error page. */
  async refresh(): Promise<void> {
    if (this.loading !== 'ready') return this.load();
    try {
      const [detail, points] = await Promise.all([api.enterprise(this.id), api.points(this.id)]);
      if (this.stopped) return;
      this.detail = detail;
      this.points = points;
      if (!this.place) this.place = await this.lateStructure();
      await this.loadAlarms();
    } catch (error) {
      if (!session.absorb(error) && !(error instanceof ApiError || error instanceof StructureError)) throw error;
    }
  }

  private async lateStructure(): Promise<Layout | null> {
    const structure = await api.structure(this.id).catch(absent);
    return structure ? new Layout(readStructure(structure)) : null;
  }

  /** Acknowledge alarms one after the other; the first refusal is thrown. */
  async acknowledge(alarms: Alarm[], note: string): Promise<void> {
    for (const alarm of alarms) {
      const changed = await api.acknowledge(this.id, alarm.id, note);
      if (changed?.id) this.liveAlarms = mergeAlarm(this.liveAlarms, changed);
    }
    await this.loadAlarms();
  }

  /** Open alarms in order of urgency, as of the time shown. */
  readonly alarms = $derived.by((): Alarm[] => {
    if (!this.feed.replaying) return [...this.liveAlarms].sort(byUrgency);
    const now_us = this.feed.asOf_us;
    return this.pastAlarms.flatMap((alarm) => alarmAt(alarm, now_us) ?? []).sort(byUrgency);
  });

  /** The newest 24 h before a replay's start and all since, for ticks on the time bar. */
  get history(): Alarm[] {
    return this.feed.replaying ? this.pastAlarms : this.liveAlarms;
  }

  /** The time the page is about: the server's clock when live, the time shown in a replay; moves once a second. */
  readonly now_us = $derived.by((): number => {
    void clock.now_us;
    return this.feed.replaying ? this.feed.asOf_us : this.feed.serverNow_us();
  });

  /** How far behind now the newest picture is, s: ages in it count from its own time. */
  readonly lag_s = $derived.by((): number => {
    const { frame } = this.feed;
    return frame ? Math.max(0, Math.floor((this.now_us - frame.time_us) / 1e6)) : 0;
  });

  /** No gateway is heard of, or the server itself is not: nothing on the page is fresh. */
  readonly quiet = $derived.by((): boolean => {
    if (!this.feed.online && this.feed.settled) return true;
    return this.gateways.length > 0 && this.gateways.every((g) => g.state === 'silent');
  });

  private readonly silent = $derived.by((): Set<string> => {
    const states: { id: string; state: string }[] = this.feed.tick?.gateways ?? this.detail?.gateways ?? [];
    return new Set(states.filter((g) => g.state === 'silent').map((g) => g.id));
  });

  /** Every gateway as the last tick has it, with its name. */
  readonly gateways = $derived.by((): (GatewayTick & { name: string })[] => {
    const names = new Map(this.detail?.gateways.map((g) => [g.id, g.name || g.id]));
    const ticks = this.feed.tick?.gateways ?? this.detail?.gateways.map((g) => ({ ...g, backlog: 0 })) ?? [];
    return ticks.map((g) => ({ ...g, name: names.get(g.id) ?? g.id }));
  });

  readonly pointById = $derived(new Map(this.points.map((p) => [p.id, p])));

  /** All points with their state now, in the server's order. */
  readonly pointsNow = $derived.by((): PointNow[] => this.points.map((info) => this.pointNow(info)));

  private pointNow(info: PointInfo): PointNow {
    const frame = this.feed.frame;
    const i = this.feed.pointIndex(info.id);
    const stale = !this.feed.online || this.silent.has(info.gateway);
    if (!frame || i < 0) {
      return { info, value: NaN, quality: 32, age_s: AGE_MAX_S, heldAge_s: AGE_MAX_S, asOf_us: 0, alarm: 0, severity: 0, state: 'none', stale };
    }
    const quality = frame.quality[i] as number;
    const heldAge_s = frame.pointAge_s[i] as number;
    const age_s = Math.min(AGE_MAX_S, heldAge_s + this.lag_s);
    const alarm = frame.alarm[i] as number;
    return {
      info,
      value: frame.value[i] as number,
      quality,
      age_s,
      heldAge_s,
      asOf_us: frame.time_us,
      alarm,
      severity: severityOf(alarm),
      state: pointState(quality, age_s, info.period_s),
      stale,
    };
  }

  /** Heads counted from the positions shown, live and in replay alike; who was not heard for long is left out. */
  readonly heads = $derived.by((): Headcount => {
    const frame = this.feed.frame;
    const ids = this.feed.layout?.zones ?? [];
    const present: string[] = [];
    frame?.zone.forEach((z, i) => {
      if ((frame.personAge_s[i] as number) <= PRESENT_S) present.push(ids[z] ?? '');
    });
    return countHeads(this.place?.structure.zones ?? [], present);
  });

  readonly zonesNow = $derived.by((): ZoneNow[] =>
    (this.place?.structure.zones ?? []).map((zone) => {
      const headcount = this.heads.byZone.get(zone.id) ?? 0;
      return { ...zone, headcount, over: zone.headcount_max > 0 && headcount > zone.headcount_max };
    }),
  );

  /** The enterprise's name in the reader's language. */
  get name(): string {
    return localName(this.detail?.name ?? this.id, language.now);
  }

  zoneName(id: string): string {
    return localName(this.place?.structure.zones.find((z) => z.id === id)?.name ?? id, language.now);
  }

  roadwayName(id: string): string {
    const i = this.place?.indexOf(id) ?? -1;
    return localName(this.place?.structure.roadways[i]?.name ?? id, language.now);
  }

  /** A point's name as people call it; its id where it has none. */
  pointName(info: PointInfo): string {
    return localName(info.name || info.id, language.now);
  }

  gatewayName(id: string): string {
    return localName(this.gateways.find((g) => g.id === id)?.name ?? id, language.now);
  }

  /** The point an alarm is about; two gateways may use one id, then the server names them gateway:id. */
  pointOf(alarm: Alarm): PointInfo | undefined {
    return this.pointById.get(`${alarm.gateway}:${alarm.point}`) ?? this.pointById.get(alarm.point);
  }

  /** Where an alarm is, in words: roadway, else zone, else the gateway. */
  placeOf(alarm: Alarm): string {
    const info = this.pointOf(alarm);
    if (info?.roadway) return this.roadwayName(info.roadway);
    if (info?.zone) return this.zoneName(info.zone);
    return this.gatewayName(alarm.gateway);
  }
}

/** A site whose first manifest has not arrived has no structure yet. */
function absent(error: unknown): null {
  if (error instanceof ApiError && error.status === 404) return null;
  throw error;
}
