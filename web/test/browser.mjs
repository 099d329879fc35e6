// Debian's Chromium by Playwright, and the handles that page tests share.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

export const kPhone = { width: 390, height: 844 };
export const kDesktop = { width: 1280, height: 800 };

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** Opens the page in a fresh profile. `complaints` collects script errors and foreign requests. */
export async function openPage(
  browser,
  url,
  { viewport = kDesktop, locale = 'zh-CN', ...more } = {},
) {
  const context = await browser.newContext({ viewport, locale, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000); // an answer on a busy machine
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('request', (request) => {
    const address = new URL(request.url());
    if (address.protocol !== 'data:' && address.origin !== new URL(url).origin)
      complaints.push(`request: ${address}`);
  });
  await page.goto(url);
  return { page, context, complaints, ui: handles(page) };
}

function handles(page) {
  const ui = {
    input: page.locator('.composer textarea'),
    action: (name) => page.locator(`[data-action="${name}"]`),
    answers: page.locator('[data-role="assistant"]'),
    questions: page.locator('[data-role="user"] .bubble'),
    lastAnswer: page.locator('[data-role="assistant"]').last(),
    lastText: () => page.locator('[data-role="assistant"] .prose').last().innerText(),
    async ready() {
      await page.locator('.dot-ready').waitFor();
    },
    async ask(text, send = () => ui.input.press('Enter')) {
      const asked = await ui.questions.count();
      await ui.input.fill(text);
      await send();
      await ui.questions.nth(asked).waitFor();
    },
    async settled(state = 'done') {
      await page
        .locator('[data-role="assistant"][data-state="streaming"]')
        .waitFor({ state: 'detached' });
      assert.equal(await ui.lastAnswer.getAttribute('data-state'), state);
    },
    /**
     * Watches the newest answer from inside the page: the lengths it passed through, whatever the speed.
     * Signs of Markdown come and go while it grows, so they and the spaces are not counted.
     */
    async watchGrowth() {
      await page.evaluate(() => {
        window.growth = [];
        new MutationObserver(() => {
          const prose = [...document.querySelectorAll('[data-role="assistant"] .prose')].at(-1);
          const length = prose?.textContent.replace(/[\s*_#>`|~-]/g, '').length;
          if (length && length !== window.growth.at(-1)) window.growth.push(length);
        }).observe(document.getElementById('app'), {
          subtree: true,
          childList: true,
          characterData: true,
        });
      });
    },
    growth: () => page.evaluate(() => window.growth),
    /** Presses stop from inside the page as soon as text stands there, so that a fast model is caught too. */
    async stopAtFirstText() {
      await page.evaluate(() => {
        const observer = new MutationObserver(() => {
          const streaming = document.querySelector('[data-state="streaming"] .prose');
          if (!streaming?.textContent) return;
          observer.disconnect();
          document.querySelector('[data-action="stop"]').click();
        });
        observer.observe(document.getElementById('app'), {
          subtree: true,
          childList: true,
          characterData: true,
        });
      });
    },
  };
  return ui;
}
