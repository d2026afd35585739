/** What the tests of settings know of each one: how it is read, its default, texts that are taken and texts that are not. */
import type { Settings } from '../../src/config.ts';

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
const nodeIds = (settings: Settings) => settings.redisNodes.map((node) => node.id);

export interface Row {
  readonly read: (settings: Settings) => unknown;
  readonly unset: unknown;
  /** Three texts and what each becomes: for the flag, the environment and the file. */
  readonly set: readonly [string, unknown][];
  readonly bad: readonly string[];
  /** What it needs beside it. */
  readonly beside?: Record<string, string>;
}

const DURATIONS = ['30', '30 s', '-1s', '1d', 's', '1e3ms', '0.0001s', '999999h'].filter(
  (text) => text !== '',
);
const duration = (read: Row['read'], unset: number): Row => ({
  read,
  unset,
  set: [
    ['20s', 20_000],
    ['25s', 25_000],
    ['0.5m', 30_000],
  ],
  bad: DURATIONS,
});
const path = (read: Row['read']): Row => ({
  read,
  unset: undefined,
  set: [
    ['/etc/holdfast/one', '/etc/holdfast/one'],
    ['./two.yaml', './two.yaml'],
    ['three', 'three'],
  ],
  bad: ['/a/folder/', 'http://u:p@host/x'],
});
const toggle = (read: Row['read']): Row => ({
  read,
  unset: false,
  set: [
    ['1', true],
    ['0', false],
    ['true', true],
  ],
  bad: ['yes', '2', 'TRUE '],
});

