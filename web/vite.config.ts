/** Two pages from one tree: the server's (index.html) and the gateway's (gateway.html), each built by its own mode. */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));
const API = process.env.TWIN_API ?? 'http://127.0.0.1:8443';

/** Whatever the source page is called, a folder of static pages is entered by index.html. */
function entryIsIndex(page: string, out: () => string): Plugin {
  return {
    name: 'entry-is-index',
    apply: 'build',
    closeBundle() {
      if (page !== 'index.html') renameSync(join(out(), page), join(out(), 'index.html'));
    },
  };
}

export default defineConfig(({ mode }) => {
  const gateway = mode === 'gateway';
  const page = gateway ? 'gateway.html' : 'index.html';
  let out = '';
  return {
    root: here,
    base: '/',
    plugins: [
      svelte(),
      { name: 'resolved-out', configResolved: (c) => void (out = join(c.root, c.build.outDir)) } satisfies Plugin,
      entryIsIndex(page, () => out),
    ],
    build: {
      target: 'es2022',
      outDir: gateway ? '.build/gateway' : '.build/server',
      emptyOutDir: true,
      assetsInlineLimit: 0, // the content policy allows no data: address
      chunkSizeWarningLimit: 700, // three.js, loaded only when the 3D view is shown
      rollupOptions: { input: join(here, page) },
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
