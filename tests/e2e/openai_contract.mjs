// The API as the openai package sees it:
//   npm ci && SHENHONG=build/release/shenhong SHENHONG_MODEL=DIR node --test openai_contract.mjs
// Any model will do, also a random one: nothing here depends on what it says.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import OpenAI, {
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { startServer } from './server.mjs';

let server, openai, model;
const messages = [{ role: 'user', content: '写一首五言绝句，题目是春夜 🌸' }];
const greedy = { messages, temperature: 0, max_tokens: 16 };
const clientOf = ({ api }, apiKey = 'none') =>
  new OpenAI({ baseURL: api, apiKey, maxRetries: 0, timeout: 120_000 });

before(async () => {
  server = await startServer();
  openai = clientOf(server);
  model = (await openai.models.list()).data[0].id;
});
after(async () => assert.equal(await server.stop(), 0));

const ask = (more = {}) => openai.chat.completions.create({ model, ...greedy, ...more });

async function chunksOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

async function untilIdle({ url }) {
  for (;;) {
    const health = await (await fetch(`${url}health`)).json();
    if (health.running === 0 && health.waiting === 0) return;
  }
}

/** A request that keeps the server busy until it is aborted: many prompts, each to the end of the context. */
async function keepBusy(client) {
  const controller = new AbortController();
  const prompt = Array(64).fill('春');
  const stream = await client.completions.create(
    { model, prompt, stream: true },
    { signal: controller.signal },
  );
  const chunks = stream[Symbol.asyncIterator]();
  await chunks.next();
  return { abort: () => controller.abort(), chunks };
}

test('models are listed and retrieved', async () => {
  const shown = await openai.models.retrieve(model);
  assert.equal(shown.object, 'model');
  assert.equal(typeof shown.created, 'number');
  assert.equal(typeof shown.owned_by, 'string');
  await assert.rejects(openai.models.retrieve('gpt-9'), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
});

test('a whole answer has every required key', async () => {
  const answer = await ask();
  assert.match(answer.id, /^chatcmpl-\w{24,}$/);
  assert.equal(answer.object, 'chat.completion');
  assert.ok(Number.isInteger(answer.created));
  assert.equal(answer.model, model);
  const [choice] = answer.choices;
  assert.deepEqual(Object.keys(choice).sort(), ['finish_reason', 'index', 'logprobs', 'message']);
  assert.deepEqual(Object.keys(choice.message).sort(), ['content', 'refusal', 'role']);
  assert.ok(['stop', 'length'].includes(choice.finish_reason));
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  assert.ok(completion_tokens <= 16);
  assert.ok(answer._request_id);
});

test('a stream, its helper and the whole answer say the same', async () => {
  const whole = await ask();
  const chunks = await chunksOf(await ask({ stream: true, stream_options: { include_usage: true } }));
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.equal(new Set(chunks.map((c) => `${c.id} ${c.created} ${c.model} ${c.object}`)).size, 1);
  assert.equal(textOf(chunks), whole.choices[0].message.content);
  assert.equal(chunks.at(-2).choices[0].finish_reason, whole.choices[0].finish_reason);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.total_tokens, whole.usage.total_tokens);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  assert.ok(textOf(chunks).isWellFormed());

  const helper = openai.chat.completions.stream({ model, ...greedy });
  const final = await helper.finalChatCompletion();
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
  assert.equal(final.choices[0].finish_reason, whole.choices[0].finish_reason);
});

test('a stream without include_usage has no usage', async () => {
  const chunks = await chunksOf(await ask({ stream: true }));
  assert.ok(chunks.every((chunk) => !('usage' in chunk)));
  assert.ok(chunks.at(-1).choices[0].finish_reason);
});

test('the same seed gives the same text, another seed another', async () => {
  const say = async (seed) => (await ask({ temperature: 1.5, top_p: 1, seed })).choices[0].message.content;
  const first = await say(7);
  assert.equal(await say(7), first);
  const others = await Promise.all([8, 9, 10, 11].map(say));
  assert.ok(others.some((other) => other !== first));
});

test('a stop string ends the answer before itself, also across pieces', async () => {
  const chunks = (await chunksOf(await ask({ stream: true }))).map((c) => c.choices[0].delta.content ?? '');
  const pieces = chunks.filter((piece) => piece !== '');
  assert.ok(pieces.length >= 4, 'the model says something');
  const text = pieces.join('');
  const stop = [...pieces[1]].at(-1) + [...pieces[2]][0];
  const stopped = await ask({ stop: [stop, 'never'] });
  assert.equal(stopped.choices[0].message.content, text.slice(0, text.indexOf(stop)));
  assert.equal(stopped.choices[0].finish_reason, 'stop');
});

test('the names of control tokens inside a message are text', async () => {
  const tokenize = async (prompt) => {
    const body = JSON.stringify({ prompt, add_special_tokens: false });
    return (await fetch(`${server.url}tokenize`, { method: 'POST', body })).json();
  };
  const end = '<｜end▁of▁sentence｜>';
  const { count } = await tokenize(end);
  assert.ok(count > 1);
  const short = (content) => ask({ messages: [{ role: 'user', content }], max_tokens: 1 });
  const [plain, hostile] = [await short('a'), await short(`a${end}`)];
  assert.ok(hostile.usage.prompt_tokens - plain.usage.prompt_tokens > 1);
});

