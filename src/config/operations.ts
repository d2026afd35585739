/** The settings of operation: who may call, what is recorded and for how long, who is told, and what mends by itself. */
import { duration, entry, path, type Setting, size, toggle, type Words, whole } from './entry.ts';
import { Secret } from './secret.ts';
import { fault, isShowable, type Parsed } from './values.ts';

const S = 1000;
const M = 60 * S;
const H = 60 * M;
const DAY = 24 * H;
const MIB = 2 ** 20;

/** Locks whose names begin with `prefix` are counted under `name`. */
export interface LockClass {
  readonly prefix: string;
  readonly name: string;
}

export type ArchiveSetting =
  /** In the state directory of this user, if it can be written. */
  | { readonly kind: 'auto' }
  | { readonly kind: 'off' }
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly url: Secret };

export const CLIENT_AUTH = ['none', 'request', 'require'] as const;
/** Whether a client shows a certificate of its own: never asked, may, must. */
export type ClientAuth = (typeof CLIENT_AUTH)[number];

const PREFIX = /^[A-Za-z0-9._:/@+-]{1,256}$/;
const CLASS = /^[a-z][a-z0-9_-]{0,31}$/;
/** Every class is a label of several metrics. */
const CLASSES_MAX = 32;
const OTHER = 'other';

function parseClasses(text: string): Parsed<readonly LockClass[]> {
  const faults: string[] = [];
  const classes: LockClass[] = [];
  for (const part of text.split(',').map((each) => each.trim())) {
    const at = part.lastIndexOf('=');
    const [prefix, name] = [part.slice(0, Math.max(at, 0)), part.slice(at + 1)];
    if (!PREFIX.test(prefix) || !CLASS.test(name)) {
      faults.push('must be PREFIX=CLASS, the class of at most 32 lower-case letters, digits and _ -');
    } else if (name === OTHER) faults.push(`must not name the class ${OTHER}: that is all the rest`);
    else if (classes.some((one) => one.prefix === prefix)) faults.push(`has the prefix ${prefix} twice`);
    else classes.push({ prefix, name });
  }
  if (new Set(classes.map(({ name }) => name)).size > CLASSES_MAX) {
    faults.push(`has more than ${CLASSES_MAX} classes`);
  }
  return faults.length > 0 ? { faults: [...new Set(faults)] } : { value: classes };
}

const ARCHIVE_FORM = 'auto, off, sqlite:/path or postgres://USER:PASSWORD@HOST/DATABASE';

function parseArchive(text: string): Parsed<ArchiveSetting> {
  if (text === 'auto' || text === 'off') return { value: { kind: text } };
  // SQLite takes a name that begins with a colon for no file at all.
  if (/^sqlite:[^:].*[^/]$|^sqlite:[^:/]$/.test(text) && isShowable(text))
    return { value: { kind: 'sqlite', path: text.slice('sqlite:'.length) } };
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) {
    return { value: { kind: 'postgres', url: new Secret(text) } };
  }
  return fault(`must be ${ARCHIVE_FORM}`);
}

function showArchive(value: ArchiveSetting): string {
  if (value.kind === 'sqlite') return `sqlite:${value.path}`;
  return value.kind === 'postgres' ? `postgres://${new URL(value.url.reveal()).host}/***` : value.kind;
}

function isRedisUrl(text: string): boolean {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { hostname, pathname, username, password } = new URL(text);
  // A percent sign that begins no escape would throw where the password is used.
  return hostname !== '' && /^\/?\d*$/.test(pathname) && !/%(?![0-9a-f]{2})/i.test(username + password);
}

function redisUrl(words: Words): Setting<Secret> {
  const allowed = 'redis://[USER:PASSWORD@]HOST:PORT/DATABASE or rediss://...';
  return {
    ...entry<Secret>(words, {
      placeholder: 'URL',
      allowed,
      parse: (text) => (isRedisUrl(text) ? { value: new Secret(text) } : fault(`must be ${allowed}`)),
      show: (value) => {
        const { protocol, host } = new URL(value.reveal());
        return `${protocol}//${host}/***`;
      },
    }),
    secret: true,
  };
}

