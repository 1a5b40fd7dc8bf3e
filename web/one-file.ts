/** Puts a page's script and style into its HTML, and names both by hash in a content policy that forbids every request. */
import { createHash } from 'node:crypto';
import type { Plugin } from 'vite';

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** The policy: this script and this style alone; a worker made of them; no connection, no form, no frame. */
function policy(script: string, style: string): string {
  return `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; worker-src blob:; img-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'`;
}

export function oneFile(): Plugin {
  return {
    name: 'one-file',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post', // vite's own last changes to the script come first
      handler(_, bundle) {
        let [page, script, style] = [undefined as { source: string | Uint8Array } | undefined, '', ''];
        for (const [name, each] of Object.entries(bundle)) {
          if (each.type === 'asset' && name.endsWith('.html')) {
            page = each;
            continue;
          }
          if (each.type === 'chunk') {
            if (script) this.error(`a second script, ${name}: one file holds one`);
            script = each.code.replaceAll(/<(?=\/script|!--)/gi, '\\x3C');
          } else if (name.endsWith('.css')) style += String(each.source).replaceAll('</', '<\\/');
          else this.error(`${name} cannot be put into one file`);
          delete bundle[name];
        }
        if (!page || !script) return this.error('no page, or no script');
        const html = String(page.source)
          .replaceAll(/\s*<script type="module"[^>]*><\/script>/g, '')
          .replaceAll(/\s*<link rel="(stylesheet|modulepreload)"[^>]*>/g, '');
        const head = `<meta http-equiv="Content-Security-Policy" content="${policy(script, style)}" />`;
        page.source = html
          .replace('<meta charset="utf-8" />', (found) => `${found}\n    ${head}`)
          .replace('</head>', () => `  <style>${style}</style>\n  </head>`)
          .replace('</body>', () => `  <script type="module">${script}</script>\n  </body>`);
      },
    },
  };
}
