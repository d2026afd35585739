/** What is news: each thing once, again if it lasts, and its end; and how it is put for each kind of receiver. */
import { describe, expect, test } from 'vitest';
import {
  type Alert,
  observedAlert,
  type Status,
  shown,
  spanText,
} from '../../../src/control/alerts/alert.ts';
import { Board } from '../../../src/control/alerts/board.ts';
import { dingtalkBody, escapeMarkdown, signedUrl, slackBody } from '../../../src/control/alerts/chat.ts';
import type { Message } from '../../../src/control/alerts/message.ts';
import type { Observation } from '../../../src/control/alerts/observation.ts';
import { retryAfterMs } from '../../../src/control/alerts/post.ts';
import { textOf } from '../../../src/control/alerts/smtp.ts';
import { Watch } from '../../../src/control/alerts/watch.ts';
import { bodyOf } from '../../../src/control/alerts/webhook.ts';
import type { Snapshot } from '../../../src/control/merge.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const alertOf = (key: string, kind: Alert['kind'] = 'held_too_long'): Alert => ({
  kind,
  key,
  summary: key,
  timeMs: 1000,
  facts: {},
});

function board(repeatMs = 0) {
  const clock = new ManualClock();
  const told: string[] = [];
  const tell = (status: Status, { key }: Alert): void => void told.push(`${status} ${key}`);
  return { clock, told, board: new Board({ clock, tell, repeatMs }) };
}

describe('the board', () => {
  test('tells what is still so once, and what is gone once', () => {
    const { board: it, told } = board();
    it.replace(['held_too_long'], [alertOf('a'), alertOf('b')]);
    it.replace(['held_too_long'], [alertOf('b')]);
    it.replace(['held_too_long'], [alertOf('b')]);
    it.replace(['held_too_long'], [alertOf('a')]);
    expect(told).toEqual(['firing a', 'firing b', 'resolved a', 'resolved b', 'firing a']);
  });

  test('leaves other kinds alone, and forgets without a word', () => {
    const { board: it, told } = board();
    it.raise(alertOf('n', 'node_quarantined'));
    it.replace(['held_too_long'], [alertOf('a')]);
    it.forget(['held_too_long']);
    it.replace(['held_too_long'], []);
    it.over('n');
    expect(told).toEqual(['firing n', 'firing a', 'resolved n']);
  });

  test('tells again of what lasts, and never again with 0', () => {
    const { board: it, told, clock } = board(60_000);
    it.raise(alertOf('a'));
    for (let second = 0; second < 150; second++) {
      clock.advance(1000);
      it.remind();
    }
    expect(told).toEqual(['firing a', 'firing a', 'firing a']);
    it.repeatMs = 0;
    clock.advance(1e9);
    it.remind();
    expect(told.length).toBe(3);
  });

  test('tells an event once, and remembers the last ten thousand only', () => {
    const { board: it, told } = board();
    for (let n = 0; n < 20_000; n++) it.event(alertOf(`e${n}`, 'lease_lost'));
    for (let n = 10_000; n < 20_000; n++) it.event(alertOf(`e${n}`, 'lease_lost'));
    expect(told.length).toBe(20_000);
    for (let n = 0; n < 20_000; n++) it.raise(alertOf(`c${n}`));
    expect(it.standing().length).toBe(10_000);
  });
});

describe('the look', () => {
  function watch() {
    const one = board();
    const counts = new Map<string, number>();
    let margin = 1;
    const snapshot = async (): Promise<Snapshot> =>
      [...counts].map(([metric, value]) => ({
        name: metric.split(' ')[0]!,
        help: '',
        type: 'counter',
        values: [{ value, labels: { sink: metric.split(' ')[1] ?? '' } }],
      }));
    const it = new Watch({
      board: one.board,
      clock: one.clock,
      margin: () => margin,
      snapshot,
      authFailures: 5,
    });
    const set = (next: number): void => {
      margin = next;
    };
    return { ...one, counts, look: () => it.look(), set };
  }

  test('tells of a margin of 0 or less, and of its end when it has stayed away', async () => {
    const { look, set, told, clock } = watch();
    await look();
    set(0);
    await look();
    set(-1);
    await look();
    set(1);
    clock.advance(1000);
    await look();
    expect(told).toEqual(['firing quorum_margin_zero']);
    clock.advance(5000);
    await look();
    expect(told).toEqual(['firing quorum_margin_zero', 'resolved quorum_margin_zero']);
  });

  test('tells of counters of trouble that rise, by sink, until they have been quiet', async () => {
    const { look, counts, told, clock } = watch();
    counts.set('holdfast_sink_failures_total archive', 0);
    counts.set('holdfast_audit_failures_total', 0);
    await look();
    counts.set('holdfast_sink_failures_total archive', 3);
    await look();
    await look();
    counts.set('holdfast_audit_failures_total', 1);
    await look();
    clock.advance(300_000);
    await look();
    expect(told).toEqual([
      'firing sink_failing archive holdfast_sink_failures_total',
      'firing audit_failed',
      'resolved audit_failed',
      'resolved sink_failing archive holdfast_sink_failures_total',
    ]);
  });

  test('tells of an archive that stays away, and of none that is not wanted', async () => {
    const { look, counts, told, clock } = watch();
    await look();
    counts.set('holdfast_archive_up', 0);
    await look();
    clock.advance(2000);
    await look();
    expect(told).toEqual([]);
    clock.advance(1000);
    await look();
    counts.set('holdfast_archive_up', 1);
    await look();
    expect(told).toEqual(['firing archive_gap away', 'resolved archive_gap away']);
  });

  test('tells of refused callers when they are many within a minute', async () => {
    const { look, counts, told, clock } = watch();
    for (let total = 0; total <= 8; total++) {
      counts.set('holdfast_auth_failures_total', total);
      await look();
      clock.advance(30_000);
    }
    expect(told).toEqual([]);
    counts.set('holdfast_auth_failures_total', 20);
    await look();
    clock.advance(61_000);
    await look();
    expect(told).toEqual(['firing auth_failures', 'resolved auth_failures']);
  });
});

