/** Reads the Lua sources and puts together the scripts that nodes run. */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface Script {
  readonly name: string;
  readonly source: string;
  /** What EVALSHA calls it by. */
  readonly sha: string;
}

/** What stands between these is one function: Lua makes the functions in it only for a batch that calls it. */
const RULES = Symbol('local function rules()');
const END = Symbol('end');

type Part = string | typeof RULES | typeof END;

function compose(name: string, parts: readonly Part[]): Script {
  const source = parts
    .map((part) =>
      typeof part === 'symbol'
        ? part.description
        : readFileSync(new URL(`./lua/${part}.lua`, import.meta.url), 'utf8'),
    )
    .join('\n');
  return { name, source, sha: hash('sha1', source, 'hex') };
}

export const scripts = {
  votes: compose('votes', [
    'layout',
    'gate',
    RULES,
    'record',
    'readers',
    'line',
    'votes',
    'renew',
    'ends',
    'views',
    END,
    'answer',
  ]),
  admin: compose('admin', ['layout', 'record', 'admin']),
} as const;