export const rows: Record<string, Row> = {
  HOLDFAST_LISTEN: {
    read: ({ listen }) => listen,
    unset: [tcp('127.0.0.1', 7420)],
    set: [
      ['127.0.0.1:1,unix:/run/h.sock', [tcp('127.0.0.1', 1), { kind: 'unix', path: '/run/h.sock' }]],
      ['[::1]:7', [tcp('::1', 7)]],
      ['localhost:0', [tcp('localhost', 0)]],
    ],
    bad: [
      '7420',
      ':7420',
      '127.0.0.1:70000',
      'unix:run',
      '::1:7420',
      '127.0.0.1:1,127.0.0.1:1',
      '127.0.0.1.5:1',
      `unix:/${'x'.repeat(107)}`,
    ],
  },
  HOLDFAST_HTTP_LISTEN: {
    read: ({ httpListen }) => httpListen,
    unset: tcp('127.0.0.1', 7421),
    set: [
      ['127.0.0.2:80', tcp('127.0.0.2', 80)],
      ['unix:/a', { kind: 'unix', path: '/a' }],
      ['unix:///a', { kind: 'unix', path: '/a' }],
    ],
    bad: ['x', '127.0.0.1:1,127.0.0.1:2'],
  },
  HOLDFAST_REDIS_NODES: {
    read: nodeIds,
    unset: [],
    set: [
      ['redis://a:1', ['a:1']],
      ['redis://a:1,redis://b, rediss://u:p@[::1]:7/3#c', ['a:1', 'b:6379', 'c']],
      ['unix:///run/1.sock', ['/run/1.sock']],
    ],
    bad: [
      'redis://a:1,redis://b:1',
      'a:1',
      'http://a:1',
      'redis://a:1,redis://a:1/2,redis://c:1',
      'redis://a:1#x,redis://b:1#x,redis://c:1',
      'redis://a:99999',
      'redis://a:1?x=1',
      'redis://a:1/one',
      'redis://a:1#bad name',
      'unix://relative',
      'redis://user@a:1',
      'redis://u:%zz@a:1',
    ],
  },
  HOLDFAST_REDIS_PASSWORD: {
    read: ({ redisNodes }) => redisNodes.map((node) => node.password?.reveal()),
    unset: [],
    set: [],
    bad: ['two\nlines'],
  },
  HOLDFAST_DEFAULT_TTL: duration(({ defaultTtlMs }) => defaultTtlMs, 30_000),
  HOLDFAST_MIN_TTL: duration(({ minTtlMs }) => minTtlMs, 100),
  HOLDFAST_MAX_TTL: duration(({ maxTtlMs }) => maxTtlMs, 60_000),
  HOLDFAST_BOOTSTRAP: toggle(({ bootstrap }) => bootstrap),
  HOLDFAST_NODE_TIMEOUT: duration(({ nodeTimeoutMs }) => nodeTimeoutMs, 250),
  HOLDFAST_NAMESPACE: {
    read: ({ namespace }) => namespace,
    unset: 'holdfast',
    set: [
      ['a', 'a'],
      ['team-1.prod', 'team-1.prod'],
      ['"quoted"', 'quoted'],
    ],
    bad: ['a:b', 'x'.repeat(65), 'a b', '{a}'],
  },
  HOLDFAST_LOG_LEVEL: {
    read: ({ logLevel }) => logLevel,
    unset: 'info',
    set: [
      ['debug', 'debug'],
      ['warn', 'warn'],
      ['silent', 'silent'],
    ],
    bad: ['verbose', 'INFO'],
  },
  HOLDFAST_DRAIN_TIMEOUT: duration(({ drainTimeoutMs }) => drainTimeoutMs, 20_000),
  HOLDFAST_KEEPALIVE_TIME: duration(({ keepaliveTimeMs }) => keepaliveTimeMs, 10_000),
  HOLDFAST_KEEPALIVE_TIMEOUT: duration(({ keepaliveTimeoutMs }) => keepaliveTimeoutMs, 5000),
  HOLDFAST_WAITER_LIVENESS: duration(({ waiterLivenessMs }) => waiterLivenessMs, 6000),
  HOLDFAST_MAX_WAITERS: {
    read: ({ maxWaiters }) => maxWaiters,
    unset: 10_000,
    set: [
      ['1', 1],
      ['500', 500],
      ['1000000', 1_000_000],
    ],
    bad: ['0', '1000001', '1e3', 'many', '-1'],
  },
  HOLDFAST_MAX_WAITERS_PER_RESOURCE: {
    read: ({ maxWaitersPerResource }) => maxWaitersPerResource,
    unset: 1000,
    set: [
      ['1', 1],
      ['500', 500],
      ['100000', 100_000],
    ],
    bad: ['0', '100001', '1.5', 'many', '-1'],
  },
  HOLDFAST_WORKERS: {
    read: ({ workers }) => workers,
    unset: 1,
    set: [
      ['2', 2],
      ['64', 64],
      ['1', 1],
    ],
    bad: ['0', '65', '1.5', 'two', '-1'],
    beside: { HOLDFAST_REDIS_NODES: 'redis://a' },
  },
  HOLDFAST_CLOCK_SKEW: duration(({ clockSkewMs }) => clockSkewMs, 500),
  HOLDFAST_PRIORITY_STEP: duration(({ priorityStepMs }) => priorityStepMs, 5000),
  HOLDFAST_YIELD_AFTER: duration(({ yieldAfterMs }) => yieldAfterMs, 5000),
  HOLDFAST_ALLOW_INSECURE: toggle(({ allowInsecure }) => allowInsecure),
  HOLDFAST_ACCESS: path(({ access }) => access),
  HOLDFAST_TLS_CERT: { ...path(({ tlsCert }) => tlsCert), beside: { HOLDFAST_TLS_KEY: '/key.pem' } },
  HOLDFAST_TLS_KEY: { ...path(({ tlsKey }) => tlsKey), beside: { HOLDFAST_TLS_CERT: '/cert.pem' } },
  HOLDFAST_TLS_CLIENT_CA: {
    ...path(({ tlsClientCa }) => tlsClientCa),
    beside: { HOLDFAST_TLS_CERT: '/cert.pem', HOLDFAST_TLS_KEY: '/key.pem', HOLDFAST_ACCESS: '/access.yaml' },
  },
  HOLDFAST_TLS_CLIENT_AUTH: {
    read: ({ tlsClientAuth }) => tlsClientAuth,
    unset: 'require',
    set: [
      ['none', 'none'],
      ['request', 'request'],
      ['require', 'require'],
    ],
    bad: ['yes', 'Require', '1'],
    beside: {
      HOLDFAST_TLS_CERT: '/cert.pem',
      HOLDFAST_TLS_KEY: '/key.pem',
      HOLDFAST_TLS_CLIENT_CA: '/ca.pem',
      HOLDFAST_ACCESS: '/access.yaml',
    },
  },
  HOLDFAST_CLASSES: {
    read: ({ classes }) => classes,
    unset: undefined,
    set: [
      ['gpu/=gpu', [{ prefix: 'gpu/', name: 'gpu' }]],
      [
        'a=x, b=x',
        [
          { prefix: 'a', name: 'x' },
          { prefix: 'b', name: 'x' },
        ],
      ],
      ['m:1=m', [{ prefix: 'm:1', name: 'm' }]],
    ],
    bad: ['gpu', '=gpu', 'gpu/=', 'gpu/=GPU', 'gpu/=other', 'a=x,a=y', 'ä=x', `a=${'x'.repeat(33)}`],
  },
  HOLDFAST_AUDIT_LOG: path(({ auditLog }) => auditLog),
  HOLDFAST_ARCHIVE: {
    read: ({ archive }) => archive,
    unset: { kind: 'auto' },
    set: [
      ['off', { kind: 'off' }],
      ['auto', { kind: 'auto' }],
      ['sqlite:/var/lib/h.db', { kind: 'sqlite', path: '/var/lib/h.db' }],
    ],
    bad: ['on', 'sqlite:', 'sqlite::memory:', 'sqlite:/dir/', 'mysql://a/b', '/var/lib/h.db'],
  },
  HOLDFAST_ARCHIVE_RETENTION: {
    ...duration(({ archiveRetentionMs }) => archiveRetentionMs, 720 * 3_600_000),
    set: [
      ['1h', 3_600_000],
      ['24h', 86_400_000],
      ['90m', 5_400_000],
    ],
  },
  HOLDFAST_ARCHIVE_MAX_SIZE: {
    read: ({ archiveMaxBytes }) => archiveMaxBytes,
    unset: 512 * 2 ** 20,
    set: [
      ['64MiB', 64 * 2 ** 20],
      ['2GiB', 2 ** 31],
      ['1TiB', 2 ** 40],
      ['131072KiB', 2 ** 27],
    ],
    bad: ['63MiB', '2TiB', '512', '512MB', '512 MiB', '0GiB', '1.5GiB', '-1GiB', '0512MiB'],
  },
  HOLDFAST_EVENT_STREAM: {
    read: ({ eventStream }) => eventStream?.reveal(),
    unset: undefined,
    set: [
      ['redis://a:1/2', 'redis://a:1/2'],
      ['rediss://b', 'rediss://b'],
      ['redis://u:p@c:3', 'redis://u:p@c:3'],
    ],
    bad: ['http://a', 'a:6379', 'redis:'],
  },
  HOLDFAST_EVENT_BUFFER: {
    read: ({ eventBuffer }) => eventBuffer,
    unset: 16_384,
    set: [
      ['16', 16],
      ['1000', 1000],
      ['1000000', 1_000_000],
    ],
    bad: ['0', '15', '1000001', 'many'],
  },
  HOLDFAST_ALERTS: path(({ alerts }) => alerts),
  HOLDFAST_JANITOR: { ...toggle(({ janitor }) => janitor), unset: true },
  HOLDFAST_JANITOR_EVERY: duration(({ janitorEveryMs }) => janitorEveryMs, 15_000),
};
