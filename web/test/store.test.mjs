import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './load.mjs';

const store = await load('store.ts');
const { parseChat, parseSettings, defaultSettings } = store;

test('a chat survives storage', () => {
  const chat = [
    { role: 'user', content: '写一首诗' },
    {
      role: 'assistant',
      content: '春眠不觉晓',
      finish: 'stop',
      stats: { tokens: 5, exact: true, tokensPerSecond: 9.5 },
    },
    { role: 'assistant', content: '', state: 'failed' },
  ];
  assert.deepEqual(parseChat(JSON.stringify(chat)), chat);
});

test('corrupt chats give what is sound in them, never an exception', () => {
  for (const text of [
    null,
    '',
    '{',
    'null',
    '7',
    '"x"',
    '{}',
    '[null,1,"x",[],{}]',
    '[{"role":"system","content":"x"}]',
  ]) {
    assert.deepEqual(parseChat(text), [], String(text));
  }
  const mixed = [
    { role: 'user', content: 'a' },
    { role: 'user', content: 4 },
    { role: 'assistant', content: 'b', stats: 'x', state: 9 },
  ];
  assert.deepEqual(parseChat(JSON.stringify(mixed)), [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
  ]);
});

test('every prefix of a stored chat can be read', () => {
  const text = JSON.stringify([
    { role: 'user', content: '春' },
    { role: 'assistant', content: '夜' },
  ]);
  for (let end = 0; end < text.length; end++) assert.deepEqual(parseChat(text.slice(0, end)), []);
});

test('an answer cut off by closing the page counts as stopped', () => {
  const text = JSON.stringify([{ role: 'assistant', content: '春', state: 'streaming' }]);
  assert.equal(parseChat(text)[0].state, 'stopped');
});

test('bad settings fall back one by one', () => {
  for (const text of [null, '', '[', 'null', '[]', '5'])
    assert.deepEqual(parseSettings(text), defaultSettings);
  const bad = {
    theme: 'dark',
    language: 'xx',
    temperature: 99,
    topP: '0.5',
    maxTokens: 1.5,
    seed: 7,
    systemPrompt: null,
  };
  assert.deepEqual(parseSettings(JSON.stringify(bad)), {
    ...defaultSettings,
    theme: 'dark',
    seed: 7,
  });
});

test('a storage that throws is survived', () => {
  const broken = () => {
    throw new Error('denied');
  };
  globalThis.localStorage = { getItem: broken, setItem: broken, removeItem: broken };
  assert.equal(store.load('x'), null);
  assert.equal(store.save('x', 1), false);
  store.forget('x');
  delete globalThis.localStorage;
});
