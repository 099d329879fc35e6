// Loads TypeScript modules of the page into Node, bundled together so that they share their classes.
import { build } from 'esbuild';

export async function load(...names) {
  const result = await build({
    stdin: {
      contents: names.map((name) => `export * from './${name}';`).join('\n'),
      resolveDir: new URL('../src', import.meta.url).pathname,
    },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  });
  const text = Buffer.from(result.outputFiles[0].text).toString('base64');
  return import(`data:text/javascript;base64,${text}`);
}
