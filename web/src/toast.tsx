import { useCallback, useRef, useState } from 'preact/hooks';
import { useStrings } from './context';
import { Icon } from './icons';

export interface Toast {
  kind: 'info' | 'error';
  title: string;
  remedy?: string;
  detail?: string;
  action?: { label: string; run(): void };
}

interface Shown extends Toast {
  id: number;
}

const kInfoMs = 8000;
const kMost = 3;

/** Notes that pass by themselves; errors stay until they are closed or the next question is sent. */
export function useToasts() {
  const [toasts, setToasts] = useState<Shown[]>([]);
  const lastId = useRef(0);
  const close = useCallback((id: number) => setToasts((all) => all.filter((t) => t.id !== id)), []);
  const add = useCallback((toast: Toast) => {
    const id = ++lastId.current;
    setToasts((all) =>
      [...all.filter((t) => t.title !== toast.title), { ...toast, id }].slice(-kMost),
    );
    if (toast.kind === 'info') setTimeout(() => close(id), kInfoMs);
  }, []);
  const closeAll = useCallback(() => setToasts([]), []);
  return { toasts, add, close, closeAll };
}

export function Toasts({ toasts, close }: { toasts: Shown[]; close(id: number): void }) {
  const t = useStrings();
  return (
    <div class="toasts" aria-live="polite">
      {toasts.map((toast) => (
        <div
          key={toast.id}
          class={`toast toast-${toast.kind}`}
          role={toast.kind === 'error' ? 'alert' : 'status'}
        >
          <div class="toast-text">
            <strong>{toast.title}</strong>
            {toast.remedy && <span>{toast.remedy}</span>}
            {toast.detail && <small>{toast.detail}</small>}
          </div>
          {toast.action && (
            <button
              type="button"
              class="text-button"
              onClick={() => {
                toast.action?.run();
                close(toast.id);
              }}
            >
              {toast.action.label}
            </button>
          )}
          <button
            type="button"
            class="icon-button"
            aria-label={t.close}
            onClick={() => close(toast.id)}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
