// A stand-in for `shenhong serve`, used only to develop and test the page:
//   node test/mock_server.mjs [port]        then open http://127.0.0.1:8021/
// A question that holds one of the words below provokes that behaviour; any other gets verse.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';

const kPage = new URL('../dist/index.html', import.meta.url);
const kPieceMs = 40;

const kVerse = '春夜\n月色满庭花，风轻竹影斜。\n谁家吹玉笛，一夜到天涯。';
const kSeven = '明月\n一轮明月照江楼，万里清风送客舟。\n夜静无人花自落，水流不尽古今愁。';
const kProse =
  '**守株待兔**：比喻不主动努力，存侥幸心理，希望得到意外的收获。\n\n- 出处：《韩非子·五蠹》\n- 近义：刻舟求剑\n\n> 宋人有耕者，田中有株。\n\n```python\nprint("兔")\n```';

export const kHostile = [
  'start <script>window.hacked=1</script> <img src=x onerror="window.hacked=2">',
  '[click](javascript:window.hacked=3) ![pic](https://example.invalid/pixel.png)',
  '<svg onload="window.hacked=4"><style>body{display:none}</style></svg>',
  '<iframe srcdoc="<script>parent.hacked=5</script>"></iframe>',
  '[data](data:text/html,<script>window.hacked=6</script>) `<b>code</b>`',
  '<a href="https://example.invalid" onclick="window.hacked=7">link</a> end',
].join('\n\n');

const kFact = {
  fact_id: 12,
  s: '<urn:s>',
  p: '<urn:p>',
  o: '"x"@zh',
  source: '国家文物局2012年长城资源认定',
  url: '',
  confidence: 1,
  valid_from: '',
  valid_to: '',
  labels: { subject: '长城', relation: '修建原因', object: '防御北方游牧民族' },
};
const kHostileFact = {
  ...kFact,
  source: '<b>\u202Esource</b>',
  url: 'javascript:window.hacked=8',
  confidence: 0.5,
  valid_from: '2001',
  labels: {
    subject: '<img src=x onerror="window.hacked=9">',
    relation: '**r**',
    object: `<script>window.hacked=10</script>${'长'.repeat(500)}`,
  },
};
/** An answer with look-ups: two of its marks are cited, the third is only text. */
export const kCited = {
  text: '🌸长城是为了**防御北方游牧民族**[1]，也有别的说法[2]。此外[1]。',
  annotations: [
    { type: 'kg_citation', index: 1, start_index: 18, end_index: 21, kg_citation: kFact },
    { type: 'kg_citation', index: 2, start_index: 28, end_index: 31, kg_citation: kHostileFact },
    { type: 'url_citation', url_citation: { start_index: 18, end_index: 21, url: 'https://a.b' } },
  ],
  grounding: {
    mode: 'auto',
    decision: 'retrieved',
    queries: [{ entity: '长城', relation: '修建原因', inverse: false, found: true }],
  },
};

const kErrors = {
  '/context': [
    400,
    {
      code: 'context_length_exceeded',
      message: 'prompt: 700 tokens, limit 512; shorten it or start a new chat',
    },
  ],
  '/busy': [429, { code: 'rate_limit_exceeded', message: 'queue is full' }],
  '/loading': [503, { code: 'unavailable_error', message: 'the model is loading' }],
  '/fail': [500, { code: 'server_error', message: 'allocation failed' }],
};

function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function answerTo(question) {
  if (question.includes('/hostile')) return kHostile;
  if (question.includes('/cite')) return kCited.text;
  if (question.includes('/long')) return '江水东流去，青山依旧在。'.repeat(200);
  if (question.includes('七言')) return kSeven;
  if (/意思|谁写/.test(question)) return kProse;
  return kVerse;
}

async function stream(response, question, includeUsage, pieceMs, state) {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
  });
  const send = (delta, finish = null, more = {}) => {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: finish }];
    const chunk = { id: 'chatcmpl-mock', object: 'chat.completion.chunk', choices, ...more };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  send({ role: 'assistant', content: '' });
  const pieces = [...answerTo(question)];
  for (const [i, piece] of pieces.entries()) {
    if (response.destroyed) return;
    if (question.includes('/reset') && i === 8) return response.destroy();
    if (question.includes('/cut') && i === 8) return response.end();
    if (question.includes('/midway') && i === 8) {
      return response.end(
        'data: {"error":{"message":"out of memory","type":"server_error","param":null,"code":null}}\n\n',
      );
    }
    send({ content: piece, later: {} });
    await new Promise((resolve) => setTimeout(resolve, pieceMs));
  }
  await state.mayFinish;
  if (question.includes('/cite'))
    send({ annotations: kCited.annotations }, 'stop', { grounding: kCited.grounding });
  else send({}, question.includes('/length') ? 'length' : 'stop');
  if (includeUsage) {
    const usage = {
      prompt_tokens: 12,
      completion_tokens: pieces.length,
      total_tokens: 12 + pieces.length,
    };
    response.write(`data: ${JSON.stringify({ choices: [], usage })}\n\n`);
  }
  response.end('data: [DONE]\n\n');
}

/** Resolves to the listening server; `state.health` may be set to 503, `state.graph` to a graph; `state.requests` holds the
 * bodies, and an answer's last chunk waits for the promise `state.mayFinish`. */
export async function startMock({ port = 0, pieceMs = kPieceMs } = {}) {
  const state = { health: 200, graph: null, requests: [], mayFinish: null };
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://mock').pathname;
    if (path === '/') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      return response.end(await readFile(kPage));
    }
    if (path === '/health')
      return json(response, state.health, {
        status: state.health === 200 ? 'ok' : 'loading',
        graph: state.graph,
      });
    if (path === '/v1/models')
      return json(response, 200, {
        object: 'list',
        data: [{ id: 'shenhong-mini', object: 'model' }],
      });
    if (path !== '/v1/chat/completions')
      return json(response, 404, { error: { message: `no route ${path}`, code: null } });

    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    state.requests.push(body);
    const question = body.messages.at(-1).content;
    for (const [word, [status, error]] of Object.entries(kErrors)) {
      if (question.includes(word))
        return json(
          response,
          status,
          { error: { type: null, param: null, ...error } },
          { 'retry-after': '3' },
        );
    }
    return stream(response, question, body.stream_options?.include_usage, pieceMs, state);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, server, state };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  console.log((await startMock({ port: Number(process.argv[2] ?? 8021) })).url);
}
