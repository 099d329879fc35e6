import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { checkHealth, fetchModel, type Health } from './api';

export interface Status {
  health: Health | 'connecting';
  model: string;
}

const kRetryMs = 2000;
const kWatchMs = 20000;
const kTimeoutMs = 8000;

/** Watches the server: often while it is away or loading, seldom once it is ready. */
export function useStatus(): [Status, () => void] {
  const [status, setStatus] = useState<Status>({ health: 'connecting', model: '' });
  const timer = useRef(0);

  const check = useCallback(async () => {
    clearTimeout(timer.current);
    let health = await checkHealth(AbortSignal.timeout(kTimeoutMs));
    let model: string | null = null;
    if (health !== 'unreachable') {
      try {
        model = await fetchModel(AbortSignal.timeout(kTimeoutMs));
      } catch {
        if (health === 'ready') health = 'unreachable';
      }
    }
    setStatus((old) => {
      const next = { health, model: model ?? old.model };
      return next.health === old.health && next.model === old.model ? old : next;
    });
    clearTimeout(timer.current);
    timer.current = window.setTimeout(check, health === 'ready' ? kWatchMs : kRetryMs);
  }, []);

  useEffect(() => {
    const wake = () => {
      if (document.visibilityState === 'visible') void check();
    };
    void check();
    addEventListener('online', wake);
    document.addEventListener('visibilitychange', wake);
    return () => {
      clearTimeout(timer.current);
      removeEventListener('online', wake);
      document.removeEventListener('visibilitychange', wake);
    };
  }, [check]);

  return [status, check];
}
