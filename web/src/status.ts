import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { checkHealth, fetchModel, type Health } from './api';
import type { GraphInfo } from './grounding';

export interface Status {
  health: Health | 'connecting';
  model: string;
  /** The knowledge graph that answers may look things up in, if the server has one. */
  graph: GraphInfo | null;
}

const kRetryMs = 2000;
const kWatchMs = 20000;
const kTimeoutMs = 8000;

/** Watches the server: often while it is away or loading, seldom once it is ready. */
export function useStatus(): [Status, () => void] {
  const [status, setStatus] = useState<Status>({
    health: 'connecting',
    model: '',
    graph: null,
  });
  const timer = useRef(0);

  const check = useCallback(async () => {
    clearTimeout(timer.current);
    const { graph, ...state } = await checkHealth(AbortSignal.timeout(kTimeoutMs));
    let health = state.health;
    let model: string | null = null;
    if (health !== 'unreachable') {
      try {
        model = await fetchModel(AbortSignal.timeout(kTimeoutMs));
      } catch {
        if (health === 'ready') health = 'unreachable';
      }
    }
    setStatus((old) => {
      // A server that is away or loading still has the graph that it had.
      const next = {
        health,
        model: model ?? old.model,
        graph: health === 'ready' ? graph : old.graph,
      };
      return JSON.stringify(next) === JSON.stringify(old) ? old : next;
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
