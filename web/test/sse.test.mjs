import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './load.mjs';

const { SseParser, readStream, readChunk, ApiError } = await load('sse.ts', 'api.ts');

const chunk = (delta, finish = null, extra = {}) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }], ...extra })}\n\n`;

const answer =
  chunk({ role: 'assistant', content: '' }) +
  ': ping\n\n' +
  chunk({ content: '春眠' }) +
  chunk({ content: '不觉晓🌸', shenhong: { facts: [1] } }, null, { later: true }) +
  chunk({}, 'stop') +
  'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n' +
  'data: [DONE]\n\n';

const expected = [
  { kind: 'text', text: '春眠' },
  { kind: 'text', text: '不觉晓🌸' },
  { kind: 'finish', reason: 'stop' },
  { kind: 'usage', promptTokens: 7, completionTokens: 5 },
];

function streamOf(pieces) {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

async function collect(pieces) {
  const events = [];
  for await (const event of readStream(streamOf(pieces))) events.push(event);
  return events;
}

test('every cut of the byte stream into two pieces gives the same events', async () => {
  const bytes = new TextEncoder().encode(answer);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(
      await collect([bytes.slice(0, cut), bytes.slice(cut)]),
      expected,
      `cut ${cut}`,
    );
  }
});

test('a stream that comes byte by byte gives the same events', async () => {
  const bytes = new TextEncoder().encode(answer);
  assert.deepEqual(await collect([...bytes].map((byte) => Uint8Array.of(byte))), expected);
});

test('all three line ends work, also when CR and LF come in different pieces', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    const text = ['data: a', 'data: b', '', ': note', 'id: 3', 'data:c', '', ''].join(end);
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new SseParser();
      const events = [
        ...parser.push(text.slice(0, cut)),
        ...parser.push(text.slice(cut)),
        ...parser.end(),
      ];
      assert.deepEqual(events, ['a\nb', 'c'], `${JSON.stringify(end)} cut ${cut}`);
    }
  }
});

test('an event without its closing blank line still counts at the end', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push('data: [DONE]'), []);
  assert.deepEqual(parser.end(), ['[DONE]']);
});

test('an error object in the middle of a stream throws it after the text before it', async () => {
  const body =
    chunk({ content: '春' }) +
    'data: {"error":{"message":"no memory","type":"server_error","param":null,"code":null}}\n\n';
  const events = [];
  await assert.rejects(
    async () => {
      for await (const event of readStream(streamOf([new TextEncoder().encode(body)])))
        events.push(event);
    },
    (error) =>
      error instanceof ApiError && error.code === 'server_error' && error.message === 'no memory',
  );
  assert.deepEqual(events, [{ kind: 'text', text: '春' }]);
});

test('a stream that ends before its finish reason is an error', async () => {
  await assert.rejects(collect([new TextEncoder().encode(chunk({ content: '春' }))]), {
    code: 'stream_cut',
  });
});

test('a missing [DONE] after the finish reason is no error', async () => {
  assert.equal(
    (await collect([new TextEncoder().encode(chunk({ content: '春' }, 'stop'))])).length,
    2,
  );
});

test('unknown keys, null content and odd shapes are ignored, broken JSON is named', () => {
  for (const odd of [
    '{}',
    '{"choices":[]}',
    '{"choices":[null]}',
    '{"choices":[{"delta":{"content":null}}]}',
  ]) {
    assert.deepEqual(readChunk(odd), [], odd);
  }
  for (const broken of ['{', '[]', '3', 'null']) {
    assert.throws(() => readChunk(broken), { code: 'bad_answer' }, broken);
  }
});
