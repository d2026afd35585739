/** Replicas and clients with one rule switched off: what that rule prevents must happen in an ordinary run. */
import fs, { type PathOrFileDescriptor } from 'node:fs';
import { registerHooks, syncBuiltinESMExports } from 'node:module';
import type { Environment } from '../harness/replica.ts';

interface Change {
  readonly file: string;
  readonly rule: string;
  readonly instead: string;
}

/** Where each rule stands in the sources, once. */
const changes: Readonly<Record<string, Change>> = {
  /** A node that may have forgotten votes at once. */
  quarantine: {
    file: 'src/quorum/admission.ts',
    rule: 'if (quarantineOff === true) return',
    instead: 'if (quarantineOff !== true) return',
  },
  /** A holder counts its lease from when it reads of it, not from before it asked. */
  count: {
    file: 'clients/typescript/src/session/keep.ts',
    rule: 'this.count.anchor(sentMs, ',
    instead: 'this.count.anchor(Math.max(sentMs, this.#keeper.nowMs()), ',
  },
};

const NAME = 'TORTURE_OFF';

/** For the environment of replicas and clients: each loads this very file before all others. */
export function ruleOff(name: string): Environment {
  if (changes[name] === undefined)
    throw new Error(`no such rule: ${name}; ${Object.keys(changes).join(', ')}`);
  return { [NAME]: name, NODE_OPTIONS: `--import=${import.meta.url}` };
}

const off = process.env[NAME];
if (off !== undefined) takeOut(off);

function takeOut(name: string): void {
  const change = changes[name];
  if (change === undefined) throw new Error(`no such rule: ${name}`);
  const { file, rule, instead } = change;
  let changed = false;
  const without = (path: string, source: string): string => {
    if (!path.endsWith(`/${file}`)) return source;
    if (source.split(rule).length !== 2) throw new Error(`${file} has not once: ${rule}`);
    changed = true;
    return source.replace(rule, () => instead);
  };
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      return loaded.format?.includes('module') && loaded.source !== undefined
        ? { ...loaded, source: without(url, String(loaded.source)) }
        : loaded;
    },
  });
  // The nodes' scripts are no modules: the service reads them.
  const read = fs.readFileSync;
  fs.readFileSync = ((path: PathOrFileDescriptor, ...rest: [BufferEncoding]) => {
    const text: unknown = read(path, ...rest);
    return typeof text === 'string' ? without(String(path), text) : text;
  }) as typeof fs.readFileSync;
  syncBuiltinESMExports();
  process.once('exit', () => {
    if (!changed) process.stderr.write(`nothing was changed: ${name}\n`);
  });
}
