/** Finds functions by their braces, without a parser: TypeScript 7 offers none to programs. */
import { blank, lineOf } from './scan.ts';

export interface Measured {
  readonly line: number;
  readonly lines: number;
  /** What is called with this function as an argument, '' when nothing is. */
  readonly callee: string;
}

const CLOSERS: Record<string, string> = { ')': '(', ']': '[', '}': '{' };
const OPENERS = '([{';
/** Their parentheses are followed by a block that is no function. */
const STATEMENTS = /\b(if|for|while|switch|catch|with|for\s+await)$/;

/** Index of the bracket that each bracket matches. */
function pairs(code: string): Map<number, number> {
  const matches = new Map<number, number>();
  const open: number[] = [];
  for (let at = 0; at < code.length; at += 1) {
    const character = code[at]!;
    if (OPENERS.includes(character)) open.push(at);
    const opener = CLOSERS[character];
    if (opener === undefined) continue;
    const start = open.pop();
    if (start === undefined || code[start] !== opener) throw new Error(`unbalanced ${character} at ${at}`);
    matches.set(start, at);
    matches.set(at, start);
  }
  return matches;
}

/** Where the body opens for parameters that end at `close`; undefined when this is a call or a statement. */
function bodyAfter(code: string, close: number, matches: ReadonlyMap<number, number>): number | undefined {
  let at = skip(code, close + 1);
  if (code[at] === '{') return at;
  if (code[at] === ':') {
    const end = endOfType(code, skip(code, at + 1), matches);
    if (end === undefined) return undefined;
    if (code[end] === '{') return end;
    at = end;
  }
  if (code.slice(at, at + 2) !== '=>') return undefined;
  const body = skip(code, at + 2);
  return code[body] === '{' ? body : undefined;
}

/** Behind a return type: at the `{` of the body or at `=>`. */
function endOfType(code: string, start: number, matches: ReadonlyMap<number, number>): number | undefined {
  let angle = 0;
  let operand = true;
  for (let at = start; at < code.length; at += 1) {
    const character = code[at]!;
    if (/\s/.test(character)) continue;
    const arrow = code.slice(at, at + 2) === '=>';
    if (arrow && angle === 0 && !operand) {
      // `(): () => void {`: an arrow behind a parenthesis of the type belongs to the type.
      if (code[prior(code, at)] !== ')' || matches.get(prior(code, at))! < start) return at;
    }
    if (arrow) {
      at += 1;
      operand = true;
      continue;
    }
    if (character === '{' && !operand && angle === 0) return at;
    if (OPENERS.includes(character)) {
      at = matches.get(at) ?? code.length;
      operand = false;
      continue;
    }
    if (';,)]}='.includes(character) && angle === 0) return undefined;
    if (character === '<') angle += 1;
    if (character === '>') angle -= 1;
    operand = '|&<,'.includes(character);
  }
  return undefined;
}

function skip(code: string, at: number): number {
  let next = at;
  while (next < code.length && /\s/.test(code[next]!)) next += 1;
  return next;
}

function prior(code: string, at: number): number {
  let before = at - 1;
  while (before >= 0 && /\s/.test(code[before]!)) before -= 1;
  return before;
}

/** The innermost bracket that is open at `at`. */
function enclosing(code: string, at: number, matches: ReadonlyMap<number, number>): number | undefined {
  for (let before = at - 1; before >= 0; before -= 1) {
    const character = code[before]!;
    if (CLOSERS[character] !== undefined) before = matches.get(before)!;
    else if (OPENERS.includes(character)) return before;
  }
  return undefined;
}

/** `describe`, `test.each`: what stands before the parenthesis at `open`, over one list of arguments of its own. */
function calleeOf(code: string, open: number, matches: ReadonlyMap<number, number>): string {
  const before = prior(code, open);
  const end = code[before] === ')' ? matches.get(before)! : open;
  return /[\w.]*$/.exec(code.slice(0, end).trimEnd())?.[0] ?? '';
}

export function functionsOf(source: string): Measured[] {
  const { code } = blank(source);
  const matches = pairs(code);
  const found: Measured[] = [];
  for (let close = code.indexOf(')'); close >= 0; close = code.indexOf(')', close + 1)) {
    const open = matches.get(close)!;
    if (STATEMENTS.test(code.slice(Math.max(0, open - 30), open).trimEnd())) continue;
    const body = bodyAfter(code, close, matches);
    if (body === undefined) continue;
    const around = enclosing(code, open, matches);
    const line = lineOf(code, open);
    found.push({
      line,
      lines: lineOf(code, matches.get(body)!) - line + 1,
      callee: around !== undefined && code[around] === '(' ? calleeOf(code, around, matches) : '',
    });
  }
  return found;
}
