import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './load.mjs';

const {
  ApiError,
  contextNumbers,
  defaultSettings,
  dictionaries,
  explain,
  questionBefore,
  requestFor,
  turnsOf,
} = await load('conversation.ts', 'store.ts', 'errors.ts', 'api.ts', 'strings.ts');

const user = (content) => ({ role: 'user', content });
const answer = (content, state) => ({ role: 'assistant', content, ...(state && { state }) });

test('questions without an answer are not sent again, so roles alternate', () => {
  const messages = [user('a'), answer('', 'failed'), user('b'), answer('B', 'stopped'), user('c')];
  assert.deepEqual(turnsOf(messages), [user('b'), answer('B'), user('c')]);
});

test('settings left alone are not sent', () => {
  assert.deepEqual(requestFor([user('a')], defaultSettings, 'm', true), {
    model: 'm',
    messages: [user('a')],
  });
  const settings = {
    ...defaultSettings,
    temperature: 0,
    topP: 0.9,
    maxTokens: 8,
    seed: 0,
    systemPrompt: ' 简短 ',
  };
  assert.deepEqual(requestFor([user('a')], settings, 'm', true), {
    model: 'm',
    messages: [{ role: 'system', content: '简短' }, user('a')],
    temperature: 0,
    top_p: 0.9,
    max_tokens: 8,
    seed: 0,
  });
});

test('the mode of look-ups is sent only to a server with a graph', () => {
  const settings = { ...defaultSettings, grounding: 'strict' };
  assert.equal(requestFor([user('a')], settings, 'm', true).grounding?.mode, 'strict');
  assert.equal(requestFor([user('a')], settings, 'm', false).grounding, undefined);
});

test('an answer finds its question', () => {
  assert.equal(questionBefore([user('a'), answer('A'), user('b'), answer('B')], 3), 'b');
  assert.equal(questionBefore([answer('A')], 0), '');
});

test('a context overflow names both numbers, from fields or from the message', () => {
  const code = 'context_length_exceeded';
  const named = new ApiError(code, 'x', 400, null, { n_prompt_tokens: 600, n_ctx: 512 });
  const told = new ApiError(code, 'prompt: 1,600 tokens, limit 1,024; shorten it', 400);
  const vague = new ApiError(code, '3 messages of 700 tokens, limit 512', 400);
  assert.deepEqual(contextNumbers(named), { asked: 600, limit: 512 });
  assert.deepEqual(contextNumbers(told), { asked: 1600, limit: 1024 });
  assert.equal(contextNumbers(vague), null);
  for (const t of Object.values(dictionaries)) {
    const { remedy, offersNewChat } = explain(told, t);
    assert.match(remedy, /1600.*1024/);
    assert.ok(offersNewChat);
    assert.equal(explain(vague, t).detail, vague.message);
  }
});

test('every failure has a title and a remedy, and the server keeps its say', () => {
  const t = dictionaries.en;
  assert.equal(explain(new ApiError('network', ''), t).title, t.errorNetwork);
  assert.equal(explain(new ApiError('stream_cut', ''), t).title, t.errorCut);
  assert.match(explain(new ApiError('', '', 429, 12), t).remedy, /12/);
  for (const status of [0, 400, 401, 404, 413, 422, 429, 500, 503]) {
    const { title, remedy, detail } = explain(new ApiError('', 'why', status), t);
    assert.ok(title && remedy, String(status));
    assert.equal(detail, 'why');
  }
});
