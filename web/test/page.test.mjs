// The page in a real browser against the mock server: what a real model cannot be made to do on demand.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before } from 'node:test';
import { kPhone, launch, openPage } from './browser.mjs';
import { startMock } from './mock_server.mjs';

let browser;
let mock;

before(async () => {
  [browser, mock] = await Promise.all([launch(), startMock({ pieceMs: 5 })]);
});
after(async () => {
  await browser.close();
  mock.server.closeAllConnections();
  mock.server.close();
});

async function withPage(options, body) {
  const opened = await openPage(browser, mock.url, options);
  await opened.ui.ready();
  await body(opened);
  await opened.context.close();
}

const lastTurns = () => mock.state.requests.at(-1).messages.map(({ content }) => content);

test('Enter that ends a composition of an input method does not send', () =>
  withPage({}, async ({ page, ui }) => {
    await ui.input.focus();
    const session = await page.context().newCDPSession(page);
    await session.send('Input.imeSetComposition', {
      text: 'chun',
      selectionStart: 4,
      selectionEnd: 4,
    });
    await ui.input.evaluate((box) => {
      const enter = { key: 'Enter', bubbles: true, cancelable: true };
      box.dispatchEvent(
        new KeyboardEvent('keydown', { ...enter, isComposing: true, keyCode: 229 }),
      );
      box.dispatchEvent(new KeyboardEvent('keydown', { ...enter, keyCode: 229 }));
    });
    await session.send('Input.insertText', { text: '春' });
    assert.equal(await ui.questions.count(), 0);
    assert.equal(await ui.input.inputValue(), '春');
    await ui.input.press('Shift+Enter');
    assert.equal(await ui.input.inputValue(), '春\n');
    await ui.input.press('Enter');
    await ui.settled();
    assert.equal(await ui.questions.innerText(), '春');
  }));

test('on a phone Enter is a new line and the button sends', () =>
  withPage({ viewport: kPhone, isMobile: true, hasTouch: true }, async ({ ui }) => {
    await ui.input.fill('春');
    await ui.input.press('Enter');
    assert.equal(await ui.input.inputValue(), '春\n');
    await ui.action('send').tap();
    await ui.settled();
    assert.equal(await ui.answers.count(), 1);
  }));

test('Escape stops, closes the connection and counts the pieces that came', () =>
  withPage({}, async ({ page, ui }) => {
    const arrival = once(mock.server, 'request');
    await ui.ask('/long');
    const [, response] = await arrival;
    const closed = once(response, 'close');
    await page.locator('[data-state="streaming"] .verse').waitFor();
    await page.keyboard.press('Escape');
    await ui.settled('stopped');
    await closed;
    assert.ok(!response.writableFinished, 'the server saw the client go away');
    assert.match(await ui.lastAnswer.innerText(), /已停止[^]*约 \d+ 词元/);
  }));

test('an edited question drops what followed and is asked again', () =>
  withPage({}, async ({ page, ui }) => {
    for (const text of ['第一问', '第二问']) {
      await ui.ask(text);
      await ui.settled();
    }
    assert.deepEqual(
      lastTurns().filter((_, i) => i !== 1),
      ['第一问', '第二问'],
    );
    await ui.action('edit').first().click();
    await page.locator('.edit-box').fill('改过的问题');
    await page.locator('.edit-box').press('Enter');
    await ui.questions.getByText('改过的问题').waitFor();
    await ui.settled();
    assert.deepEqual(await ui.questions.allInnerTexts(), ['改过的问题']);
    assert.deepEqual(lastTurns(), ['改过的问题']);
  }));

