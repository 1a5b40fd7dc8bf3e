/** What the viewer chose on this device: theme, single-key shortcuts, sound; kept in the address or in local storage. */
import { router } from './router.svelte';

export type Theme = 'light' | 'dark';

function stored(key: string): string {
  try {
    return localStorage.getItem(key) ?? '';
  } catch {
    return ''; // storage may be forbidden; the page works without it
  }
}

export function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above
  }
}

function firstTheme(): Theme {
  const asked = router.get('theme') || stored('theme');
  if (asked === 'light' || asked === 'dark') return asked;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

class Settings {
  theme = $state<Theme>(firstTheme());
  keys = $state(stored('keys') !== 'off');
  sound = $state(stored('sound') === 'on');

  toggleTheme = (): void => {
    this.theme = this.theme === 'light' ? 'dark' : 'light';
    store('theme', this.theme);
    router.set({ theme: this.theme });
  };

  setKeys(on: boolean): void {
    this.keys = on;
    store('keys', on ? 'on' : 'off');
  }

  setSound(on: boolean): void {
    this.sound = on;
    store('sound', on ? 'on' : 'off');
  }
}

export const settings = new Settings();
export { stored };
