/** Addresses of the pages: which page a path names, and the paths of pages; pure. */

export type Route =
  | { page: 'home' }
  | { page: 'overview' | 'alarms' | 'points' | 'people' | 'verify'; site: string }
  | { page: 'regulator' }
  | { page: 'regulatorSite'; enterprise: string }
  | { page: 'unknown' };

export const SITE_PAGES = ['overview', 'alarms', 'points', 'people', 'verify'] as const;
export type SitePage = (typeof SITE_PAGES)[number];

/** Query fields that go along from page to page: how one looks and at what time. */
export const KEPT = ['lang', 'theme', 't', 'speed'] as const;

/** The page that a path names. */
export function parseRoute(pathname: string): Route {
  let parts: string[];
  try {
    parts = pathname.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: 'unknown' };
  }
  const [head, site, page, more] = parts;
  if (head === undefined) return { page: 'home' };
  if (head === 'r' && site === undefined) return { page: 'regulator' };
  if (head === 'r' && site === 'e' && page !== undefined && more === undefined) return { page: 'regulatorSite', enterprise: page };
  if (head === 'r' && site === 'verify' && page !== undefined && more === undefined) return { page: 'verify', site: page };
  if (head !== 's' || site === undefined || more !== undefined) return { page: 'unknown' };
  if (page === undefined) return { page: 'overview', site };
  if (page === 'alarms' || page === 'points' || page === 'people' || page === 'verify') return { page, site };
  return { page: 'unknown' };
}

/** The path of a page of one enterprise. */
export function sitePath(site: string, page: SitePage = 'overview'): string {
  const base = `/s/${encodeURIComponent(site)}`;
  return page === 'overview' ? base : `${base}/${page}`;
}

/** A path with the kept part of the present query and further fields; empty values leave a field out. */
export function withQuery(pathname: string, present: URLSearchParams, more: Record<string, string> = {}): string {
  const query = new URLSearchParams();
  for (const key of KEPT) {
    const value = present.get(key);
    if (value) query.set(key, value);
  }
  for (const [key, value] of Object.entries(more)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  return text ? `${pathname}?${text}` : pathname;
}