export const operations = {
  access: path({
    name: 'HOLDFAST_ACCESS',
    meaning: 'the file of identities and rules; absent: callers are not authenticated',
  }),
  tlsCert: path({
    name: 'HOLDFAST_TLS_CERT',
    meaning:
      'the certificate chain (PEM) of the gRPC addresses; with HOLDFAST_TLS_KEY gRPC is served over TLS',
  }),
  tlsKey: path({ name: 'HOLDFAST_TLS_KEY', meaning: 'the key (PEM) of HOLDFAST_TLS_CERT' }),
  tlsClientCa: path({
    name: 'HOLDFAST_TLS_CLIENT_CA',
    meaning: 'whose certificates (PEM) clients may show (mTLS)',
  }),
  tlsClientAuth: entry<ClientAuth>(
    {
      name: 'HOLDFAST_TLS_CLIENT_AUTH',
      fallback: 'require',
      meaning: 'whether clients show a certificate, where HOLDFAST_TLS_CLIENT_CA is set',
    },
    {
      placeholder: 'none|request|require',
      allowed: `one of ${CLIENT_AUTH.join(', ')}`,
      parse: (text) => {
        const value = CLIENT_AUTH.find((one) => one === text);
        return value === undefined ? fault(`must be one of ${CLIENT_AUTH.join(', ')}`) : { value };
      },
      show: String,
    },
  ),
  classes: entry<readonly LockClass[]>(
    {
      name: 'HOLDFAST_CLASSES',
      meaning: `classes of locks for metrics, by the longest prefix that fits; all others are "${OTHER}"`,
    },
    {
      placeholder: 'PREFIX=CLASS,...',
      allowed: 'a comma list of PREFIX=CLASS',
      parse: parseClasses,
      show: (value) => value.map(({ prefix, name }) => `${prefix}=${name}`).join(','),
    },
  ),
  auditLog: path({
    name: 'HOLDFAST_AUDIT_LOG',
    meaning: 'the file that each change of a lock, and each refused caller, is written to; absent: none',
  }),
  archive: {
    ...entry<ArchiveSetting>(
      {
        name: 'HOLDFAST_ARCHIVE',
        fallback: 'auto',
        meaning: 'where history is kept; auto: SQLite in the state directory, if that can be written',
      },
      { placeholder: 'WHERE', allowed: ARCHIVE_FORM, parse: parseArchive, show: showArchive },
    ),
    secret: true,
  },
  archiveRetentionMs: duration(
    { name: 'HOLDFAST_ARCHIVE_RETENTION', fallback: '720h', meaning: 'how long the archive keeps an event' },
    H,
    3650 * DAY,
  ),
  archiveMaxBytes: size(
    {
      name: 'HOLDFAST_ARCHIVE_MAX_SIZE',
      fallback: '512MiB',
      meaning: 'the room that an archive in SQLite may take; beyond that the oldest events are deleted',
    },
    64 * MIB,
    1024 * 1024 * MIB,
  ),
  eventStream: redisUrl({
    name: 'HOLDFAST_EVENT_STREAM',
    meaning: 'a Redis server (no lock node) whose stream holdfast:events gets every event; absent: none',
  }),
  eventBuffer: whole(
    {
      name: 'HOLDFAST_EVENT_BUFFER',
      fallback: '16384',
      meaning:
        'events that wait for history, audit and alerts; beyond that the oldest are dropped and counted',
    },
    16,
    1_000_000,
  ),
  alerts: path({
    name: 'HOLDFAST_ALERTS',
    meaning: 'the file of alert thresholds and channels; absent: the default thresholds, and nobody is told',
  }),
  janitor: toggle({
    name: 'HOLDFAST_JANITOR',
    fallback: '1',
    meaning: 'look for what was left behind, and mend it; one replica at a time does',
  }),
  janitorEveryMs: duration(
    { name: 'HOLDFAST_JANITOR_EVERY', fallback: '15s', meaning: 'how often the janitor looks at all locks' },
    100,
    H,
  ),
} as const;
