/** Alerts reach real mail servers and chats: those that refuse, hang at any point, and recover. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { messageOf } from '../../src/control/alerts/message.ts';
import { smtp } from '../../src/control/alerts/smtp.ts';
import { Alerting } from '../harness/alerting.ts';
import { type MailFault, MailFront } from '../harness/mail-server.ts';
import { until } from '../harness/until.ts';

const scene = new Alerting();
afterEach(() => scene.close());

const PLAIN = { disabledCommands: ['STARTTLS', 'AUTH'] };

test('Slack that fails, and then hangs, gets the same message again, and once it answers no more of it', async () => {
  const slack = await scene.receiver();
  const answers = [503, 'hang', 200] as const;
  slack.answer = (n) => answers[Math.min(n, 2)]!;
  const under = scene.under(`  - { name: slack, kind: slack, url: "${slack.url}", timeout: 400ms }\n`);
  await under.lose('gpu/1');
  await until('it is delivered', () => under.tries('slack', 'delivered') === 1);
  expect(under.tries('slack', 'retried')).toBe(2);
  // The one without an answer was not given up before its time.
  expect(slack.got[2]!.atMs - slack.got[1]!.atMs).toBeGreaterThan(300);
  expect(new Set(slack.got.map(({ body }) => body)).size).toBe(1);
  await under.lose('gpu/2');
  await until('so is the next one', () => under.tries('slack', 'delivered') === 2);
  expect(slack.got.map(({ body }) => /gpu\/\d/.exec(body)?.[0])).toEqual([
    'gpu/1',
    'gpu/1',
    'gpu/1',
    'gpu/2',
  ]);
  expect([under.inside('holdfast_alerts_pending'), under.tries('slack', 'failed')]).toEqual([0, 0]);
});

test('Slack gets blocks; DingTalk gets markdown and a signed address, and its 200 with an errcode is a no', async () => {
  const [slack, ding] = [await scene.receiver(), await scene.receiver()];
  ding.answer = (n) => ({
    status: 200,
    body: ['{"errcode":130101,"errmsg":"too fast"}', '{"errcode":0}', '{"errcode":310000}'][n]!,
  });
  const under = scene.under(
    `  - { name: slack, kind: slack, url: "${slack.url}" }\n` +
      `  - { name: ding, kind: dingtalk, url: "${ding.url}", secret: SECx }\n`,
  );
  await under.lose('gpu/1');
  await until('both have it', () => under.inside('holdfast_alert_deliveries_total', 'delivered') === 2);
  expect(JSON.parse(slack.got[0]!.body).blocks[1].text.text).toBe('• gpu/1 was lost by w1: expired');
  expect(ding.got.length).toBe(2);
  expect(ding.got[1]!.path).toMatch(/^\/alerts\?token=s3cret&timestamp=\d{13}&sign=[\w%]+$/);
  expect(JSON.parse(ding.got[1]!.body).markdown.text).toContain('gpu/1 was lost by w1: expired');
  await under.lose('gpu/2');
  await until('it is refused', () => under.tries('ding', 'failed') === 1);
  expect(under.notices.join()).toContain('errcode 310000');
});

test('a mail goes over STARTTLS with a login; a server that is busy is asked again, one that refuses is not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mail-'));
  scene.onClose(() => rmSync(folder, { recursive: true }));
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
  const busy = await scene.mailServer(tls, (n) => (n === 0 ? 451 : undefined));
  const full = await scene.mailServer(tls, () => 552);
  const plain = await scene.mailServer(PLAIN);
  const to = (name: string, port: number, more: string): string =>
    `  - { name: ${name}, kind: smtp, host: localhost, port: ${port}, from: "h@x.org", to: ["a@x.org", "b@x.org"], timeout: 5s, ${more} }\n`;
  const login = (password: string): string => `user: u, password: ${password}, ca_file: "${cert}"`;
  const under = scene.under(
    to('busy', busy.port, login('pw')) +
      to('full', full.port, login('pw')) +
      to('wrong', busy.port, login('other')) +
      to('downgraded', plain.port, `give_up: 0s, ca_file: "${cert}"`) +
      to('plain', plain.port, 'tls: none'),
  );
  await under.lose('gpu/1', 'gpu/2');
  await until('all have ended', () => {
    const failed = ['full', 'wrong', 'downgraded'].every((channel) => under.tries(channel, 'failed') === 1);
    return failed && under.tries('busy', 'delivered') === 1 && under.tries('plain', 'delivered') === 1;
  });
  expect(under.tries('busy', 'retried')).toBe(1);
  expect(busy.mails.length).toBe(1);
  expect(busy.mails[0]).toMatchObject({ to: ['a@x.org', 'b@x.org'], user: 'u' });
  const text = busy.mails[0]!.text;
  expect(text).toMatch(/^Subject: A lease was lost \(2 of them\) \[east\]/m);
  expect(text).toContain('gpu/2 was lost by w1: expired');
  expect(plain.mails.length).toBe(1);
  expect(under.notices.join()).toMatch(/SMTP 552/);
  expect(under.notices.join()).not.toContain('other"');
});

/** Of one try: enough for a mail that goes through, on a machine that has much else to do. */
const TRY_MS = 1500;

