// Bundles the page into dist/index.html, the one file the server embeds. The same sources and lock file
// give the same bytes: no dates, no paths, no hashes of anything but the content.
import { build, transform } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';

const kLimit = 160_000;
const kTarget = 'es2022';
const here = (path) => new URL(path, import.meta.url);
const sha256 = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

async function bundleScript() {
  const result = await build({
    absWorkingDir: here('.').pathname,
    entryPoints: ['src/main.tsx'],
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: kTarget,
    charset: 'utf8',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none', // collected in dist/licenses.txt instead
  });
  return result.outputFiles[0].text.trim();
}

async function bundleStyle() {
  const sheets = ['base', 'chat', 'prose', 'facts', 'panels'];
  const texts = await Promise.all(
    sheets.map((name) => readFile(here(`src/style/${name}.css`), 'utf8')),
  );
  const result = await transform(texts.join('\n'), {
    loader: 'css',
    minify: true,
    charset: 'utf8',
  });
  return result.code.trim();
}

async function licenses() {
  const { dependencies } = JSON.parse(await readFile(here('package.json'), 'utf8'));
  const parts = Object.keys(dependencies)
    .sort()
    .map(async (name) => {
      const folder = `node_modules/${name}`;
      const { version } = JSON.parse(await readFile(here(`${folder}/package.json`), 'utf8'));
      const texts = ['LICENSE', 'LICENSE.md'].map((file) =>
        readFile(here(`${folder}/${file}`), 'utf8').catch(() => null),
      );
      const text = (await Promise.all(texts)).find((found) => found !== null);
      if (text === undefined)
        throw new Error(`${name}: no licence text; look for its new file name`);
      return `==== ${name} ${version}\n\n${text.trim()}\n`;
    });
  return (await Promise.all(parts)).join('\n');
}

const [script, style, frame] = await Promise.all([
  bundleScript(),
  bundleStyle(),
  readFile(here('src/page.html'), 'utf8'),
]);
// "<!--" alone is harmless in a script element; with a later "<script" it would hide the closing tag.
if (/<\/script|<!--[^]*<script/i.test(script))
  throw new Error('script: would end or hide its own element');

const policy = [
  "default-src 'none'",
  `script-src ${sha256(script)}`,
  `style-src ${sha256(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');
const values = { policy, style, script };
const page = frame.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);
const size = Buffer.byteLength(page);
if (size >= kLimit) throw new Error(`index.html: ${size} bytes, limit ${kLimit}; drop something`);

await mkdir(here('dist'), { recursive: true });
await writeFile(here('dist/index.html'), page);
await writeFile(here('dist/licenses.txt'), await licenses());
console.log(`dist/index.html ${size} bytes`);
