/** The public keys of an issuer: from a file, or fetched, remembered, and fetched again no more often than is good. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../../std/clock.ts';

/** The keys could not be had; whoever asked may ask again. */
export class KeysAway extends Error {
  override name = 'KeysAway';
}

export interface Keys {
  readonly get: JWTVerifyGetKey;
}

export interface RemoteOptions {
  readonly url: string;
  readonly clock: Clock;
  /** Other keys than before have come. */
  onChange(): void;
  onTrouble(detail: string): void;
}

const FETCH_MS = 5000;
const BYTES_MAX = 256 * 1024;
const KEYS_MAX = 100;
/** A key that nobody knows is asked for no more often than this; so is an issuer that does not answer. */
const COOLDOWN_MS = 10_000;
/** While there are no keys at all. */
const FIRST_COOLDOWN_MS = 1000;
/** Keys that an issuer has withdrawn go no later than this, if it answers. */
export const REFRESH_MS = 300_000;
/** Of those who show a key that nobody knows: they shall not take the place of all who are verified. */
const WAITING_MAX = 128;

type Local = ReturnType<typeof createLocalJWKSet>;

export function parseKeys(text: string): JSONWebKeySet {
  const parsed = JSON.parse(text) as JSONWebKeySet;
  // Throws where it is no set of keys.
  createLocalJWKSet(parsed);
  if (parsed.keys.length > KEYS_MAX) throw new Error(`more than ${KEYS_MAX} keys`);
  return parsed;
}

export function fixedKeys(keys: JSONWebKeySet): Keys {
  return { get: createLocalJWKSet(keys) };
}

/** Never more than `BYTES_MAX`, whatever the other side sends. */
async function fetchText(url: string): Promise<string> {
  const answer = await fetch(url, {
    headers: { accept: 'application/json, application/jwk-set+json' },
    redirect: 'error',
    signal: AbortSignal.timeout(FETCH_MS),
  });
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel();
    throw new Error(`status ${answer.status}`);
  }
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer.body) {
    bytes += part.length;
    if (bytes > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** While the issuer is away, the keys that are known go on. */
export class RemoteKeys implements Keys {
  readonly #options: RemoteOptions;
  #local: Local | undefined;
  #known = '';
  #triedMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<boolean> | undefined;
  #waiting = 0;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  readonly get: JWTVerifyGetKey = async (header, token) => {
    if (this.#local === undefined) await this.#refresh(FIRST_COOLDOWN_MS);
    else if (this.#sinceMs() >= REFRESH_MS) void this.#refresh(COOLDOWN_MS);
    if (this.#local === undefined) throw new KeysAway('the keys of the issuer cannot be fetched');
    try {
      return await this.#local(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#renewed())) throw error;
      return this.#local(header, token);
    }
  };

  /** True if the keys are fresh now, for somebody who has shown one that is not among them. */
  async #renewed(): Promise<boolean> {
    if (this.#waiting >= WAITING_MAX) throw new KeysAway('too many wait for the keys of the issuer');
    this.#waiting += 1;
    try {
      return await this.#refresh(COOLDOWN_MS);
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Before the first caller needs them. */
  warm(): void {
    void this.#refresh(FIRST_COOLDOWN_MS);
  }

  #sinceMs(): number {
    return this.#options.clock.monotonicMs() - this.#triedMs;
  }

  /** True if the keys are fresh now. */
  #refresh(cooldownMs: number): Promise<boolean> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#sinceMs() < cooldownMs) return Promise.resolve(false);
    this.#triedMs = this.#options.clock.monotonicMs();
    this.#fetching = this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<boolean> {
    try {
      const text = await fetchText(this.#options.url);
      if (text !== this.#known) {
        this.#local = createLocalJWKSet(parseKeys(text));
        this.#known = text;
        this.#options.onChange();
      }
      return true;
    } catch (error) {
      const { message, cause } = error as Error;
      const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
      this.#options.onTrouble(why);
      return false;
    }
  }
}
