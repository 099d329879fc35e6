import { readAnnotations, type Citation } from './citations';
import {
  parseGraphInfo,
  parseGrounding,
  type GraphInfo,
  type Grounding,
  type GroundingMode,
} from './grounding';
import { fieldsOf, isObject } from './json';
import { SseParser } from './sse';

/** The OpenAI-form endpoints the page uses. Addresses are relative, so a path prefix of a proxy works. */

export interface ChatTurn {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface ChatRequest {
  model: string;
  messages: ChatTurn[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  seed?: number;
  grounding?: { mode: GroundingMode };
}

export type StreamEvent =
  | { kind: 'text'; text: string }
  | { kind: 'facts'; citations: Citation[]; grounding: Grounding | null }
  | { kind: 'finish'; reason: string }
  | { kind: 'usage'; promptTokens: number; completionTokens: number };

/** A failed request. `code` is the server's, or one of our own: network, stream_cut, bad_answer. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
    readonly retryAfter: number | null = null,
    readonly fields: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export type Health = 'ready' | 'loading' | 'unreachable';

function errorFrom(body: unknown, status: number, retryAfter: number | null): ApiError {
  const error = isObject(body) ? body['error'] : undefined;
  if (typeof error === 'string') return new ApiError('', error, status, retryAfter);
  if (!isObject(error)) return new ApiError('', '', status, retryAfter);
  const text = (key: string) => (typeof error[key] === 'string' ? (error[key] as string) : '');
  return new ApiError(text('code') || text('type'), text('message'), status, retryAfter, error);
}

async function errorOf(response: Response): Promise<ApiError> {
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  const body: unknown = await response.json().catch(() => null);
  return errorFrom(body, response.status, Number.isFinite(seconds) ? seconds : null);
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { cache: 'no-store', ...init });
  } catch (error) {
    if (init?.signal?.aborted) throw error;
    throw new ApiError('network', String(error));
  }
}

/** One `data:` payload of a chat stream as events. Unknown keys are ignored; an error object throws. */
export function readChunk(payload: string): StreamEvent[] {
  let chunk: unknown;
  try {
    chunk = JSON.parse(payload);
  } catch {
    throw new ApiError('bad_answer', payload.slice(0, 200));
  }
  if (!isObject(chunk)) throw new ApiError('bad_answer', payload.slice(0, 200));
  if (chunk['error']) throw errorFrom(chunk, 0, null);
  const events: StreamEvent[] = [];
  const choice: unknown = Array.isArray(chunk['choices']) ? chunk['choices'][0] : undefined;
  if (isObject(choice)) {
    const delta = choice['delta'];
    const text = isObject(delta) ? delta['content'] : undefined;
    if (typeof text === 'string' && text !== '') events.push({ kind: 'text', text });
    const citations = readAnnotations(isObject(delta) ? delta['annotations'] : undefined);
    const grounding = parseGrounding(chunk['grounding']);
    if (citations.length > 0 || grounding) events.push({ kind: 'facts', citations, grounding });
    const reason = choice['finish_reason'];
    if (typeof reason === 'string') events.push({ kind: 'finish', reason });
  }
  const usage = chunk['usage'];
  if (isObject(usage)) {
    events.push({
      kind: 'usage',
      promptTokens: Number(usage['prompt_tokens']) || 0,
      completionTokens: Number(usage['completion_tokens']) || 0,
    });
  }
  return events;
}

/** Events of a byte stream of SSE. Throws `stream_cut` if it ends before the answer is finished. */
export async function* readStream(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  let finished = false;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const payloads = done
        ? [...parser.push(decoder.decode()), ...parser.end()]
        : parser.push(decoder.decode(value, { stream: true }));
      for (const payload of payloads) {
        if (payload === '[DONE]') return;
        for (const event of readChunk(payload)) {
          finished ||= event.kind === 'finish';
          yield event;
        }
      }
      if (done) break;
    }
  } catch (error) {
    if (error instanceof ApiError || (error as Error).name === 'AbortError') throw error;
    throw new ApiError('stream_cut', String(error));
  } finally {
    void reader.cancel().catch(() => {});
  }
  if (!finished) throw new ApiError('stream_cut', '');
}

/** Streams one answer. Aborting `signal` closes the connection, which makes the server stop the work. */
export async function* streamChat(
  chat: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const response = await request('v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ ...chat, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  if (!response.body) throw new ApiError('bad_answer', '');
  yield* readStream(response.body);
}

export async function checkHealth(
  signal: AbortSignal,
): Promise<{ health: Health; graph: GraphInfo | null }> {
  try {
    const response = await request('health', { signal });
    const body: unknown = await response.json().catch(() => null);
    const graph = parseGraphInfo(fieldsOf(body)?.['graph']);
    return { health: response.status === 503 ? 'loading' : 'ready', graph };
  } catch {
    return { health: 'unreachable', graph: null };
  }
}

/** The name of the served model, or null if the server lists none. */
export async function fetchModel(signal: AbortSignal): Promise<string | null> {
  const response = await request('v1/models', { signal });
  if (!response.ok) throw await errorOf(response);
  const body: unknown = await response.json().catch(() => null);
  const first: unknown =
    isObject(body) && Array.isArray(body['data']) ? body['data'][0] : undefined;
  return isObject(first) && typeof first['id'] === 'string' ? first['id'] : null;
}
