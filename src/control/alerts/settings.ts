/** What alerts run by: what the file says, with defaults for the rest, and secrets read from files of their own. */
import { isIP } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { Secret } from '../../config/secret.ts';
import { hostFault } from '../../config/values.ts';
import { KINDS, type Kind } from './alert.ts';
import { defaultThresholds, type Limits, type Thresholds } from './observation.ts';
import type { ChannelText, FileText } from './schema.ts';
import type { SmtpServer } from './smtp.ts';

export type Receiver =
  | { readonly kind: 'webhook'; readonly url: Secret; readonly secret: Secret }
  | { readonly kind: 'slack'; readonly url: Secret }
  | { readonly kind: 'dingtalk'; readonly url: Secret; readonly secret: Secret | undefined }
  | { readonly kind: 'smtp'; readonly server: SmtpServer };

export interface ChannelConfig {
  readonly name: string;
  readonly receiver: Receiver;
  readonly events: readonly Kind[];
  /** Whether the end of what was told is told. */
  readonly resolved: boolean;
  readonly timeoutMs: number;
  readonly giveUpMs: number;
}

export interface AlertsConfig {
  readonly thresholds: Thresholds;
  /** Refused callers in a minute. */
  readonly authFailures: number;
  readonly repeatMs: number;
  readonly groupWaitMs: number;
  readonly groupIntervalMs: number;
  /** Absent: the machine's name. */
  readonly source: string | undefined;
  readonly runbooks: string;
  readonly channels: readonly ChannelConfig[];
}

const S = 1000;
const H = 3_600_000;

export const defaultAlerts: AlertsConfig = {
  thresholds: defaultThresholds,
  authFailures: 30,
  repeatMs: 4 * H,
  groupWaitMs: 250,
  groupIntervalMs: 10 * S,
  source: undefined,
  runbooks: 'docs/runbooks',
  channels: [],
};

/** What reading the channels needs, and where it says what is wrong. */
export interface Ground {
  /** Of a file that the rules name. */
  read(path: string): string;
  fault(where: readonly PropertyKey[], why: string): void;
  warn(where: readonly PropertyKey[], why: string): void;
}

type Where = readonly PropertyKey[];

/** What may stand in the file, or in one of its own. */
function secretOf(
  inline: string | undefined,
  path: string | undefined,
  where: Where,
  name: string,
  ground: Ground,
): string | undefined {
  if (inline !== undefined && path !== undefined) {
    ground.fault([...where, name], `must not be there beside ${name}_file`);
  }
  if (path === undefined) return inline;
  try {
    const text = ground.read(path);
    if (text !== '') return text;
    ground.fault([...where, `${name}_file`], 'names an empty file');
  } catch (error) {
    const { code } = error as { code?: unknown };
    ground.fault(
      [...where, `${name}_file`],
      `cannot be read: ${typeof code === 'string' ? code : 'it failed'}`,
    );
  }
  return undefined;
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[?::1\]?)$/;

function urlOf(
  channel: { url?: string | undefined; url_file?: string | undefined },
  where: Where,
  ground: Ground,
): Secret {
  const none = new Secret('');
  const text = secretOf(channel.url, channel.url_file, where, 'url', ground);
  const at = [...where, channel.url_file === undefined ? 'url' : 'url_file'];
  if (text === undefined) {
    if (channel.url_file === undefined) ground.fault(at, 'must be there, or url_file');
    return none;
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    ground.fault(at, 'must be https://... or http://...');
  else if (url.username !== '' || url.password !== '')
    ground.fault(at, 'must have no user or password in it');
  else if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
    ground.warn(at, 'is not https: names of locks and owners can be read on the way');
  }
  return new Secret(text);
}

/** As the Standard Webhooks ask: 24 to 64 bytes, so that nobody guesses them. */
function signingSecret(text: string | undefined, where: Where, ground: Ground): Secret {
  const bytes = Buffer.from(text?.replace(/^whsec_/, '') ?? '', 'base64').length;
  try {
    if (text === undefined) throw new Error('none');
    new Webhook(text);
    if (bytes >= 24 && bytes <= 64) return new Secret(text);
  } catch {
    // Told below.
  }
  ground.fault(
    [...where, 'secret'],
    'must be whsec_ and 24 to 64 bytes in base64, or stand so in secret_file',
  );
  return new Secret('');
}

