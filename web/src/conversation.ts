import type { ChatRequest, ChatTurn } from './api';
import type { Message, Settings } from './store';

/** The turns to send. A question that was never answered is left out, so that roles alternate. */
export function turnsOf(messages: readonly Message[]): ChatTurn[] {
  return messages
    .filter((message, i) => {
      const next = messages[i + 1];
      if (message.role === 'assistant') return message.content !== '';
      return next === undefined || (next.role === 'assistant' && next.content !== '');
    })
    .map(({ role, content }) => ({ role, content }));
}

/**
 * The request that asks for the answer after `messages`. Settings left at null are not sent, and nothing of
 * look-ups to a server without a graph.
 */
export function requestFor(
  messages: readonly Message[],
  settings: Settings,
  model: string,
  hasGraph: boolean,
): ChatRequest {
  const system = settings.systemPrompt.trim();
  const request: ChatRequest = {
    model,
    messages: [
      ...(system ? [{ role: 'system' as const, content: system }] : []),
      ...turnsOf(messages),
    ],
  };
  if (settings.temperature !== null) request.temperature = settings.temperature;
  if (settings.topP !== null) request.top_p = settings.topP;
  if (settings.maxTokens !== null) request.max_tokens = settings.maxTokens;
  if (settings.seed !== null) request.seed = settings.seed;
  if (settings.grounding !== null && hasGraph) request.grounding = { mode: settings.grounding };
  return request;
}

/** The question that the answer at `index` belongs to. */
export function questionBefore(messages: readonly Message[], index: number): string {
  for (let i = index - 1; i >= 0; i--) {
    const message = messages[i];
    if (message?.role === 'user') return message.content;
  }
  return '';
}
