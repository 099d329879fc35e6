// The page against a running server:   SHENHONG_URL=http://127.0.0.1:8020/ node --test tests/e2e/page.mjs
// With SHENHONG_SHOTS=DIR it leaves screenshots there. Needs `npm ci` in web/ and Debian's chromium.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { kDesktop, kPhone, launch, openPage } from '../../web/test/browser.mjs';
import { kHostile } from '../../web/test/mock_server.mjs';

const url = process.env.SHENHONG_URL;
const shots = process.env.SHENHONG_SHOTS;
assert.ok(url, 'SHENHONG_URL: not set; give the address of a running `shenhong serve`');

const kPoem = '写一首五言绝句，题目是春夜';
const kTimeout = { timeout: 120_000 };
let browser;

before(async () => {
  browser = await launch();
  if (shots) await mkdir(shots, { recursive: true });
});
after(() => browser.close());

async function shoot(page, name) {
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`) });
}

// A small model answers within two frames; over a slow line its stream can be seen, and stopped.
async function slowLine(page, context) {
  const line = await context.newCDPSession(page);
  await line.send('Network.enable');
  const slow = { offline: false, latency: 0, downloadThroughput: 16_000, uploadThroughput: -1 };
  await line.send('Network.emulateNetworkConditions', slow);
  return () => line.send('Network.emulateNetworkConditions', { ...slow, downloadThroughput: -1 });
}

test('a poem streams token by token and ends with its figures', kTimeout, async () => {
  const { page, context, complaints, ui } = await openPage(browser, url);
  await ui.ready();
  assert.notEqual(await page.locator('.model').innerText(), '', 'the model has a name');
  const fastAgain = await slowLine(page, context);
  await ui.watchGrowth();
  await ui.ask('写一首七言律诗，题目是春夜');
  await ui.settled();
  const growth = await ui.growth();
  assert.ok(growth.length >= 3, `the answer grew in steps: ${growth}`);
  assert.ok(
    growth.every((length, i) => i === 0 || length > growth[i - 1]),
    `it only grew: ${growth}`,
  );
  assert.match(await ui.lastText(), /\p{Script=Han}{4}/u);
  assert.match(await ui.lastAnswer.locator('.stats').innerText(), /\d+ 词元，[\d.]+ 词元\/秒/);
  await fastAgain();
  await page.reload();
  await ui.ready();
  assert.equal(await ui.answers.count(), 1, 'the chat is still there after a reload');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('stop keeps what came and nothing follows; regenerate asks again', kTimeout, async () => {
  const { page, context, complaints, ui } = await openPage(browser, url);
  await ui.ready();
  const fastAgain = await slowLine(page, context);
  await ui.stopAtFirstText();
  await ui.ask('写一首七言律诗，题目是春夜');
  await ui.settled('stopped');
  await fastAgain();
  const kept = await ui.lastText();
  assert.notEqual(kept.trim(), '');
  await page.evaluate(() => fetch('v1/models').then((response) => response.text()));
  assert.equal(await ui.lastText(), kept);
  await ui.lastAnswer.locator('[data-action="regenerate"]').click();
  await ui.settled('done');
  assert.equal(await ui.questions.count(), 1);
  assert.equal(await ui.answers.count(), 1);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the language switches and stays switched', async () => {
  const { page, context, ui } = await openPage(browser, url);
  await ui.ready();
  assert.equal(await page.locator('h1').innerText(), '深红');
  await ui.action('language').click();
  assert.equal(await page.locator('h1').innerText(), 'Shenhong');
  await page.reload();
  assert.equal(await page.locator('h1').innerText(), 'Shenhong');
  assert.equal(await page.getAttribute('html', 'lang'), 'en');
  await context.close();
});

test('dark mode follows the system and can be chosen', async () => {
  const { page, context } = await openPage(browser, url, { colorScheme: 'dark' });
  const darkness = () =>
    page.evaluate(() => Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]));
  assert.ok((await darkness()) < 60);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.locator('[data-theme="light"]').waitFor();
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.locator('[data-theme="dark"]').waitFor();
  await page.locator('[data-action="settings"]').click();
  await page.locator('input[value="light"]').check({ force: true });
  assert.ok((await darkness()) > 200);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.locator('input[value="dark"]').check({ force: true });
  assert.ok((await darkness()) < 60);
  await context.close();
});

test('hostile markdown in an answer is shown, not run', async () => {
  const { page, context, complaints, ui } = await openPage(browser, url);
  await page.route('**/v1/chat/completions', (route) => {
    const pieces = [...kHostile].map((content) => ({
      choices: [{ index: 0, delta: { content } }],
    }));
    pieces.push({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
    const body =
      pieces.map((piece) => `data: ${JSON.stringify(piece)}\n\n`).join('') + 'data: [DONE]\n\n';
    return route.fulfill({ contentType: 'text/event-stream', body });
  });
  await ui.ready();
  await ui.ask('hello');
  await ui.settled();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  const prose = page.locator('.prose').last();
  assert.equal(
    await prose.locator('script, img, svg, iframe, style, [onclick], [onerror]').count(),
    0,
  );
  const links = await prose
    .locator('a')
    .evaluateAll((all) => all.map((a) => a.getAttribute('href')));
  assert.ok(
    links.every((href) => href === null || /^https?:/.test(href)),
    String(links),
  );
  assert.match(await prose.innerText(), /start <script>[^]*end/);
  for (const link of await prose.locator('a:not([href])').all()) await link.click();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the page fits phone and desktop, light and dark, in both languages', kTimeout, async () => {
  for (const [size, viewport] of [
    ['phone', kPhone],
    ['desktop', kDesktop],
    ['narrow', { width: 360, height: 640 }],
  ]) {
    for (const colorScheme of ['light', 'dark']) {
      for (const locale of ['zh-CN', 'en-US']) {
        const phone = size === 'desktop' ? {} : { isMobile: true, hasTouch: true };
        const { page, context, ui } = await openPage(browser, url, {
          viewport,
          colorScheme,
          locale,
          ...phone,
        });
        const name = `${size}-${colorScheme}-${locale.slice(0, 2)}`;
        await ui.ready();
        await shoot(page, `${name}-empty`);
        if (colorScheme === (locale === 'zh-CN' ? 'light' : 'dark')) {
          const question =
            locale === 'zh-CN' ? kPoem : 'Write a five-character quatrain about the moon';
          await ui.ask(question, () => ui.action('send').click());
          await ui.settled();
          await shoot(page, `${name}-answer`);
        }
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - innerWidth,
        );
        assert.ok(overflow <= 0, `${name}: ${overflow} px too wide`);
        await context.close();
      }
    }
  }
});
