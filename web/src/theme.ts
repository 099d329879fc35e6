import { useLayoutEffect } from 'preact/hooks';
import type { Settings } from './store';

/** Puts the chosen theme on the root element; "auto" follows the system, also while the page is open. */
export function useTheme(theme: Settings['theme']): void {
  useLayoutEffect(() => {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const apply = () => {
      const dark = theme === 'dark' || (theme === 'auto' && system.matches);
      document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
    };
    apply();
    system.addEventListener('change', apply);
    return () => system.removeEventListener('change', apply);
  }, [theme]);
}