test('settings are sent, bad numbers are marked and not sent, reset forgets them', () =>
  withPage({}, async ({ page, ui }) => {
    const field = (label) => page.getByLabel(label, { exact: true });
    await ui.action('settings').click();
    await field('温度').fill('0.5');
    await field('Top-p').fill('7');
    await field('种子').fill('42');
    await field('系统提示').fill('只写诗');
    assert.equal(await field('Top-p').getAttribute('aria-invalid'), 'true');
    await page.keyboard.press('Escape');
    await ui.ask('春');
    await ui.settled();
    const { temperature, top_p, seed, messages } = mock.state.requests.at(-1);
    assert.deepEqual(
      { temperature, top_p, seed },
      { temperature: 0.5, top_p: undefined, seed: 42 },
    );
    assert.deepEqual(messages[0], { role: 'system', content: '只写诗' });
    await ui.action('settings').click();
    await page.getByRole('button', { name: '恢复默认' }).click();
    assert.equal(await field('种子').inputValue(), '');
    await page.keyboard.press('Escape');
    await ui.ask('夏');
    await ui.settled();
    assert.equal(mock.state.requests.at(-1).seed, undefined);
  }));

test('a new chat can be undone; clearing leaves nothing in storage', () =>
  withPage({}, async ({ page, ui }) => {
    await ui.ask('春');
    await ui.settled();
    await ui.action('new').click();
    assert.equal(await ui.answers.count(), 0);
    await page.getByRole('button', { name: '撤销' }).click();
    assert.equal(await ui.answers.count(), 1);
    await ui.action('settings').click();
    await page.locator('input[value="dark"]').check({ force: true });
    await ui.action('clear').click();
    assert.equal(await ui.answers.count(), 0);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
  }));

test('a new chat in the middle of an answer is not written over by it', () =>
  withPage({}, async ({ page, ui }) => {
    await ui.ask('/long');
    await page.locator('[data-state="streaming"] .verse').waitFor();
    await ui.action('new').click();
    await ui.ask('春');
    await ui.settled();
    assert.deepEqual(await ui.questions.allInnerTexts(), ['春']);
    assert.equal(await ui.answers.count(), 1);
  }));

test('failures say what is wrong and what to do', () =>
  withPage({ locale: 'en' }, async ({ page, ui }) => {
    const toast = page.locator('.toast-error');
    for (const [word, say] of [
      ['/context', /longer than the model’s context[^]*700 tokens; the limit is 512/],
      ['/busy', /busy[^]*3 seconds[^]*queue is full/],
      ['/fail', /server failed[^]*allocation failed/],
      ['/midway', /server failed[^]*out of memory/],
      ['/reset', /broke off/],
      ['/cut', /broke off/],
    ]) {
      await ui.ask(word);
      await ui.settled('failed');
      assert.match(await toast.innerText(), say, word);
    }
    assert.match(await ui.lastText(), /月色/, 'what came before the cut is kept');
    await ui.ask('/context');
    await page.getByRole('button', { name: 'New chat' }).last().click();
    assert.equal(await ui.answers.count(), 0);
  }));

test('an answer cut by the length limit says so', () =>
  withPage({}, async ({ ui }) => {
    await ui.ask('/length');
    await ui.settled();
    assert.match(await ui.lastAnswer.innerText(), /长度上限/);
  }));

test('while the model loads the page says so, then opens by itself', async () => {
  mock.state.health = 503;
  const { page, context, ui } = await openPage(browser, mock.url);
  await page.locator('.status-loading').waitFor();
  assert.match(await page.locator('.status').innerText(), /加载/);
  await ui.input.fill('春');
  assert.ok(await ui.action('send').isDisabled());
  mock.state.health = 200;
  await ui.ready();
  assert.ok(await ui.action('send').isEnabled());
  await context.close();
});

test('a server that goes away is named and comes back', () =>
  withPage({}, async ({ page, context, ui }) => {
    await context.setOffline(true);
    await ui.ask('春');
    await ui.settled('failed');
    await page.locator('.status-unreachable').waitFor();
    assert.match(await page.locator('.toast-error').innerText(), /连不上服务器[^]*shenhong serve/);
    await context.setOffline(false);
    await ui.ready();
    await ui.lastAnswer.locator('[data-action="regenerate"]').click();
    await ui.settled();
    assert.equal(await ui.questions.count(), 1);
  }));

