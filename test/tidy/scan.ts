/** Reads TypeScript well enough for the rules: what is code, what is text, what it imports, where functions end. */

/** Characters after which a slash begins a regular expression, and words that have the same effect. */
const BEFORE_REGEX = '(,=:[!&|?{};+-*%<>~^';
const WORD_BEFORE_REGEX = /\b(return|typeof|case|in|of|void|delete|throw|new|do|else|yield|await)$/;

interface Blanked {
  /** Comments, and the insides of strings, templates and regular expressions, are spaces. */
  readonly code: string;
  /** Only comments are spaces. */
  readonly withText: string;
}

/** Same length and same lines as `source`. */
export function blank(source: string): Blanked {
  const code = [...source.split('')];
  const withText = [...code];
  const wipe = (list: string[], from: number, to: number): void => {
    for (let at = from; at < to; at += 1) if (list[at] !== '\n') list[at] = ' ';
  };
  /** Depths of braces inside `${}`, innermost last. */
  const templates: number[] = [];
  let at = 0;
  while (at < source.length) {
    const two = source.slice(at, at + 2);
    if (two === '//' || two === '/*') {
      const end = two === '//' ? source.indexOf('\n', at) : source.indexOf('*/', at + 2) + 2;
      const stop = end < at ? source.length : end;
      wipe(code, at, stop);
      wipe(withText, at, stop);
      at = stop;
      continue;
    }
    const character = source[at]!;
    const inner = templates.length - 1;
    if (character === "'" || character === '"') {
      const stop = endOfString(source, at, character);
      wipe(code, at + 1, stop - 1);
      at = stop;
    } else if (character === '`' || (character === '}' && templates[inner] === 0)) {
      if (character === '}') templates.pop();
      const stop = endOfTemplate(source, at + 1);
      const opens = source[stop - 1] === '{';
      wipe(code, at + 1, opens ? stop - 2 : stop - 1);
      if (opens) templates.push(0);
      at = stop;
    } else if (character === '/' && beginsRegex(code, at)) {
      const stop = endOfRegex(source, at);
      wipe(code, at + 1, stop - 1);
      at = stop;
    } else {
      if (inner >= 0 && character === '{') templates[inner]! += 1;
      if (inner >= 0 && character === '}') templates[inner]! -= 1;
      at += 1;
    }
  }
  return { code: code.join(''), withText: withText.join('') };
}

function endOfString(source: string, start: number, quote: string): number {
  let at = start + 1;
  while (at < source.length && source[at] !== quote && source[at] !== '\n') at += source[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Behind the closing backtick, or behind the `${` that comes first. */
function endOfTemplate(source: string, start: number): number {
  let at = start;
  while (at < source.length) {
    if (source[at] === '`') return at + 1;
    if (source[at] === '$' && source[at + 1] === '{') return at + 2;
    at += source[at] === '\\' ? 2 : 1;
  }
  return at;
}

function beginsRegex(code: readonly string[], at: number): boolean {
  const before = code
    .slice(Math.max(0, at - 40), at)
    .join('')
    .trimEnd();
  return before === '' || BEFORE_REGEX.includes(before.at(-1)!) || WORD_BEFORE_REGEX.test(before);
}

function endOfRegex(source: string, start: number): number {
  let at = start + 1;
  let inClass = false;
  while (at < source.length && source[at] !== '\n') {
    if (source[at] === '/' && !inClass) return at + 1;
    if (source[at] === '[') inClass = true;
    if (source[at] === ']') inClass = false;
    at += source[at] === '\\' ? 2 : 1;
  }
  return at;
}

export function lineOf(source: string, at: number): number {
  return source.slice(0, at).split('\n').length;
}

export interface Import {
  readonly from: string;
  /** Erased when types are stripped. */
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
  readonly line: number;
}

const STATIC =
  /\b(?:import|export)\s+(type\s+)?((?:[\w*$]+\s*,?\s*)?(?:\{[^}]*\}|\*(?:\s+as\s+\w+)?)?)\s*from\s*(['"])([^'"]+)\3/g;
const BARE = /\bimport\s*(['"])([^'"]+)\1/g;
const DYNAMIC = /(\btypeof\s+)?\bimport\(\s*(['"])([^'"]+)\2\s*\)/g;

export function importsOf(source: string): Import[] {
  const { code, withText } = blank(source);
  const found: Import[] = [];
  // Text that looks like an import is no import: its first word must stand in the code.
  const isCode = (at: number): boolean => code[at] !== ' ' && code[at] !== '\n';
  for (const match of withText.matchAll(STATIC)) {
    if (!isCode(match.index)) continue;
    const inner = /^\{([^}]*)\}$/.exec(match[2]!.trim())?.[1];
    const names = inner
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    const allTypes =
      names !== undefined && names.length > 0 && names.every((name) => name.startsWith('type '));
    const typeOnly = match[1] !== undefined || allTypes;
    found.push({ from: match[4]!, typeOnly, dynamic: false, line: lineOf(source, match.index) });
  }
  for (const match of withText.matchAll(BARE)) {
    if (!isCode(match.index)) continue;
    found.push({ from: match[2]!, typeOnly: false, dynamic: false, line: lineOf(source, match.index) });
  }
  for (const match of withText.matchAll(DYNAMIC)) {
    if (!isCode(match.index)) continue;
    found.push({
      from: match[3]!,
      typeOnly: match[1] !== undefined,
      dynamic: true,
      line: lineOf(source, match.index),
    });
  }
  return found;
}
