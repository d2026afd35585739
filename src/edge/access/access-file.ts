/** The access file: read as a whole, every problem told at once, and indexed by what callers show. */
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import type { Identity, Quota } from '../../domain/access.ts';
import { type AccessText, accessForm, type IdentityText, type IssuerText } from './access-schema.ts';

export interface TokenEntry {
  readonly identity: Identity;
  readonly digest: string;
  readonly expiresMs: number;
}

export interface Issuer {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly keys: { readonly url: string } | { readonly file: string };
  readonly algorithms: readonly string[];
  readonly identityClaim: string;
  readonly tenantClaim: string | undefined;
  /** What a subject may that no identity names. */
  readonly template: Identity | undefined;
}

/** Frozen as far as it is plain; nobody changes the maps. */
export interface AccessFile {
  readonly identities: ReadonlyMap<string, Identity>;
  /** By digest. */
  readonly tokens: ReadonlyMap<string, TokenEntry>;
  /** By name, as in the file; DNS names in lower case. */
  readonly certificates: ReadonlyMap<string, Identity>;
  /** By `subjectKey`. */
  readonly subjects: ReadonlyMap<string, Identity>;
  readonly issuers: ReadonlyMap<string, Issuer>;
}

export type ReadAccess =
  | { readonly ok: true; readonly file: AccessFile }
  /** `identities[0].name: must be ...` */
  | { readonly ok: false; readonly problems: readonly string[] };

export function subjectKey(issuer: string, subject: string): string {
  return `${issuer}\n${subject}`;
}

/** Nobody writes that many lines by hand, and a parser must not eat the memory of the service. */
const BYTES_MAX = 4 << 20;

export function readAccess(text: string): ReadAccess {
  if (text.length > BYTES_MAX) return { ok: false, problems: [`the file is larger than ${BYTES_MAX} bytes`] };
  const lines = new LineCounter();
  // Its own texts would show a piece of the file.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  const wrong = [...document.errors, ...document.warnings].map(({ code, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    return `line ${line}, column ${col}: is no YAML (${code})`;
  });
  if (wrong.length > 0) return { ok: false, problems: wrong };
  let content: unknown;
  try {
    content = document.toJS();
  } catch {
    return { ok: false, problems: ['the file cannot be read as YAML: its aliases do not work out'] };
  }
  const parsed = accessForm.safeParse(content);
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.flatMap(problemsOf) };
  const index = new Index(parsed.data);
  return index.problems.length > 0 ? { ok: false, problems: index.problems } : { ok: true, file: index.file };
}

function placeOf(path: readonly PropertyKey[]): string {
  const place = path.reduce<string>((said, part) => {
    if (typeof part === 'number') return `${said}[${part}]`;
    return said === '' ? String(part) : `${said}.${String(part)}`;
  }, '');
  return place === '' ? 'the file' : place;
}

/** A key that looks like none may be a secret in the wrong place. */
const KEY = /^[a-z][a-z0-9_]{0,31}$/;

