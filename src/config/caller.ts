/** What a client command shows of itself to the service: a bearer token, a certificate, and whose certificates it trusts. */

import { readFileSync } from 'node:fs';
import { Secret } from './secret.ts';
import type { Environment } from './sources.ts';

/** Flags by their names. A token is never one: other users can read the arguments of a process. */
export interface CallerFlags {
  readonly 'auth-token-file'?: string | undefined;
  readonly 'tls-ca'?: string | undefined;
  readonly 'tls-cert'?: string | undefined;
  readonly 'tls-key'?: string | undefined;
}

export interface CallerTls {
  /** PEM; undefined: the system's own. */
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

export interface CallerSettings {
  readonly token: Secret | undefined;
  /** Undefined: plain. */
  readonly tls: CallerTls | undefined;
}

export type LoadedCaller =
  | { readonly ok: true; readonly caller: CallerSettings }
  | { readonly ok: false; readonly problems: readonly string[] };

const SYSTEM = 'system';

/** Flags before the environment. */
export function loadCaller(
  flags: CallerFlags,
  env: Environment = process.env,
  readFile: (path: string) => Buffer = (path) => readFileSync(path),
): LoadedCaller {
  const problems: string[] = [];
  const read = (label: string, path: string): Buffer | undefined => {
    try {
      return readFile(path);
    } catch (error) {
      const { code } = error as { code?: string };
      problems.push(
        `${label} ${JSON.stringify(path)} cannot be read${code === undefined ? '' : ` (${code})`}`,
      );
      return undefined;
    }
  };
  const named = (flag: keyof CallerFlags, name: string): { label: string; path: string } | undefined => {
    const asked = flags[flag];
    const path = asked ?? env[name] ?? '';
    return path === '' ? undefined : { label: asked === undefined ? name : `--${flag}`, path };
  };
  const file = (flag: keyof CallerFlags, name: string): Buffer | undefined => {
    const found = named(flag, name);
    return found === undefined ? undefined : read(found.label, found.path);
  };

  const direct = env.HOLDFAST_AUTH_TOKEN ?? '';
  const fromFile = named('auth-token-file', 'HOLDFAST_AUTH_TOKEN_FILE');
  if (direct !== '' && fromFile?.label === 'HOLDFAST_AUTH_TOKEN_FILE') {
    problems.push('HOLDFAST_AUTH_TOKEN and HOLDFAST_AUTH_TOKEN_FILE: only one of them may be set');
  }
  const label = fromFile?.label ?? 'HOLDFAST_AUTH_TOKEN';
  const text =
    fromFile === undefined ? direct : (read(fromFile.label, fromFile.path)?.toString().trim() ?? '');
  if (text !== '' && !/^[\x21-\x7e]+$/.test(text))
    problems.push(`${label} must be printable ASCII without spaces`);

  const ca = named('tls-ca', 'HOLDFAST_CLIENT_CA');
  const trusted = ca === undefined || ca.path === SYSTEM ? undefined : read(ca.label, ca.path);
  const cert = file('tls-cert', 'HOLDFAST_CLIENT_CERT');
  const key = file('tls-key', 'HOLDFAST_CLIENT_KEY');
  if ((cert === undefined) !== (key === undefined) && problems.length === 0) {
    problems.push(
      'a certificate needs its key: HOLDFAST_CLIENT_CERT and HOLDFAST_CLIENT_KEY (--tls-cert, --tls-key)',
    );
  }
  if (problems.length > 0) return { ok: false, problems };
  const tls = ca === undefined && cert === undefined ? undefined : { ca: trusted, cert, key };
  return { ok: true, caller: { token: text === '' ? undefined : new Secret(text), tls } };
}