async function front(behind: number, fault: MailFault): Promise<MailFront> {
  const one = await MailFront.start(behind, fault);
  scene.onClose(() => one.close());
  return one;
}

const mailTo = (name: string, { port }: { readonly port: number }, more = ''): string =>
  `  - { name: ${name}, kind: smtp, host: 127.0.0.1, port: ${port}, tls: none, from: "h@x.org", to: ["a@x.org"], timeout: ${TRY_MS}ms${more} }\n`;

const idOf = (text: string): string | undefined => /^Message-ID: (.*)$/im.exec(text)?.[1];

test.each([
  ['never greets', 'silent', false],
  ['does not say that it has taken the mail', 'deaf', true],
  ['never comes to the end of saying so', 'drip', true],
] as const)(
  'a mail server that %s is let go of in time, and gets the mail once it is well',
  async (_, fault, again) => {
    const [server, other] = [await scene.mailServer(PLAIN), await scene.mailServer(PLAIN)];
    const [patient, last] = [await front(server.port, fault), await front(other.port, fault)];
    const under = scene.under(mailTo('patient', patient) + mailTo('last', last, ', give_up: 0s'));
    await under.lose('gpu/1');
    await until('one has been tried again', () => under.tries('patient', 'retried') >= 2, 30_000);
    await until('the other is given up', () => under.tries('last', 'failed') === 1);
    expect(under.notices.join()).toMatch(
      /"channel":"last",.*"tries":1,"why":"(no answer in time|ETIMEDOUT)"/,
    );
    // Of a try that has ended nothing stays open, however busy the server looks.
    await until('the connection of the last try is closed', () => last.open.size === 0);
    expect(under.inside('holdfast_alerts_pending', 'patient')).toBe(1);
    patient.fault = 'none';
    await until('it is delivered', () => under.tries('patient', 'delivered') === 1, 45_000);
    await until('and all is closed', () => patient.open.size === 0);
    expect(patient.opened).toBeLessThanOrEqual(under.tries('patient', 'retried') + 1);
    // One whose answer got lost comes again, under the same id: a mailbox shows it once.
    if (again) expect(server.mails.length).toBeGreaterThan(1);
    else expect(server.mails.length).toBe(1);
    expect(new Set(server.mails.map(({ text }) => idOf(text))).size).toBe(1);
    expect(under.inside('holdfast_alerts_pending')).toBe(0);
  },
);

test('a try whose time is over before it has begun sends no mail: the next one will', async () => {
  const server = await scene.mailServer(PLAIN);
  const send = smtp(
    {
      ...{ host: '127.0.0.1', port: server.port, tls: 'none', login: undefined, ca: undefined },
      ...{ from: 'h@x.org', to: ['a@x.org'] },
    },
    TRY_MS,
  );
  const about = { id: 'msg_1', timeMs: 1, source: 'east', runbooks: 'docs/runbooks' };
  const message = messageOf({ kind: 'lease_lost', status: 'event', count: 1, alerts: [] }, about);
  expect(await send(message, AbortSignal.abort())).toEqual({ kind: 'again', why: 'no answer in time' });
  expect(server.mails).toEqual([]);
  // So it is not that no mail gets through.
  expect(await send(message, new AbortController().signal)).toEqual({ kind: 'delivered' });
  expect(server.mails.length).toBe(1);
});
