import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { streamChat } from './api';
import { requestFor } from './conversation';
import {
  forget,
  kChatKey,
  load,
  parseChat,
  save,
  type Message,
  type Settings,
  type Stats,
} from './store';

export interface Chat {
  messages: Message[];
  busy: boolean;
  send(text: string): void;
  /** Replaces the question at `index`, drops what followed and asks again. */
  resend(index: number, text: string): void;
  /** Drops the answer at `index` and what followed, and asks for it again. */
  regenerate(index: number): void;
  stop(): void;
  /** Starts an empty chat and returns the old messages, for undo. */
  clear(): Message[];
  restore(messages: Message[]): void;
}

interface Options {
  settings: Settings;
  model: string;
  hasGraph: boolean;
  onError(error: unknown): void;
  onStorageFull(): void;
}

/** The conversation: at most one answer is being written at a time. */
export function useChat({ settings, model, hasGraph, onError, onStorageFull }: Options): Chat {
  const [messages, setMessages] = useState<Message[]>(() => parseChat(load(kChatKey)));
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);

  const latest = useRef(messages);
  latest.current = messages;
  const saveNow = useCallback(() => {
    if (latest.current.length === 0) return forget(kChatKey);
    if (!save(kChatKey, latest.current)) onStorageFull();
  }, [onStorageFull]);
  useEffect(() => {
    if (!busy) saveNow();
  }, [messages, busy]);
  useEffect(() => {
    addEventListener('pagehide', saveNow);
    return () => removeEventListener('pagehide', saveNow);
  }, [saveNow]);

  const ask = async (history: Message[]) => {
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    const answer: Message = { role: 'assistant', content: '', state: 'streaming' };
    let frame = 0;
    // An answer that was abandoned for another (new chat, edit) must not write over it.
    const show = () => {
      if (running.current === control) setMessages([...history, { ...answer }]);
    };
    const showSoon = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        show();
      });
    };
    setBusy(true);
    show();

    const meter = new Meter();
    try {
      const request = requestFor(history, settings, model, hasGraph);
      for await (const event of streamChat(request, control.signal)) {
        if (event.kind === 'text') {
          answer.content += event.text;
          meter.piece();
          showSoon();
        } else if (event.kind === 'facts') {
          if (event.citations.length > 0) answer.citations = event.citations;
          if (event.grounding) answer.grounding = event.grounding;
        } else if (event.kind === 'finish') {
          answer.finish = event.reason;
        } else {
          meter.tokens = event.completionTokens;
        }
      }
      delete answer.state;
    } catch (error) {
      answer.state = control.signal.aborted ? 'stopped' : 'failed';
      if (!control.signal.aborted) onError(error);
    }
    cancelAnimationFrame(frame);
    answer.stats = meter.stats();
    if (running.current !== control) return;
    show();
    running.current = null;
    setBusy(false);
  };

  const replace = (next: Message[]) => {
    const control = running.current;
    running.current = null;
    control?.abort();
    setBusy(false);
    setMessages(next);
  };

  return {
    messages,
    busy,
    send: (text) => void ask([...latest.current, { role: 'user', content: text }]),
    resend: (index, text) =>
      void ask([...latest.current.slice(0, index), { role: 'user', content: text }]),
    regenerate: (index) => void ask(latest.current.slice(0, index)),
    stop: () => running.current?.abort(),
    clear: () => {
      const old = latest.current;
      replace([]);
      return old.map((m) => (m.state === 'streaming' ? { ...m, state: 'stopped' } : m));
    },
    restore: replace,
  };
}

/** Below this, pieces came in one burst and the time between them says nothing. */
const kShortestSpanMs = 200;

/**
 * Tokens per second between the first piece and the last, so that reading the prompt is not counted; for
 * an answer that came in one burst, since the request.
 */
class Meter {
  tokens = 0;
  private pieces = 0;
  private readonly asked = performance.now();
  private first = 0;
  private last = 0;

  piece(): void {
    this.last = performance.now();
    if (this.pieces === 0) this.first = this.last;
    this.pieces++;
  }

  stats(): Stats {
    const tokens = this.tokens || this.pieces;
    const span = this.last - this.first;
    const [counted, ms] =
      span >= kShortestSpanMs ? [tokens - 1, span] : [tokens, this.last - this.asked];
    return {
      tokens,
      exact: this.tokens > 0,
      tokensPerSecond: tokens > 1 && ms > 0 ? (counted * 1000) / ms : null,
    };
  }
}
