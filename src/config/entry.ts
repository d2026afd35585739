/** How one setting is written down: its name, default, range and meaning, and how its text becomes a value. */
import {
  bit,
  durationIn,
  fault,
  formatDuration,
  formatSize,
  isShowable,
  type Parsed,
  sizeIn,
  wholeIn,
} from './values.ts';

export interface Setting<T> {
  /** The environment name. */
  readonly name: string;
  /** What the value is called in usage texts. */
  readonly placeholder: string;
  /** As one would write it; undefined: there is none. */
  readonly fallback: string | undefined;
  /** Follows `must be`. */
  readonly allowed: string;
  readonly meaning: string;
  /** May hold a password: has a _FILE form, and its text is never shown. */
  readonly secret: boolean;
  parse(text: string): Parsed<T>;
  show(value: T): string;
}

export type Words = Pick<Setting<unknown>, 'name' | 'meaning'> & { readonly fallback?: string };

export function entry<T>(words: Words, rest: Omit<Setting<T>, keyof Words | 'secret'>): Setting<T> {
  return { secret: false, ...words, fallback: words.fallback, ...rest };
}

export function duration(words: Words, minMs: number, maxMs: number): Setting<number> {
  const allowed = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 250ms, 30s or 15m`;
  const parse = (text: string) => durationIn(text, minMs, maxMs, allowed);
  return entry(words, { placeholder: 'DURATION', allowed, parse, show: formatDuration });
}

export function whole(words: Words, min: number, max: number): Setting<number> {
  const allowed = `a whole number from ${min} to ${max}`;
  const parse = (text: string) => wholeIn(text, min, max, allowed);
  return entry(words, { placeholder: 'N', allowed, parse, show: String });
}

export function size(words: Words, minBytes: number, maxBytes: number): Setting<number> {
  const allowed = `a size from ${formatSize(minBytes)} to ${formatSize(maxBytes)}, such as 512MiB or 2GiB`;
  const parse = (text: string) => sizeIn(text, minBytes, maxBytes, allowed);
  return entry(words, { placeholder: 'SIZE', allowed, parse, show: formatSize });
}

export function toggle(words: Words): Setting<boolean> {
  const allowed = '0 or 1';
  const show = (value: boolean) => (value ? '1' : '0');
  return entry(
    { fallback: '0', ...words },
    { placeholder: '0|1', allowed, parse: (text) => bit(text, allowed), show },
  );
}

/** Where something is on this machine. */
export function path(words: Words): Setting<string> {
  const allowed = 'the path of a file';
  return entry(words, {
    placeholder: 'FILE',
    allowed,
    parse: (text) =>
      text.includes('\0') || text.endsWith('/') || !isShowable(text)
        ? fault(`must be ${allowed}`)
        : { value: text },
    show: String,
  });
}