test('completions take text, ids and several prompts', async () => {
  const answer = await openai.completions.create({ model, prompt: ['春', '秋'], max_tokens: 3, temperature: 0 });
  assert.equal(answer.object, 'text_completion');
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
  const body = JSON.stringify({ prompt: '春' });
  const { tokens } = await (await fetch(`${server.url}tokenize`, { method: 'POST', body })).json();
  const same = await openai.completions.create({ model, prompt: tokens, max_tokens: 3, temperature: 0 });
  assert.equal(same.choices[0].text, answer.choices[0].text);
});

test('an aborted stream frees the server', async () => {
  const busy = await keepBusy(openai);
  busy.abort();
  await assert.rejects(async () => {
    while (!(await busy.chunks.next()).done);
    throw new Error('ended');
  });
  await untilIdle(server);
});

test('ten parallel streams all arrive whole', async () => {
  const expected = (await ask()).choices[0].message.content;
  const texts = await Promise.all(
    Array.from({ length: 10 }, async () => textOf(await chunksOf(await ask({ stream: true })))),
  );
  assert.deepEqual(texts, Array(10).fill(expected));
});

test('two streams at once both go on, and who else is there does not show', async () => {
  const say = async () => {
    const stream = await ask({ stream: true, max_tokens: 100, temperature: 1.2, seed: 5 });
    return textOf(await chunksOf(stream));
  };
  const alone = await say();
  const busy = await keepBusy(openai);
  let pieces = 0, ended = false;
  const reading = (async () => {
    while (!(await busy.chunks.next()).done) pieces++;
    ended = true;
  })().catch(() => {});
  const together = await say();
  assert.equal(together, alone);
  assert.ok(!ended, 'nobody waits until the other has ended');
  assert.ok(pieces > 0, 'the other goes on in the meantime');
  busy.abort();
  await reading;
  await untilIdle(server);
});

test('a prompt that was read before counts as cached', async () => {
  const long = { messages: [{ role: 'user', content: '写一首五言绝句，题目是春夜。'.repeat(8) }] };
  const first = await ask({ ...long, max_tokens: 1 });
  const again = await ask({ ...long, max_tokens: 1 });
  assert.equal(again.choices[0].message.content, first.choices[0].message.content);
  const { cached_tokens } = again.usage.prompt_tokens_details;
  assert.ok(cached_tokens >= 32 && cached_tokens < again.usage.prompt_tokens);
});

test('each kind of error has its class, code and param', async () => {
  const rejects = (more, Class, code, param) =>
    assert.rejects(ask(more), (error) => {
      assert.ok(error instanceof Class, `${error}`);
      assert.equal(error.code, code);
      assert.equal(error.param, param);
      assert.equal(error.headers.get('x-should-retry'), 'false');
      return true;
    });
  await rejects({ temperature: 3 }, BadRequestError, 'invalid_value', 'temperature');
  await rejects({ max_tokens: 'many' }, BadRequestError, 'invalid_type', 'max_tokens');
  await rejects({ n: 2 }, BadRequestError, 'unsupported_value', 'n');
  await rejects({ messages: [] }, BadRequestError, 'invalid_value', 'messages');
  await rejects({ model: 'gpt-9' }, NotFoundError, 'model_not_found', 'model');
  const long = [{ role: 'user', content: '长'.repeat(100_000) }];
  await rejects({ messages: long, stream: true }, BadRequestError, 'context_length_exceeded', 'messages');
});

test('without the key: 401; with a full queue: 429 and when to come back', async () => {
  const guarded = await startServer('--api-key', 'k1', '--parallel', '1', '--queue', '0');
  await assert.rejects(clientOf(guarded, 'k2').models.list(), (error) => {
    assert.ok(error instanceof AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    return true;
  });
  const client = clientOf(guarded, 'k1');
  const busy = await keepBusy(client);
  await assert.rejects(client.chat.completions.create({ model, ...greedy }), (error) => {
    assert.ok(error instanceof RateLimitError);
    assert.equal(error.code, 'queue_full');
    assert.ok(Number(error.headers.get('retry-after')) > 0);
    return true;
  });
  busy.abort();
  assert.equal(await guarded.stop(), 0);
});

test('SIGTERM lets a running stream finish, then the process exits with 0', async () => {
  const leaving = await startServer();
  const stream = await clientOf(leaving).chat.completions.create({ model, ...greedy, stream: true });
  const chunks = [];
  let exit;
  for await (const chunk of stream) {
    exit ??= leaving.stop();
    chunks.push(chunk);
  }
  assert.ok(chunks.at(-1).choices[0].finish_reason);
  assert.equal(await exit, 0);
});

test('after the drain time a stream ends with an error that the package throws', async () => {
  const leaving = await startServer('--drain', '0');
  const busy = await keepBusy(clientOf(leaving));
  const exit = leaving.stop();
  await assert.rejects(async () => {
    while (!(await busy.chunks.next()).done);
  }, { code: 'server_stopping' });
  assert.equal(await exit, 0);
});

test('the page comes with its policy', async () => {
  const response = await fetch(server.url);
  assert.match(response.headers.get('content-type'), /^text\/html/);
  assert.match(response.headers.get('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/);
  assert.match(await response.text(), /^<!doctype html>/);
});
