// Inflate the package's Brotli files beside each other; the tars are opened by browser.py.
import { createReadStream, createWriteStream, mkdirSync, readdirSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const from = "node_modules/@sparticuz/chromium/bin";
mkdirSync("inflated", { recursive: true });
for (const name of readdirSync(from).filter((n) => n.endsWith(".br")))
  await pipeline(createReadStream(`${from}/${name}`), createBrotliDecompress(), createWriteStream(`inflated/${name.slice(0, -3)}`));
