/** Three pages from one tree, each built by its own mode: the server's, the gateway's, and one file that opens from disk. */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { oneFile } from './one-file.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const PAGES: Record<string, string> = { gateway: 'gateway.html', offline: 'verify.html' };
const API = process.env.TWIN_API ?? 'http://127.0.0.1:8443';

/** Whatever the source page is called, a folder of static pages is entered by index.html. */
function entryIsIndex(page: string, out: () => string): Plugin {
  return {
    name: 'entry-is-index',
    apply: 'build',
    closeBundle() {
      if (page === 'gateway.html') renameSync(join(out(), page), join(out(), 'index.html'));
    },
  };
}

export default defineConfig(({ mode }) => {
  const page = PAGES[mode] ?? 'index.html';
  const offline = mode === 'offline';
  let out = '';
  return {
    root: here,
    base: '/',
    plugins: [
      svelte(),
      { name: 'resolved-out', configResolved: (c) => void (out = join(c.root, c.build.outDir)) } satisfies Plugin,
      entryIsIndex(page, () => out),
      ...(offline ? [oneFile()] : []),
    ],
    worker: { format: offline ? 'iife' : 'es' },
    publicDir: offline ? false : 'public',
    build: {
      target: 'es2022',
      outDir: `.build/${mode in PAGES ? mode : 'server'}`,
      emptyOutDir: true,
      assetsInlineLimit: 0, // the content policy allows no data: address
      chunkSizeWarningLimit: 700, // three.js, loaded only when the 3D view is shown
      cssCodeSplit: !offline,
      modulePreload: offline ? false : undefined,
      rolldownOptions: { input: join(here, page), ...(offline ? { output: { codeSplitting: false } } : {}) },
    },
    server: {
      proxy: {
        '/api': { target: API, ws: true, changeOrigin: false },
        '/log': { target: API },
      },
    },
    test: { include: ['tests/**/*.test.ts'], environment: 'node' },
  };
});
