import assert from 'node:assert/strict';
import test from 'node:test';
import { kCited } from './mock_server.mjs';
import { load } from './load.mjs';

const { dictionaries, isolated, lookUpWords, parseChat, putMarks, readChunk, shownText, webAddress } =
  await load(
    'api.ts',
    'citation_marks.ts',
    'graph_text.ts',
    'look_up_line.tsx',
    'store.ts',
    'strings.ts',
  );

const chunkOf = (annotations, grounding) =>
  JSON.stringify({
    choices: [{ index: 0, delta: { annotations }, finish_reason: 'stop' }],
    grounding,
  });

test('the last chunk brings the facts and the decision, before the end', () => {
  const [facts, finish] = readChunk(chunkOf(kCited.annotations, kCited.grounding));
  assert.deepEqual(finish, { kind: 'finish', reason: 'stop' });
  assert.equal(facts.citations.length, 2, 'an url_citation is passed over');
  assert.equal(facts.citations[0].relation, '修建原因');
  assert.equal(facts.grounding.decision, 'retrieved');
});

test('odd annotations and decisions are passed over', () => {
  const finish = [{ kind: 'finish', reason: 'stop' }];
  for (const odd of [null, 3, {}, [null], [{ type: 'kg_citation' }], [{ type: 'x', kg_citation: {} }]])
    assert.deepEqual(readChunk(chunkOf(odd, { decision: 'later' })), finish, JSON.stringify(odd));
});

test('facts survive storage; chats from before them load', () => {
  const [{ citations, grounding }] = readChunk(chunkOf(kCited.annotations, kCited.grounding));
  const chat = [{ role: 'assistant', content: kCited.text, citations, grounding }];
  assert.deepEqual(parseChat(JSON.stringify(chat)), chat);
  const old = [{ role: 'assistant', content: 'a[1]' }];
  assert.deepEqual(parseChat(JSON.stringify(old)), old);
  const broken = [{ ...old[0], citations: [{ index: 'x' }, 3], grounding: { decision: 7 } }];
  assert.deepEqual(parseChat(JSON.stringify(broken)), old);
});

test('only the mark at its place in code points is one', () => {
  const at = (start, index = 1) => ({ index, start, end: start + 3 });
  assert.equal(putMarks('🌸甲[1]乙[1]', [at(2)]), '🌸甲\uFFFC0\uFFFC乙[1]');
  for (const wrong of [at(1), at(-3), at(90), at(2, 2)])
    assert.equal(putMarks('🌸甲[1]', [wrong]), '🌸甲[1]');
  assert.equal(putMarks('\uFFFC0\uFFFC甲[1]', [at(4)]), '\uFFFD0\uFFFD甲\uFFFC0\uFFFC');
});

test('the line below an answer tells what the look-ups came to', () => {
  const zh = dictionaries['zh-CN'];
  const words = (decision, found, queries, t = zh) =>
    lookUpWords({ decision, queries }, found, t).replace(/[\u2068\u2069]/g, '');
  const known = { entity: '长城', relation: '修建原因', found: true };
  const unknown = { entity: '长城', relation: '设计者', found: false };
  assert.equal(words('closed_book', 0, []), '');
  assert.equal(words('retrieved', 2, [known]), '图谱：查得 2 条');
  assert.equal(words('abstained', 0, [unknown]), '图谱中没有：长城 的 设计者');
  assert.equal(words('abstained', 1, [known, unknown]), '图谱：查得 1 条；图谱中没有：长城 的 设计者');
  assert.match(words('abstained', 0, []), /拿不准/);
  assert.match(words('ambiguous', 2, [known]), /长城 不止一个/);
  assert.equal(words('retrieved', 1, [known], dictionaries.en), 'Knowledge graph: 1 fact found');
});

test('text of the graph cannot turn round or hide what stands beside it', () => {
  assert.equal(shownText('\u202Eevil\u2069\u200B\n\ttext\0 '), 'evil text');
  assert.equal(isolated('\u2069x'), '\u2068x\u2069');
});

test('only web addresses become links', () => {
  assert.equal(webAddress('https://example.org/a').host, 'example.org');
  for (const bad of ['', 'javascript:alert(1)', ' https://a', 'data:,x', '//a.b', 'https://', 'ftp://a'])
    assert.equal(webAddress(bad), null, bad);
});
