/** Line icons on a 24 × 24 grid. */
const kPaths = {
  send: 'M12 19V5M5.5 11.5 12 5l6.5 6.5',
  stop: 'M7.5 7.5h9v9h-9z',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  check: 'M5 12.5 10 17.5 19 7',
  edit: 'M5 19l.8-3.8L16.5 4.5l3 3L8.8 18.2zM14 7l3 3',
  regenerate: 'M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4',
  add: 'M12 5v14M5 12h14',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5',
  close: 'M6 6l12 12M18 6 6 18',
  down: 'M12 5v14M5.5 12.5 12 19l6.5-6.5',
};

export function Icon({ name }: { name: keyof typeof kPaths }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={kPaths[name]} />
    </svg>
  );
}

/** The mark: a seal cut in relief, read from top to bottom. */
export function Seal({ full = false }: { full?: boolean }) {
  return (
    <span class={full ? 'seal seal-full' : 'seal'} aria-hidden="true" lang="zh-CN">
      {full ? '深红' : '深'}
    </span>
  );
}