const seen: Observation = {
  kind: 'silent_holder',
  resource: '~blue/gpu/7',
  class: 'gpu',
  owner: '~blue/train <!channel> *x*',
  leaseRef: 'r1',
  sinceMs: 1_700_000_000_000,
  forMs: 93_784_000,
  detail: '',
};

function messageOf(alerts: readonly Alert[], count = alerts.length): Message {
  const [kind] = alerts.map((alert) => alert.kind);
  return {
    id: 'msg_1',
    timeMs: 1_700_000_000_000,
    kind: kind!,
    status: 'firing',
    severity: 'warning',
    count,
    alerts,
    source: 'east',
    runbook: `docs/runbooks/${kind}.md`,
  };
}

describe('the words', () => {
  test('name the tenant apart from the name, and a span by its two largest units', () => {
    const alert = observedAlert(seen, 5);
    expect(alert.summary).toBe('train <!channel> *x*, who holds gpu/7, has shown no progress for 1 d 2 h');
    expect(alert.facts).toMatchObject({ tenant: 'blue', resource: 'gpu/7', class: 'gpu', lease_ref: 'r1' });
    expect([0, 250, 1500, 61_000, 3_600_000].map(spanText)).toEqual([
      '0 ms',
      '250 ms',
      '1 s',
      '1 min 1 s',
      '1 h',
    ]);
  });

  test('cut long names, and show no character that moves others', () => {
    expect(shown('a'.repeat(300)).length).toBe(120);
    expect(shown('a\u202eb\u0000\n\u2028')).toBe('a\ufffdb\ufffd\ufffd\ufffd');
  });

  test('a webhook says kind, status, count and each alert', () => {
    const body = JSON.parse(bodyOf(messageOf([observedAlert(seen, 5)], 3)));
    expect(body).toMatchObject({
      type: 'holdfast.silent_holder',
      timestamp: '2023-11-14T22:13:20.000Z',
      data: { status: 'firing', count: 3, severity: 'warning', source: 'east' },
    });
    expect(body.data.alerts).toEqual([expect.objectContaining({ key: expect.any(String), lease_ref: 'r1' })]);
  });

  test('Slack reads no markup in names, and gets blocks within its bounds', () => {
    const many = Array.from({ length: 20 }, (_, n) => ({
      ...observedAlert(seen, 5),
      summary: `<!here> ${'&'.repeat(290)} ${n}`,
    }));
    const { text, blocks } = JSON.parse(slackBody({ ...messageOf(many, 500), source: '<!here>' }));
    expect(text).not.toMatch(/<!/);
    expect(blocks[0].text.text.length).toBeLessThanOrEqual(150);
    expect(blocks[1].text.type).toBe('plain_text');
    expect(blocks[1].text.text.length).toBeLessThanOrEqual(3000);
    expect(blocks[1].text.text).toMatch(/and \d+ more$/);
  });

  test('DingTalk gets markdown with names escaped, and its own signature', () => {
    const { msgtype, markdown } = JSON.parse(dingtalkBody(messageOf([observedAlert(seen, 5)])));
    expect(msgtype).toBe('markdown');
    expect(markdown.text).toContain('train \\<\\!channel\\> \\*x\\*');
    expect(escapeMarkdown('[a](http://x)')).toBe('\\[a\\]\\(http://x\\)');
    const url = new URL(signedUrl('https://d.example/send?access_token=t', 'SECx', 1_700_000_000_000));
    // By `printf '1700000000000\nSECx' | openssl dgst -sha256 -hmac SECx -binary | base64`.
    expect(url.searchParams.get('sign')).toBe('rgcjbH+yFyES+S0llX+cAPCwVRpsr7sbiX5Lnyo/ocU=');
    expect(url.searchParams.get('access_token')).toBe('t');
  });

  test('a mail lists the facts', () => {
    expect(textOf(messageOf([observedAlert(seen, 5)], 2))).toMatch(
      /lease_ref: r1[\s\S]*and 1 more[\s\S]*What to do: docs\/runbooks\/silent_holder\.md/,
    );
  });

  test('Retry-After is seconds or a date', () => {
    expect(retryAfterMs('3', 0)).toBe(3000);
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 4000)).toBe(6000);
    expect([retryAfterMs(null, 0), retryAfterMs('soon', 0)]).toEqual([undefined, undefined]);
  });
});