const PORTS = { starttls: 587, implicit: 465, none: 25 } as const;

function smtpOf(channel: Extract<ChannelText, { kind: 'smtp' }>, where: Where, ground: Ground): SmtpServer {
  const { host, tls = 'starttls', user, from, to } = channel;
  const why = hostFault(host);
  if (why !== undefined) ground.fault([...where, 'host'], why);
  const password = secretOf(channel.password, channel.password_file, where, 'password', ground);
  const named = channel.password !== undefined || channel.password_file !== undefined;
  if (user !== undefined && !named) ground.fault([...where, 'user'], 'needs a password, or password_file');
  if (user === undefined && named) ground.fault([...where, 'password'], 'needs a user');
  if (tls === 'none' && !LOOPBACK.test(host)) {
    if (user === undefined) ground.warn([...where, 'tls'], 'is none: mails can be read on the way');
    else
      ground.fault(
        [...where, 'tls'],
        'must not be none with a user, whose password could be read on the way',
      );
  }
  if (isIP(host) !== 0 && tls !== 'none' && channel.ca_file === undefined) {
    ground.warn([...where, 'host'], 'is an address: its certificate must be for that address');
  }
  for (const [at, one] of [from, ...to].entries()) {
    if (!/^[^@]+@[^@]+$/.test(one))
      ground.fault(at === 0 ? [...where, 'from'] : [...where, 'to', at - 1], 'must be an address');
  }
  const ca = secretOf(undefined, channel.ca_file, where, 'ca', ground);
  const login = user === undefined ? undefined : { user, password: new Secret(password ?? '') };
  return { host, port: channel.port ?? PORTS[tls], tls, login, ca, from, to };
}

function receiverOf(channel: ChannelText, where: Where, ground: Ground): Receiver {
  if (channel.kind === 'smtp') return { kind: 'smtp', server: smtpOf(channel, where, ground) };
  const url = urlOf(channel, where, ground);
  if (channel.kind === 'slack') return { kind: 'slack', url };
  const secret = secretOf(channel.secret, channel.secret_file, where, 'secret', ground);
  if (channel.kind === 'webhook')
    return { kind: 'webhook', url, secret: signingSecret(secret, where, ground) };
  return { kind: 'dingtalk', url, secret: secret === undefined ? undefined : new Secret(secret) };
}

export function channelsOf({ channels = [] }: FileText, ground: Ground): ChannelConfig[] {
  return channels.map((channel, at) => {
    const where = ['channels', at];
    const { name, events = KINDS, resolved = true, timeout = 5 * S, give_up: giveUp = H } = channel;
    if (channels.findIndex((other) => other.name === name) < at) {
      ground.fault([...where, 'name'], 'is the name of another channel');
    }
    const receiver = receiverOf(channel, where, ground);
    return { name, receiver, events, resolved, timeoutMs: timeout, giveUpMs: giveUp };
  });
}

interface LimitsText {
  readonly held_too_long?: number | undefined;
  readonly max_silence?: number | undefined;
  readonly starving?: number | undefined;
}

function limitsOf(text: LimitsText): Partial<Limits> {
  const { held_too_long: heldTooLongMs, max_silence: maxSilenceMs, starving: starvingMs } = text;
  return {
    ...(heldTooLongMs === undefined ? {} : { heldTooLongMs }),
    ...(maxSilenceMs === undefined ? {} : { maxSilenceMs }),
    ...(starvingMs === undefined ? {} : { starvingMs }),
  };
}

export function configOf(text: FileText, channels: readonly ChannelConfig[]): AlertsConfig {
  const { by_class: byClass = {}, ...all } = text.thresholds ?? {};
  const classes = Object.entries(byClass).map(([name, limits]) => [name, limitsOf(limits)] as const);
  return {
    thresholds: { ...defaultThresholds, ...limitsOf(all), byClass: Object.fromEntries(classes) },
    authFailures: text.auth_failures_per_minute ?? defaultAlerts.authFailures,
    repeatMs: text.repeat ?? defaultAlerts.repeatMs,
    groupWaitMs: text.group_wait ?? defaultAlerts.groupWaitMs,
    groupIntervalMs: text.group_interval ?? defaultAlerts.groupIntervalMs,
    source: text.source,
    runbooks: text.runbooks ?? defaultAlerts.runbooks,
    channels,
  };
}
