/** Svelte's compiler options: runes everywhere, scoped styles in files (the content policy allows no inline style). */
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default {
  preprocess: vitePreprocess(),
  compilerOptions: { runes: true, css: 'external' },
};
