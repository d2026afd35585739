/** The file of alerts: what it says is what is run by, and each mistake is named with its line. */
import { describe, expect, test } from 'vitest';
import { limitsFor } from '../../../src/control/alerts/observation.ts';
import { type LoadedAlerts, loadAlerts } from '../../../src/control/alerts/rules-file.ts';
import { type AlertsConfig, defaultAlerts } from '../../../src/control/alerts/settings.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const PATH = '/etc/holdfast/alerts.yaml';

function load(text: string, others: Readonly<Record<string, string>> = {}): LoadedAlerts {
  return loadAlerts(PATH, (path) => {
    const found = path === PATH ? text : others[path];
    if (found === undefined) throw Object.assign(new Error('none'), { code: 'ENOENT' });
    return found;
  });
}

function good(text: string, others?: Readonly<Record<string, string>>): AlertsConfig {
  const loaded = load(text, others);
  if ('faults' in loaded) throw new Error(loaded.faults.join('\n'));
  return loaded.config;
}

function faultsOf(text: string): readonly string[] {
  const loaded = load(text);
  return 'faults' in loaded ? loaded.faults : [];
}

describe('a good file', () => {
  test('that is empty means the defaults', () => {
    expect(good('')).toEqual(defaultAlerts);
    expect(good('# nothing yet\n')).toEqual(defaultAlerts);
  });

  test('sets thresholds for all and for a class; 0s is never', () => {
    const { thresholds } = good(
      'thresholds:\n  held_too_long: 12h\n  by_class:\n    gpu: { held_too_long: 72h, max_silence: 0s }\n',
    );
    expect(limitsFor(thresholds, 'other')).toEqual({
      maxSilenceMs: 0,
      starvingMs: 3_600_000,
      heldTooLongMs: 43_200_000,
    });
    expect(limitsFor(thresholds, 'gpu')).toMatchObject({ heldTooLongMs: 259_200_000, maxSilenceMs: 0 });
    expect(limitsFor(thresholds, 'constructor').heldTooLongMs).toBe(43_200_000);
  });

  test('names channels of every kind, with secrets in it or in files beside it', () => {
    const text = `
channels:
  - { name: ops, kind: webhook, url: "https://ops.example/hook", secret_file: ops.secret, events: [lease_lost] }
  - { name: chat, kind: slack, url_file: /run/secrets/slack, resolved: false, timeout: 2s, give_up: 10m }
  - { name: ding, kind: dingtalk, url: "https://oapi.dingtalk.com/robot/send?access_token=t", secret: SECx }
  - name: mail
    kind: smtp
    host: mail.example
    user: holdfast
    password_file: mail.password
    from: holdfast@example.org
    to: [oncall@example.org]
`;
    const { channels } = good(text, {
      '/etc/holdfast/ops.secret': `${SECRET}\n`,
      '/run/secrets/slack': 'https://hooks.slack.com/services/T/B/x\n',
      '/etc/holdfast/mail.password': 'pw',
    });
    expect(channels.map(({ name, receiver }) => `${name} ${receiver.kind}`)).toEqual([
      'ops webhook',
      'chat slack',
      'ding dingtalk',
      'mail smtp',
    ]);
    expect(channels[0]!.events).toEqual(['lease_lost']);
    expect(channels[1]).toMatchObject({ resolved: false, timeoutMs: 2000, giveUpMs: 600_000 });
    const mail = channels[3]!.receiver;
    expect(mail.kind === 'smtp' ? [mail.server.port, mail.server.tls] : []).toEqual([587, 'starttls']);
    expect(JSON.stringify(channels)).not.toMatch(/whsec_|services|SECx|"pw"|access_token/);
  });

  test('warns where names or mails can be read on the way', () => {
    const loaded = load(`channels:\n  - { name: a, kind: slack, url: "http://chat.example/x" }\n`);
    expect('warnings' in loaded ? loaded.warnings : []).toEqual([
      `${PATH}:2: channels[0].url is not https: names of locks and owners can be read on the way`,
    ]);
    const local = load(`channels:\n  - { name: a, kind: slack, url: "http://127.0.0.1:9/x" }\n`);
    expect('warnings' in local ? local.warnings : ['none']).toEqual([]);
  });
});