function problemsOf(issue: z.core.$ZodIssue): string[] {
  const place = placeOf(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${place}: has an unknown key ${KEY.test(key) ? key : '(not shown)'}`);
  }
  // Ours begin with `must`; zod's own say what type was expected, and never show the value.
  return [`${place}: ${issue.message.startsWith('must') ? issue.message : 'must be a map of keys'}`];
}

function quotaOf({ leases, waiters, streams, rate, max_ttl, max_hold }: IdentityText['quota']): Quota {
  return Object.freeze({
    ...(leases === undefined ? {} : { leases }),
    ...(waiters === undefined ? {} : { waiters }),
    ...(streams === undefined ? {} : { streams }),
    ...(rate === undefined ? {} : { ratePerSecond: rate }),
    ...(max_ttl === undefined ? {} : { maxTtlMs: max_ttl }),
    ...(max_hold === undefined ? {} : { maxHoldMs: max_hold }),
  });
}

function identityOf({ name, tenant, allow, quota }: IdentityText): Identity {
  const rules = allow.map(({ prefixes, verbs }) =>
    Object.freeze({ prefixes: Object.freeze(prefixes), verbs: Object.freeze(verbs) }),
  );
  return Object.freeze({ name, tenant, rules: Object.freeze(rules), quota: quotaOf(quota) });
}

class Index {
  readonly problems: string[] = [];
  readonly file: AccessFile;
  readonly #identities = new Map<string, Identity>();
  readonly #tokens = new Map<string, TokenEntry>();
  readonly #certificates = new Map<string, Identity>();
  readonly #subjects = new Map<string, Identity>();
  readonly #issuers = new Map<string, Issuer>();

  constructor({ identities, jwt }: AccessText) {
    for (const [at, one] of identities.entries()) {
      this.#once(this.#identities, one.name, identityOf(one), `identities[${at}].name`);
    }
    for (const [at, one] of jwt.entries()) this.#issuer(one, `jwt[${at}]`);
    for (const [at, one] of identities.entries()) this.#shown(one, `identities[${at}]`);
    this.file = Object.freeze({
      identities: this.#identities,
      tokens: this.#tokens,
      certificates: this.#certificates,
      subjects: this.#subjects,
      issuers: this.#issuers,
    });
  }

  #once<Value>(map: Map<string, Value>, key: string, value: Value, place: string): void {
    if (map.has(key)) this.problems.push(`${place}: must not be there twice in the file`);
    else map.set(key, value);
  }

  #issuer(one: IssuerText, place: string): void {
    const { default_identity: name, jwks, jwks_file: file = '' } = one;
    const template = name === undefined ? undefined : this.#identities.get(name);
    if (name !== undefined && template === undefined) {
      this.problems.push(`${place}.default_identity: must name one of identities`);
    }
    // Two issuers may each have a subject of one name: these must not become one caller.
    if (template !== undefined && [...this.#issuers.values()].some((other) => other.template === template)) {
      this.problems.push(`${place}.default_identity: must not be that of another issuer, too`);
    }
    const issuer: Issuer = {
      issuer: one.issuer,
      audience: [one.audience].flat(),
      keys: jwks === undefined ? { file } : { url: jwks },
      algorithms: one.algorithms,
      identityClaim: one.identity_claim,
      tenantClaim: one.tenant_claim,
      template,
    };
    this.#once(this.#issuers, one.issuer, Object.freeze(issuer), `${place}.issuer`);
  }

  #shown({ name, tokens, certificates, jwt }: IdentityText, place: string): void {
    const identity = this.#identities.get(name)!;
    const names = new Map<string, true>();
    for (const [at, token] of tokens.entries()) {
      const digest = token.sha256.toLowerCase();
      const expiresMs = token.expires ?? Infinity;
      this.#once(names, token.name, true, `${place}.tokens[${at}].name`);
      const entry = Object.freeze({ identity, digest, expiresMs });
      this.#once(this.#tokens, digest, entry, `${place}.tokens[${at}].sha256`);
    }
    for (const [at, given] of certificates.entries()) {
      const key = given.startsWith('dns:') ? given.toLowerCase() : given;
      this.#once(this.#certificates, key, identity, `${place}.certificates[${at}]`);
    }
    for (const [at, { issuer, subject }] of jwt.entries()) {
      const found = this.#named(issuer, `${place}.jwt[${at}].issuer`);
      if (found !== undefined) {
        this.#once(this.#subjects, subjectKey(found, subject), identity, `${place}.jwt[${at}].subject`);
      }
    }
  }

  /** The issuer that is meant; where there is one alone it need not be said. */
  #named(issuer: string | undefined, place: string): string | undefined {
    const only = this.#issuers.size === 1 ? [...this.#issuers.keys()][0] : undefined;
    const meant = issuer ?? only;
    if (meant !== undefined && this.#issuers.has(meant)) return meant;
    this.problems.push(`${place}: must be the issuer of one of jwt`);
    return undefined;
  }
}
