/** Reads the Lua sources and puts together the scripts that nodes run. */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface Script {
  readonly name: string;
  readonly source: string;
  /** What EVALSHA calls it by. */
  readonly sha: string;
}

function compose(name: string, parts: readonly string[]): Script {
  const source = parts
    .map((part) => readFileSync(new URL(`./lua/${part}.lua`, import.meta.url), 'utf8'))
    .join('\n');
  return { name, source, sha: hash('sha1', source, 'hex') };
}

export const scripts = {
  votes: compose('votes', ['record', 'votes', 'answer']),
  admin: compose('admin', ['record', 'admin']),
} as const;
