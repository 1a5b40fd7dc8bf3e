/** Single-key shortcuts: pages say what a key does while they are shown; all can be switched off (WCAG 2.1.4). */
import { settings } from './settings.svelte';

type Action = () => void;
const actions = new Map<string, Action[]>();

/** Bind a key while a component lives; the newest binding wins. Returns how to unbind. */
export function bindKey(key: string, action: Action): () => void {
  actions.set(key, [...(actions.get(key) ?? []), action]);
  return () => actions.set(key, (actions.get(key) ?? []).filter((each) => each !== action));
}

/** Bind several keys for the life of an effect. */
export function bindKeys(bindings: Record<string, Action>): () => void {
  const ends = Object.entries(bindings).map(([key, action]) => bindKey(key, action));
  return () => ends.forEach((end) => end());
}

function typing(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input:not([type=checkbox]):not([type=radio]), textarea, select, dialog') !== null;
}

/** The page's one key listener. */
export function onKeydown(event: KeyboardEvent): void {
  if (!settings.keys || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector('dialog[open]')) return;
  const action = actions.get(event.key)?.at(-1);
  if (!action) return;
  event.preventDefault();
  action();
}

/** Move the focus to the next or previous row of the table marked with data-rows. */
export function moveRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-rows] [data-row]')];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step));
  const row = rows[next] as HTMLElement;
  const target = row.querySelector<HTMLElement>('button.link, a') ?? row;
  target.focus();
  row.scrollIntoView({ block: 'nearest' });
}
