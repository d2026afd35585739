/** The access file in force, and how another one takes its place: read and checked first, then at once. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Probe } from '../../domain/probe.ts';
import type { FieldViolation } from '../../domain/refusals.ts';
import type { Clock } from '../../std/clock.ts';
import { type AccessFile, type Issuer, readAccess } from './access-file.ts';
import { type Answer, type Authenticator, type Doorkeeper, type Grant, openToAll } from './authenticator.ts';
import { Callers } from './callers.ts';
import type { ClientCertificate } from './certificates.ts';
import { fixedKeys, type Keys, parseKeys, RemoteKeys } from './jwks.ts';
import type { IssuerKeys } from './jwt.ts';

const SETTING = 'HOLDFAST_ACCESS';

/** Ready to take effect. */
export interface NextAccess {
  /** Must not fail; true if something is different now. */
  commit(): boolean;
}

export interface AccessOptions {
  readonly clock: Clock;
  readonly probe: Pick<Probe, 'notice'>;
}

export class AccessDoor implements Doorkeeper {
  readonly #options: AccessOptions;
  #era = 0;
  #current: Authenticator = openToAll;
  #text = '';
  /** By URL: what one file has fetched the next one need not. */
  #remote = new Map<string, RemoteKeys>();

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  identify(
    authorization: string | undefined,
    certificate: ClientCertificate | undefined,
  ): Answer | Promise<Answer> {
    const asked = this.#current;
    const answer = asked.identify(authorization, certificate);
    if (!(answer instanceof Promise)) return answer;
    // Whom the old file knew the new one may not.
    return answer.then((one) => (asked === this.#current ? one : this.identify(authorization, certificate)));
  }

  get isOpen(): boolean {
    return this.#current.isOpen;
  }

  get era(): number {
    return this.#era;
  }

  again(grant: Grant): Grant | undefined {
    return this.#current.again(grant);
  }

  /** `path` undefined: callers are not authenticated. */
  prepare(path: string | undefined): NextAccess | { readonly problems: readonly FieldViolation[] } {
    if (path === undefined) return { commit: () => this.#replace('', openToAll, new Map()) };
    const texts: string[] = [];
    const problems: string[] = [];
    const read = (name: string): string | undefined => {
      try {
        const text = readFileSync(name, 'utf8');
        texts.push(text);
        return text;
      } catch (error) {
        problems.push(`"${name}" cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
        return undefined;
      }
    };
    const text = read(path);
    const parsed = text === undefined ? undefined : readAccess(text);
    if (parsed?.ok === false) problems.push(...parsed.problems);
    if (!parsed?.ok) return refused(problems);
    const remote = new Map<string, RemoteKeys>();
    const issuers = this.#issuers(
      parsed.file,
      remote,
      (name) => read(resolve(dirname(path), name)),
      problems,
    );
    if (problems.length > 0) return refused(problems);
    const callers = new Callers(parsed.file, issuers, this.#options.clock);
    return { commit: () => this.#replace(texts.join('\0'), callers, remote) };
  }

  #issuers(
    file: AccessFile,
    remote: Map<string, RemoteKeys>,
    read: (name: string) => string | undefined,
    problems: string[],
  ): ReadonlyMap<string, IssuerKeys> {
    const issuers = new Map<string, IssuerKeys>();
    for (const [at, issuer] of [...file.issuers.values()].entries()) {
      const keys = 'url' in issuer.keys ? this.#remoteOf(issuer.keys.url, remote) : fileKeys(issuer, read);
      if (keys === undefined) problems.push(`jwt[${at}].jwks_file: must hold a JSON Web Key Set`);
      else issuers.set(issuer.issuer, { issuer, keys });
    }
    return issuers;
  }

  #remoteOf(url: string, remote: Map<string, RemoteKeys>): RemoteKeys {
    const { clock, probe } = this.#options;
    const keys =
      remote.get(url) ??
      this.#remote.get(url) ??
      new RemoteKeys({
        url,
        clock,
        onChange: () => {
          if (this.#current instanceof Callers) this.#current.forget();
        },
        onTrouble: (why) => probe.notice('warn', 'the keys of an issuer cannot be fetched', { url, why }),
      });
    remote.set(url, keys);
    return keys;
  }

  #replace(text: string, next: Authenticator, remote: Map<string, RemoteKeys>): boolean {
    const isOther = text !== this.#text;
    this.#text = text;
    this.#current = next;
    this.#era += 1;
    for (const [url, keys] of remote) if (!this.#remote.has(url)) keys.warm();
    this.#remote = remote;
    return isOther;
  }
}

function fileKeys(issuer: Issuer, read: (name: string) => string | undefined): Keys | undefined {
  const text = 'file' in issuer.keys ? read(issuer.keys.file) : undefined;
  if (text === undefined) return undefined;
  try {
    return fixedKeys(parseKeys(text));
  } catch {
    return undefined;
  }
}

function refused(problems: readonly string[]): { readonly problems: readonly FieldViolation[] } {
  return { problems: problems.map((description) => ({ field: SETTING, description })) };
}
