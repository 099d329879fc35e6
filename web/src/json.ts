/** Readers of values that came from outside: a server's answer, or storage. */

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function fieldsOf(value: unknown): Json | null {
  return isObject(value) ? value : null;
}

export function textOf(fields: Json, key: string): string {
  const value = fields[key];
  return typeof value === 'string' ? value : '';
}
