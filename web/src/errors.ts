import { ApiError } from './api';
import { fill, type Strings } from './strings';

export interface Explanation {
  title: string;
  remedy: string;
  /** The server's own words, shown small below ours. */
  detail: string;
  offersNewChat: boolean;
}

/**
 * The two numbers of a context overflow: named fields if the server sends them, else from its message.
 * A message with other than two numbers is ambiguous, so it is left to speak for itself.
 */
export function contextNumbers(error: ApiError): { asked: number; limit: number } | null {
  const asked = Number(error.fields['n_prompt_tokens']);
  const limit = Number(error.fields['n_ctx']);
  if (asked > 0 && limit > 0) return { asked, limit };
  const numbers = (error.message.match(/\d[\d,]*/g) ?? []).map((n) =>
    Number(n.replaceAll(',', '')),
  );
  const [first, second] = numbers;
  if (numbers.length !== 2 || first === undefined || second === undefined) return null;
  return { asked: Math.max(first, second), limit: Math.min(first, second) };
}

export function explain(error: unknown, t: Strings): Explanation {
  const e = error instanceof ApiError ? error : new ApiError('', String(error));
  const say = (title: string, remedy: string, detail = e.message) => {
    return { title, remedy, detail, offersNewChat: false };
  };
  if (e.code === 'network') return say(t.errorNetwork, t.errorNetworkFix, '');
  if (e.code === 'stream_cut') return say(t.errorCut, t.errorCutFix, '');
  if (e.code === 'context_length_exceeded') {
    const numbers = contextNumbers(e);
    const remedy = numbers ? fill(t.errorContextNumbers, numbers) : t.errorContextFix;
    return { ...say(t.errorContext, remedy, numbers ? '' : e.message), offersNewChat: true };
  }
  if (e.status === 401 || e.status === 403) return say(t.errorKey, t.errorKeyFix);
  if (e.status === 413) return say(t.errorTooLarge, t.errorTooLargeFix);
  if (e.status === 429) {
    const wait =
      e.retryAfter === null ? t.errorBusyFix : fill(t.errorBusyWait, { n: e.retryAfter });
    return say(t.errorBusy, wait);
  }
  if (e.status === 503) return say(t.errorLoading, t.errorLoadingFix);
  if (e.status >= 400 && e.status < 500) return say(t.errorRequest, t.errorRequestFix);
  return say(t.errorServer, t.errorServerFix);
}
