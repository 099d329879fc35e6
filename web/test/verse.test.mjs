import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './load.mjs';

const { parseVerse, verseHint } = await load('verse.ts');
const quatrain = '床前明月光，疑是地上霜。举头望明月，低头思故乡。';

test('a quatrain in one line is broken after each sentence', () => {
  const lines = ['床前明月光，疑是地上霜。', '举头望明月，低头思故乡。'];
  assert.deepEqual(parseVerse(quatrain, 'none'), { heading: [], lines });
});

test('title and author stand apart, given line breaks are kept', () => {
  const verse = parseVerse('静夜思\n李白\n床前明月光，\n疑是地上霜。', 'none');
  assert.deepEqual(verse, { heading: ['静夜思', '李白'], lines: ['床前明月光，', '疑是地上霜。'] });
});

test('a heading with form, rhyme and rhyme words belongs to the poem', () => {
  const heading = '《奉和圣制从蓬莱向兴庆阁道中》五律·尤韵·秋愁楼头';
  assert.deepEqual(parseVerse(`${heading}\n${quatrain}`, 'asked').heading, [heading]);
});

test('unpunctuated lines of equal length are verse', () => {
  assert.equal(parseVerse('床前明月光\n疑是地上霜', 'none').lines.length, 2);
});

test('once recognised, a growing quatrain stays verse', () => {
  let seen = false;
  for (let end = 1; end <= quatrain.length; end++) {
    const verse = parseVerse(quatrain.slice(0, end), 'none') !== null;
    assert.ok(verse || !seen, quatrain.slice(0, end));
    seen ||= verse;
  }
  assert.ok(seen);
});

test('verse that was asked for is verse from its first character on', () => {
  const poem = `春夜\n${quatrain}`;
  for (let end = 1; end <= poem.length; end++) {
    assert.notEqual(parseVerse(poem.slice(0, end), 'growing'), null, poem.slice(0, end));
  }
});

test('uneven lines are verse only where verse was asked for', () => {
  const ci = '明月几时有，把酒问青天。不知天上宫阙，今夕是何年。';
  assert.equal(parseVerse(ci, 'none'), null);
  assert.equal(parseVerse(ci, 'asked').lines.length, 2);
});

test('prose stays prose', () => {
  for (const text of [
    '',
    '你好！',
    '“床前明月光”是唐代诗人李白写的，出自《静夜思》。',
    'The moon is bright.',
    '一、二',
  ]) {
    assert.equal(parseVerse(text, 'asked'), null, text);
  }
});

test('a request for verse is told from a question about it', () => {
  for (const text of [
    '写一首五言绝句，题目是春夜',
    '学李白的风格写一首诗',
    'Write a five-character quatrain about the moon',
  ]) {
    assert.equal(verseHint(text, false), 'asked', text);
    assert.equal(verseHint(text, true), 'growing', text);
  }
  for (const text of [
    '“床前明月光”是谁写的？',
    '这首诗是什么意思？',
    '你好',
    'who wrote this poem',
  ]) {
    assert.equal(verseHint(text, true), 'none', text);
  }
});
