/** Alerts reach real receivers: those that fail, hang, cut off and recover, each by itself. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, expect, test } from 'vitest';
import { Alerts } from '../../src/control/alerts/alerts.ts';
import { loadAlerts } from '../../src/control/alerts/rules-file.ts';
import type { ControlEvent } from '../../src/control/events/event.ts';
import { systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { Receiver } from '../harness/receiver.ts';
import { until } from '../harness/until.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function receiver(): Promise<Receiver> {
  const one = await Receiver.start();
  closing.push(() => one.close());
  return one;
}

const webhookTo = ({ url, secret }: Receiver, name = 'ops', more = ''): string =>
  `  - { name: ${name}, kind: webhook, url: "${url}", secret: "${secret}", timeout: 400ms${more} }\n`;

class Under {
  readonly notices: string[] = [];
  readonly alerts: Alerts;
  #seq = 0;

  constructor(channels: string) {
    this.alerts = new Alerts({
      config: this.config(channels),
      warnings: [],
      clock: systemClock,
      random: systemRandom,
      notice: (level, message, facts) =>
        void this.notices.push(`${level} ${message} ${JSON.stringify(facts)}`),
      margin: () => 1,
      snapshot: async () => [],
    });
    closing.push(() => this.alerts.close(0));
  }

  config(channels: string) {
    const text = `group_wait: 10ms\ngroup_interval: 50ms\nsource: east\nchannels:\n${channels}`;
    const loaded = loadAlerts('/alerts.yaml', (path) => {
      if (path === '/alerts.yaml') return text;
      return readFileSync(path, 'utf8');
    });
    if ('faults' in loaded) throw new Error(loaded.faults.join('\n'));
    return loaded.config;
  }

  async lose(...names: readonly string[]): Promise<void> {
    const batch = names.map((name): ControlEvent => {
      this.#seq += 1;
      const lease = { leaseRef: `ref-${name}`, token: 7n as never };
      const happening = { type: 'lost', timeMs: 1, resources: [name], owner: 'w1', lease, reason: 'expired' };
      return { seq: this.#seq, priority: 'now', happening: happening as ControlEvent['happening'] };
    });
    await this.alerts.sink.deliver(batch);
  }

  count(name: string, ...labels: readonly string[]): number {
    const family = this.alerts.families.find((one) => one.name === name)!;
    const values = family
      .get()
      .values.filter((one) => labels.every((label) => Object.values(one.labels).includes(label)));
    return values.reduce((sum, { value }) => sum + value, 0);
  }
}

const named = (of: Receiver): string[] =>
  of.messages.flatMap(({ data }) => data.alerts.map(({ resource }) => resource!));

test('a receiver that fails, cuts off and is busy gets the message under one id, signed anew, once', async () => {
  const ops = await receiver();
  const answers = [500, 'cut', { status: 429, headers: { 'retry-after': '1' } }, 200] as const;
  ops.answer = (n) => answers[Math.min(n, 3)]!;
  const under = new Under(webhookTo(ops));
  await under.lose('gpu/1');
  await until('it is delivered', () => under.count('holdfast_alert_deliveries_total', 'delivered') === 1);
  expect(ops.got.length).toBe(4);
  expect(new Set(ops.got.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(ops.got[3]!.atMs - ops.got[2]!.atMs).toBeGreaterThanOrEqual(950);
  expect(ops.messages[3]!.data).toMatchObject({
    kind: 'lease_lost',
    status: 'event',
    count: 1,
    source: 'east',
  });
  expect(ops.messages[3]!.data.alerts[0]).toMatchObject({
    resource: 'gpu/1',
    owner: 'w1',
    lease_ref: 'ref-gpu/1',
  });
  expect(under.count('holdfast_alert_deliveries_total', 'retried')).toBe(3);
  expect(under.count('holdfast_alerts_pending')).toBe(0);
});

test('a receiver that hangs delays nobody else, and hears all in order once it answers', async () => {
  const [stuck, well, drips] = [await receiver(), await receiver(), await receiver()];
  stuck.answer = () => 'hang';
  drips.answer = () => 'drip';
  const ding = `  - { name: drips, kind: dingtalk, url: "${drips.url}", timeout: 400ms }\n`;
  const under = new Under(webhookTo(stuck, 'stuck') + webhookTo(well, 'well') + ding);
  await under.lose('gpu/1');
  await until('the other one has it', () => well.got.length === 1);
  await until('the others were tried twice', () => stuck.got.length >= 2 && drips.got.length >= 2);
  await under.lose('gpu/2', 'gpu/2', 'gpu/3');
  await until('the other one has both', () => named(well).length === 3);
  expect(under.count('holdfast_alerts_pending', 'stuck')).toBeGreaterThan(0);
  stuck.answer = () => 200;
  drips.answer = () => 200;
  await until('nothing waits', () => under.count('holdfast_alerts_pending') === 0);
  expect(named(stuck).slice(-3)).toEqual(['gpu/1', 'gpu/2', 'gpu/3']);
  expect(named(well)).toEqual(['gpu/1', 'gpu/2', 'gpu/3']);
});

test('a webhook that answers 200 and then drips has the message, and does not get it again', async () => {
  const ops = await receiver();
  ops.answer = () => 'drip';
  const under = new Under(webhookTo(ops));
  await under.lose('gpu/1');
  await until('it is delivered', () => under.count('holdfast_alert_deliveries_total', 'delivered') === 1);
  expect(ops.got.length).toBe(1);
});

test('what will never be taken is dropped at once, and no redirect is followed; no address is told', async () => {
  const [gone, lure, target] = [await receiver(), await receiver(), await receiver()];
  gone.answer = () => 410;
  lure.answer = () => ({ status: 307, headers: { location: target.url } });
  const under = new Under(webhookTo(gone, 'gone') + webhookTo(lure, 'lure'));
  await under.lose('gpu/1');
  await until('both failed', () => under.count('holdfast_alert_deliveries_total', 'failed') === 2);
  expect([gone.got.length, lure.got.length, target.got.length]).toEqual([1, 1, 0]);
  expect(under.notices.join()).toMatch(/HTTP 410.*HTTP 307|HTTP 307.*HTTP 410/);
  expect(under.notices.join()).not.toMatch(/s3cret|127\.0\.0\.1|whsec/);
});

test('a storm of 10,000 losses is a few messages', async () => {
  const ops = await receiver();
  const under = new Under(webhookTo(ops));
  const names = Array.from({ length: 10_000 }, (_, n) => `gpu/${n}`);
  for (let at = 0; at < names.length; at += 500) await under.lose(...names.slice(at, at + 500));
  const told = (): number => ops.messages.reduce((sum, { data }) => sum + data.count, 0);
  await until('all are told', () => told() === 10_000);
  expect(ops.got.length).toBeLessThan(20);
  expect(Math.max(...ops.got.map(({ body }) => body.length))).toBeLessThan(20_000);
});

test('a channel that is removed sends nothing more; one whose address changed sends what waited there', async () => {
  const [old, next] = [await receiver(), await receiver()];
  old.answer = () => 503;
  const under = new Under(webhookTo(old, 'moved') + webhookTo(old, 'removed'));
  await under.lose('gpu/1');
  await until('both were tried', () => old.got.length >= 2);
  under.alerts.apply(under.config(webhookTo(next, 'moved')));
  await until('the new place has it', () => next.got.length === 1);
  expect(named(next)).toEqual(['gpu/1']);
  expect(under.count('holdfast_alerts_pending', 'removed')).toBe(0);
});

test('at the end what waits has a last try, within the limit', async () => {
  const [later, stuck] = [await receiver(), await receiver()];
  later.answer = () => ({ status: 503, headers: { 'retry-after': '3600' } });
  stuck.answer = () => 'hang';
  const under = new Under(webhookTo(later, 'later') + webhookTo(stuck, 'stuck').replace('400ms', '60s'));
  await under.lose('gpu/1');
  await until('both were tried', () => later.got.length === 1 && stuck.got.length === 1);
  later.answer = () => 200;
  await under.alerts.close(500);
  expect(later.got.length).toBe(2);
  expect(under.count('holdfast_alert_deliveries_total', 'later', 'delivered')).toBe(1);
});

test('Slack gets blocks; DingTalk gets markdown and a signed address, and its 200 with an errcode is a no', async () => {
  const [slack, ding] = [await receiver(), await receiver()];
  ding.answer = (n) => ({
    status: 200,
    body: ['{"errcode":130101,"errmsg":"too fast"}', '{"errcode":0}', '{"errcode":310000}'][n]!,
  });
  const under = new Under(
    `  - { name: slack, kind: slack, url: "${slack.url}" }\n` +
      `  - { name: ding, kind: dingtalk, url: "${ding.url}", secret: SECx }\n`,
  );
  await under.lose('gpu/1');
  await until('both have it', () => under.count('holdfast_alert_deliveries_total', 'delivered') === 2);
  expect(JSON.parse(slack.got[0]!.body).blocks[1].text.text).toBe('• gpu/1 was lost by w1: expired');
  expect(ding.got.length).toBe(2);
  expect(ding.got[1]!.path).toMatch(/^\/alerts\?token=s3cret&timestamp=\d{13}&sign=[\w%]+$/);
  expect(JSON.parse(ding.got[1]!.body).markdown.text).toContain('gpu/1 was lost by w1: expired');
  await under.lose('gpu/2');
  await until('it is refused', () => under.count('holdfast_alert_deliveries_total', 'ding', 'failed') === 1);
  expect(under.notices.join()).toContain('errcode 310000');
});

interface Mail {
  readonly to: string[];
  readonly text: string;
  readonly user: string;
}

/** `refuse`: what it says to a mail. */
async function mailServer(
  options: SMTPServerOptions,
  refuse: (n: number) => number | undefined = () => undefined,
) {
  const mails: Mail[] = [];
  let asked = 0;
  const server = new SMTPServer({
    logger: false,
    closeTimeout: 100,
    onAuth: ({ username = '', password }, _session, told) =>
      password === 'pw'
        ? told(null, { user: username })
        : told(Object.assign(new Error('no'), { responseCode: 535 })),
    onMailFrom: (_address, _session, told) => {
      const code = refuse(asked++);
      told(code === undefined ? null : Object.assign(new Error('no'), { responseCode: code }));
    },
    onData: (stream, session, told) => {
      let text = '';
      stream.on('data', (chunk) => {
        text += chunk;
      });
      stream.on('end', () => {
        mails.push({
          to: session.envelope.rcptTo.map(({ address }) => address),
          text,
          user: String(session.user ?? ''),
        });
        told(null);
      });
    },
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const port = (server.server.address() as { port: number }).port;
  return { mails, port };
}

test('a mail goes over STARTTLS with a login; a server that is busy is asked again, one that refuses is not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mail-'));
  closing.push(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost';
  const made = spawnSync('openssl', [
    ...request.split(' '),
    '-addext',
    'subjectAltName=DNS:localhost',
    '-keyout',
    key,
    '-out',
    cert,
  ]);
  expect(made.status, String(made.stderr)).toBe(0);
  const tls = { key: readFileSync(key), cert: readFileSync(cert) };
  const busy = await mailServer(tls, (n) => (n === 0 ? 451 : undefined));
  const full = await mailServer(tls, () => 552);
  const plain = await mailServer({ disabledCommands: ['STARTTLS', 'AUTH'] });
  const to = (name: string, port: number, more: string): string =>
    `  - { name: ${name}, kind: smtp, host: localhost, port: ${port}, from: "h@x.org", to: ["a@x.org", "b@x.org"], timeout: 5s, ${more} }\n`;
  const login = (password: string): string => `user: u, password: ${password}, ca_file: "${cert}"`;
  const under = new Under(
    to('busy', busy.port, login('pw')) +
      to('full', full.port, login('pw')) +
      to('wrong', busy.port, login('other')) +
      to('downgraded', plain.port, `give_up: 0s, ca_file: "${cert}"`) +
      to('plain', plain.port, 'tls: none'),
  );
  await under.lose('gpu/1', 'gpu/2');
  const outcome = (channel: string, how: string) =>
    under.count('holdfast_alert_deliveries_total', channel, how);
  await until('all have ended', () => {
    const failed = ['full', 'wrong', 'downgraded'].every((channel) => outcome(channel, 'failed') === 1);
    return failed && outcome('busy', 'delivered') === 1 && outcome('plain', 'delivered') === 1;
  });
  expect(outcome('busy', 'retried')).toBe(1);
  expect(busy.mails.length).toBe(1);
  expect(busy.mails[0]).toMatchObject({ to: ['a@x.org', 'b@x.org'], user: 'u' });
  const text = busy.mails[0]!.text;
  expect(text).toMatch(/^Subject: A lease was lost \(2 of them\) \[east\]/m);
  expect(text).toContain('gpu/2 was lost by w1: expired');
  expect(plain.mails.length).toBe(1);
  expect(under.notices.join()).toMatch(/SMTP 552/);
  expect(under.notices.join()).not.toContain('other"');
});