const channel = (more: string): string => `channels:\n  - name: a\n    ${more.replaceAll('\n', '\n    ')}\n`;
const hook = (more: string): string =>
  channel(`kind: webhook\nurl: https://x.example/\nsecret: ${SECRET}\n${more}`);
const mail = (more: string): string => channel(`kind: smtp\nhost: m.example\nfrom: a@b\nto: [c@d]\n${more}`);

describe('a wrong file is refused', () => {
  test.each([
    ['tresholds: {}', `${PATH}:1: tresholds is no key that is known here`],
    ['repeat: 1d', `${PATH}:1: repeat must be a duration from 0s (never) to 744h, such as 30s, 15m or 24h`],
    ['repeat: 5', `${PATH}:1: repeat must be a duration from 0s (never) to 744h, such as 30s, 15m or 24h`],
    ['- a', `${PATH}:1: must be a map of keys`],
    [
      'thresholds:\n  by_class:\n    GPU: {}',
      'thresholds.by_class.GPU is not written as a class of HOLDFAST_CLASSES',
    ],
    ['thresholds:\n  by_class:\n    gpu: { held: 1s }', `${PATH}:3: thresholds.by_class.gpu.held is no key`],
    ['a: [', `${PATH}:1: is no YAML`],
    ['a: 1\na: 2', `${PATH}:2: is no YAML: DUPLICATE_KEY`],
    [channel('kind: pager'), `${PATH}:3: channels[0].kind must be webhook, slack, dingtalk or smtp`],
    [channel('kind: slack'), 'channels[0].url must be there, or url_file'],
    [channel('kind: slack\nurl_file: none'), `${PATH}:4: channels[0].url_file cannot be read: ENOENT`],
    [channel('kind: slack\nurl: file:///etc/passwd'), `${PATH}:4: channels[0].url must be https://`],
    [channel('kind: slack\nurl: https://u:p@x/'), 'channels[0].url must have no user or password in it'],
    [channel('kind: slack\nurl: https://x/\nsecret: x'), `${PATH}:5: channels[0].secret is no key`],
    [hook('secret_file: x'), 'channels[0].secret must not be there beside secret_file'],
    [hook('events: [lease_losst]'), `${PATH}:6: channels[0].events[0] must be one of force_release`],
    [hook('timeout: 2h'), 'channels[0].timeout must be a duration from 100ms to 60s'],
    [
      channel('kind: webhook\nurl: https://x/\nsecret: whsec_c2hvcnQ='),
      'channels[0].secret must be whsec_ and 24',
    ],
    [channel('kind: webhook\nurl: https://x/'), 'channels[0].secret must be whsec_ and 24'],
    [mail('user: u'), 'channels[0].user needs a password'],
    [mail('password: p'), 'channels[0].password needs a user'],
    [mail('user: u\npassword: p\ntls: none'), 'channels[0].tls must not be none with a user'],
    [mail('port: 70000'), 'channels[0].port must be a port'],
    [channel('kind: smtp\nhost: m.example\nfrom: a\nto: [c@d]'), 'channels[0].from must be an address'],
    [
      channel('kind: smtp\nhost: m.example\nfrom: "a@b\\nBcc: x@y"\nto: [c@d]'),
      'channels[0].from must be on one line',
    ],
    [
      `channels:\n  - { name: a, kind: slack, url: "https://x/" }\n  - { name: a, kind: slack, url: "https://y/" }`,
      `${PATH}:3: channels[1].name is the name of another channel`,
    ],
  ])('%j', (text, why) => {
    expect(faultsOf(text).join('\n')).toContain(why);
  });

  test('every mistake at once, and no secret with them', () => {
    const faults = faultsOf(`repeat: x\nsource: 1\n${channel('kind: slack\nurl: ftp://s3cret')}`);
    expect(faults.length).toBeGreaterThanOrEqual(2);
    expect(faults.join()).not.toContain('s3cret');
    expect(faultsOf(channel('kind: slack\nurl: ftp://s3cret')).join()).not.toContain('s3cret');
  });

  test('aliases that multiply are refused, not followed', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g']
      .map((name, at) => `${name}: &${name} [${`*${'abcdef'[at]},`.repeat(9)}]`)
      .join('\n')}`;
    expect(faultsOf(bomb)).toEqual([`${PATH}: has aliases that lead too far`]);
  });
});
