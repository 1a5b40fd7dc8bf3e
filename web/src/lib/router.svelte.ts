/** The address bar as state: the present route and query, and how to go elsewhere. */
import { parseRoute, withQuery, type Route } from './routes';

class Router {
  route = $state.raw<Route>(parseRoute(location.pathname));
  query = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener('popstate', () => this.read());
  }

  private read(): void {
    this.route = parseRoute(location.pathname);
    this.query = new URLSearchParams(location.search);
  }

  /** A field of the query, '' when absent. */
  get(key: string): string {
    return this.query.get(key) ?? '';
  }

  /** Where a link to `pathname` leads, with language, theme and time kept. */
  href(pathname: string, more: Record<string, string> = {}): string {
    return withQuery(pathname, this.query, more);
  }

  go(pathname: string, more: Record<string, string> = {}): void {
    history.pushState(null, '', this.href(pathname, more));
    this.read();
  }

  /** Changes fields of the query in place; '' takes a field out. No entry in the browser's history. */
  set(changes: Record<string, string>): void {
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(changes)) {
      if (value) query.set(key, value);
      else query.delete(key);
    }
    const text = query.toString();
    if (text === this.query.toString()) return;
    history.replaceState(null, '', text ? `${location.pathname}?${text}` : location.pathname);
    this.read();
  }

  /** For the click of a plain link: follow it here unless the viewer asked for another tab. */
  follow = (event: MouseEvent): void => {
    const link = (event.currentTarget as HTMLElement).closest('a');
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, '', link.href);
    this.read();
    document.getElementById('main')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  };
}

export const router = new Router();
