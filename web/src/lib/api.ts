/** The typed client of the server's HTTP API; every failure is an ApiError with the problem document's words. */
import type { Change } from './changes';
import type {
  Alarm,
  Completeness,
  EnterpriseDetail,
  EnterpriseSummary,
  Evidence,
  History,
  Me,
  People,
  PersonName,
  PointInfo,
  TrackPoint,
} from './types';

const TIMEOUT_MS = 15_000;

/** `status` 0: no answer at all. `title` and `detail` are the server's (RFC 9457), in English. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

let csrf = '';

/** The token that every change by cookie must carry; comes from login and /me. */
export const useCsrf = (token: string): void => void (csrf = token);

async function problem(answer: Response): Promise<ApiError> {
  try {
    const body = (await answer.json()) as { title?: string; detail?: string };
    return new ApiError(answer.status, body.title ?? answer.statusText, body.detail ?? '');
  } catch {
    return new ApiError(answer.status, answer.statusText, '');
  }
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['X-CSRF-Token'] = csrf;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: 'same-origin',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ApiError(0, 'No answer', error instanceof Error ? error.message : '');
  }
  if (!answer.ok) throw await problem(answer);
  return answer;
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await send(method, path, body);
  if (answer.status === 204) return undefined as T;
  try {
    return (await answer.json()) as T;
  } catch {
    throw new ApiError(answer.status, 'Not JSON', path);
  }
}

type Query = Record<string, string | number | undefined>;

/** An API path with its query; undefined values are left out. */
export function path(enterprise: string, rest: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = given.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&');
  return `/api/v1/enterprises/${encodeURIComponent(enterprise)}${rest}${text ? `?${text}` : ''}`;
}

const part = encodeURIComponent;

export const api = {
  me: () => json<Me>('GET', '/api/v1/me'),
  login: (name: string, passphrase: string) => json<unknown>('POST', '/api/v1/login', { name, passphrase }),
  logout: () => json<void>('POST', '/api/v1/logout'),
  enterprises: () => json<EnterpriseSummary[]>('GET', '/api/v1/enterprises'),
  enterprise: (e: string) => json<EnterpriseDetail>('GET', path(e, '')),
  structure: (e: string) => json<unknown>('GET', path(e, '/structure')),
  points: (e: string) => json<PointInfo[]>('GET', path(e, '/points')),
  history: (e: string, point: string, from: number, to: number, buckets: number) =>
    json<History>('GET', path(e, `/points/${part(point)}/history`, { from, to, buckets })),
  evidence: (e: string, point: string, time_us?: number) =>
    json<Evidence>('GET', path(e, `/points/${part(point)}/evidence`, { time_us })),
  alarms: (e: string, query: { active?: 1; from?: number; to?: number }) =>
    json<Alarm[]>('GET', path(e, '/alarms', query)),
  acknowledge: (e: string, alarm: string, note: string) =>
    json<Alarm | undefined>('POST', path(e, `/alarms/${part(alarm)}/ack`), { note }),
  completeness: (e: string, from: number, to: number, bucket_us: number) =>
    json<Completeness[]>('GET', path(e, '/completeness', { from, to, bucket_us })),
  changes: (e: string, since_index: number, limit: number) =>
    json<Change[]>('GET', path(e, '/changes', { since_index, limit })),
  people: (e: string) => json<People>('GET', path(e, '/people')),
  track: (e: string, tag: string, from: number, to: number) =>
    json<TrackPoint[]>('GET', path(e, `/people/${part(tag)}/track`, { from, to })),
  personName: (e: string, tag: string, reason: string) =>
    json<PersonName>('GET', path(e, `/people/${part(tag)}/name`, { reason })),
};

/** Address of the live or replay socket. */
export function socketUrl(enterprise: string, replay: { from_us: number; speed: number } | null): string {
  const rest = replay
    ? path(enterprise, '/replay', { from: replay.from_us, speed: replay.speed })
    : path(enterprise, '/live');
  return `${location.origin.replace(/^http/, 'ws')}${rest}`;
}