test('corrupt storage gives an empty chat, not a blank page', async () => {
  const context = await browser.newContext({ locale: 'zh-CN' });
  await context.addInitScript(() => {
    localStorage.setItem('shenhong.chat', '[{"role":"user","content":');
    localStorage.setItem('shenhong.settings', '[[[');
  });
  const page = await context.newPage();
  await page.goto(mock.url);
  await page.locator('h1').waitFor();
  await context.close();
});

test('copy gives the text as the model wrote it', () =>
  withPage({ permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page, ui }) => {
    await ui.ask('以“明月”为题写一首七言绝句');
    await ui.settled();
    await ui.lastAnswer.locator('[data-action="copy"]').click();
    assert.match(
      await page.evaluate(() => navigator.clipboard.readText()),
      /^明月\n一轮明月照江楼，/,
    );
  }));

test('cited marks open their fact, as text, and Escape gives the focus back', () =>
  withPage({}, async ({ page, ui, complaints }) => {
    const marks = ui.lastAnswer.locator('.cite');
    const card = page.locator('.fact-card');
    let finish;
    mock.state.mayFinish = new Promise((resolve) => (finish = resolve));
    await ui.ask('/cite');
    await page.locator('[data-state="streaming"] .prose', { hasText: '[1]' }).waitFor();
    assert.equal(await page.locator('[data-state="streaming"] .cite').count(), 0);
    finish();
    await ui.settled();
    assert.deepEqual(await marks.allInnerTexts(), ['[1]', '[2]'], 'the last [1] is text');
    assert.match(await ui.lastAnswer.locator('.look-up-line').innerText(), /查得 2 条/);
    await marks.first().press('Enter');
    assert.match(await card.innerText(), /长城 · 修建原因\s+防御北方游牧民族\s+来源\s+国家文物局/);
    await page.keyboard.press('Escape');
    assert.equal(await card.count(), 0);
    assert.ok(await marks.first().evaluate((mark) => mark === document.activeElement));
    await page.reload();
    await marks.nth(1).click();
    assert.match(await card.innerText(), /<img src=x[^]*\*\*r\*\*[^]*<script>[^]*自 2001 起[^]*50%/);
    assert.equal(await card.locator('a, b, img, script').count(), 0);
    await ui.input.click();
    assert.equal(await card.count(), 0, 'a press elsewhere closes it');
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.deepEqual(complaints, []);
  }));

test('on a narrow phone the card stays on the screen', () =>
  withPage(
    { viewport: { width: 360, height: 400 }, isMobile: true, hasTouch: true },
    async ({ page, ui }) => {
      await ui.ask('/cite', () => ui.action('send').tap());
      await ui.settled();
      for (const i of [0, 1]) {
        await ui.lastAnswer.locator('.cite').nth(i).tap();
        const box = await page.locator('.fact-card').boundingBox();
        assert.ok(box.x >= 0 && box.y >= 0, JSON.stringify(box));
        assert.ok(box.x + box.width <= 360 && box.y + box.height <= 400, JSON.stringify(box));
        await page.keyboard.press('Escape');
      }
    },
  ));

test('look-ups can be set where the server has a graph, and only there', async () => {
  await withPage({}, async ({ page, ui }) => {
    assert.equal(await page.getByText('长城的建造原因').count(), 0);
    await ui.action('settings').click();
    assert.equal(await page.locator('.look-ups').count(), 0);
  });
  mock.state.graph = { facts: 21958, mode: 'auto' };
  await withPage({}, async ({ page, ui }) => {
    await page.getByText('长城的建造原因').click();
    await ui.settled();
    assert.equal(mock.state.requests.at(-1).grounding, undefined);
    await ui.action('settings').click();
    await page.getByLabel('严格').check();
    await page.keyboard.press('Escape');
    await page.reload();
    await ui.ready();
    await ui.ask('春');
    await ui.settled();
    assert.deepEqual(mock.state.requests.at(-1).grounding, { mode: 'strict' });
  });
  mock.state.graph = null;
});
