import { parseCitations, type Citation } from './citations';
import { groundingModes, parseGrounding, type Grounding, type GroundingMode } from './grounding';
import { fieldsOf } from './json';

/**
 * What this browser keeps: one chat and the settings. Whatever lies in storage is outside input: it may be
 * old, cut or edited, so each field is checked and a bad one falls back to its default.
 */

export interface Stats {
  tokens: number;
  /** False if the server sent no usage and `tokens` counts the pieces that arrived. */
  exact: boolean;
  tokensPerSecond: number | null;
}

export interface Message {
  role: 'user' | 'assistant';
  content: string;
  state?: 'streaming' | 'stopped' | 'failed';
  finish?: string;
  stats?: Stats;
  citations?: Citation[];
  grounding?: Grounding;
}

export interface Settings {
  language: 'auto' | 'zh-CN' | 'en';
  theme: 'auto' | 'light' | 'dark';
  /** null: not sent, so the model's own default holds. */
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
  seed: number | null;
  systemPrompt: string;
  /** null: the server's default. */
  grounding: GroundingMode | null;
}

export const ranges = {
  temperature: { min: 0, max: 2, integer: false },
  topP: { min: 0.01, max: 1, integer: false },
  maxTokens: { min: 1, max: 1_000_000, integer: true },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
} as const;

export type NumberSetting = keyof typeof ranges;

export const defaultSettings: Settings = {
  language: 'auto',
  theme: 'auto',
  temperature: null,
  topP: null,
  maxTokens: null,
  seed: null,
  systemPrompt: '',
  grounding: null,
};

export const kChatKey = 'shenhong.chat';
export const kSettingsKey = 'shenhong.settings';

function oneOf<T, F = T>(value: unknown, allowed: readonly T[], fallback: F): T | F {
  return allowed.includes(value as T) ? (value as T) : fallback;
}

export function inRange(name: NumberSetting, value: unknown): value is number {
  const { min, max, integer } = ranges[name];
  return (
    typeof value === 'number' &&
    value >= min &&
    value <= max &&
    (!integer || Number.isInteger(value))
  );
}

function parseStats(value: unknown): Stats | undefined {
  const fields = fieldsOf(value);
  if (!fields || typeof fields['tokens'] !== 'number') return undefined;
  const rate = fields['tokensPerSecond'];
  return {
    tokens: fields['tokens'],
    exact: fields['exact'] === true,
    tokensPerSecond: typeof rate === 'number' ? rate : null,
  };
}

function parseMessage(value: unknown): Message | null {
  const fields = fieldsOf(value);
  if (!fields || typeof fields['content'] !== 'string') return null;
  const role = fields['role'];
  if (role !== 'user' && role !== 'assistant') return null;
  const message: Message = { role, content: fields['content'] };
  // A page closed in the middle of an answer leaves "streaming": that answer was stopped.
  if (fields['state'] === 'streaming' || fields['state'] === 'stopped') message.state = 'stopped';
  if (fields['state'] === 'failed') message.state = 'failed';
  if (typeof fields['finish'] === 'string') message.finish = fields['finish'];
  const stats = parseStats(fields['stats']);
  if (stats) message.stats = stats;
  const citations = parseCitations(fields['citations']);
  if (citations.length > 0) message.citations = citations;
  const grounding = parseGrounding(fields['grounding']);
  if (grounding) message.grounding = grounding;
  return message;
}

export function parseChat(text: string | null): Message[] {
  const value = parseJson(text);
  if (!Array.isArray(value)) return [];
  return value.map(parseMessage).filter((message) => message !== null);
}

export function parseSettings(text: string | null): Settings {
  const fields = fieldsOf(parseJson(text)) ?? {};
  const number = (name: NumberSetting) => {
    const value = fields[name];
    return inRange(name, value) ? value : null;
  };
  return {
    language: oneOf(fields['language'], ['auto', 'zh-CN', 'en'], 'auto'),
    theme: oneOf(fields['theme'], ['auto', 'light', 'dark'], 'auto'),
    temperature: number('temperature'),
    topP: number('topP'),
    maxTokens: number('maxTokens'),
    seed: number('seed'),
    systemPrompt: typeof fields['systemPrompt'] === 'string' ? fields['systemPrompt'] : '',
    grounding: oneOf(fields['grounding'], groundingModes, null),
  };
}

function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** Storage may be switched off (reading it throws) or full (writing throws). */
export function load(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function save(key: string, value: unknown): boolean {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function forget(key: string): void {
  try {
    localStorage.removeItem(key);
  } catch {
    // Nothing can be stored, so nothing is left behind.
  }
}
