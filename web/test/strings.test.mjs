import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './load.mjs';

const { dictionaries, detectLanguage, fill } = await load('strings.ts');
const placeholders = (text) => (text.match(/\{\w+\}/g) ?? []).sort();

test('both languages have the same keys, no empty text and the same placeholders', () => {
  const { 'zh-CN': zh, en } = dictionaries;
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  for (const key of Object.keys(zh)) {
    assert.notEqual(zh[key].trim(), '', key);
    assert.notEqual(en[key].trim(), '', key);
    assert.deepEqual(placeholders(zh[key]), placeholders(en[key]), key);
  }
});

test('Chinese browsers get Chinese, all others English', () => {
  for (const tag of ['zh', 'zh-CN', 'zh-TW', 'ZH-Hans'])
    assert.equal(detectLanguage(tag), 'zh-CN', tag);
  for (const tag of ['en', 'de-DE', 'ja', 'zha', '']) assert.equal(detectLanguage(tag), 'en', tag);
});

test('fill replaces known placeholders and keeps unknown ones', () => {
  assert.equal(fill('{n} of {m}', { n: 3 }), '3 of {m}');
});
