// Starts the binary for a test: SHENHONG (default build/release/shenhong), SHENHONG_MODEL (default the
// newest in models/).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Resolves once the server is ready; `stop` sends SIGTERM and resolves to the exit code. */
export async function startServer(...flags) {
  const binary = process.env.SHENHONG ?? `${root}build/release/shenhong`;
  const child = spawn(binary, ['serve', '--port', '0', '--json', ...flags], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit').then(([code]) => code);
  const line = once(createInterface(child.stdout), 'line').then(([text]) => text);
  const ready = await Promise.race([line, exit]);
  assert.equal(typeof ready, 'string', `the server ended with ${ready} before it was ready`);
  const { url, api } = JSON.parse(ready);
  const stop = () => {
    child.kill('SIGTERM');
    return exit;
  };
  return { url, api, stop };
}
