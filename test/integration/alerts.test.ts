/** Alerts reach real webhooks: those that fail, hang, cut off and recover, each by itself. */
import { afterEach, expect, test } from 'vitest';
import { Alerting } from '../harness/alerting.ts';
import type { Receiver } from '../harness/receiver.ts';
import { until } from '../harness/until.ts';

const scene = new Alerting();
afterEach(() => scene.close());

const webhookTo = ({ url, secret }: Receiver, name = 'ops', more = ''): string =>
  `  - { name: ${name}, kind: webhook, url: "${url}", secret: "${secret}", timeout: 400ms${more} }\n`;

const named = (of: Receiver): string[] =>
  of.messages.flatMap(({ data }) => data.alerts.map(({ resource }) => resource!));

test('a receiver that fails, cuts off and is busy gets the message under one id, signed anew, once', async () => {
  const ops = await scene.receiver();
  const answers = [500, 'cut', { status: 429, headers: { 'retry-after': '1' } }, 200] as const;
  ops.answer = (n) => answers[Math.min(n, 3)]!;
  const under = scene.under(webhookTo(ops));
  await under.lose('gpu/1');
  await until('it is delivered', () => under.inside('holdfast_alert_deliveries_total', 'delivered') === 1);
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
  expect(under.inside('holdfast_alert_deliveries_total', 'retried')).toBe(3);
  expect(under.inside('holdfast_alerts_pending')).toBe(0);
});

test('a receiver that hangs delays nobody else, and hears all in order once it answers', async () => {
  const [stuck, well, drips] = [await scene.receiver(), await scene.receiver(), await scene.receiver()];
  stuck.answer = () => 'hang';
  drips.answer = () => 'drip';
  const ding = `  - { name: drips, kind: dingtalk, url: "${drips.url}", timeout: 400ms }\n`;
  const under = scene.under(webhookTo(stuck, 'stuck') + webhookTo(well, 'well') + ding);
  await under.lose('gpu/1');
  await until('the other one has it', () => well.got.length === 1);
  await until('the others were tried twice', () => stuck.got.length >= 2 && drips.got.length >= 2);
  await under.lose('gpu/2', 'gpu/2', 'gpu/3');
  await until('the other one has both', () => named(well).length === 3);
  expect(under.inside('holdfast_alerts_pending', 'stuck')).toBeGreaterThan(0);
  stuck.answer = () => 200;
  drips.answer = () => 200;
  await until('nothing waits', () => under.inside('holdfast_alerts_pending') === 0);
  expect(named(stuck).slice(-3)).toEqual(['gpu/1', 'gpu/2', 'gpu/3']);
  expect(named(well)).toEqual(['gpu/1', 'gpu/2', 'gpu/3']);
});

test('a webhook that answers 200 and then drips has the message, and does not get it again', async () => {
  const ops = await scene.receiver();
  ops.answer = () => 'drip';
  const under = scene.under(webhookTo(ops));
  await under.lose('gpu/1');
  await until('it is delivered', () => under.inside('holdfast_alert_deliveries_total', 'delivered') === 1);
  expect(ops.got.length).toBe(1);
});

test('what will never be taken is dropped at once, and no redirect is followed; no address is told', async () => {
  const [gone, lure, target] = [await scene.receiver(), await scene.receiver(), await scene.receiver()];
  gone.answer = () => 410;
  lure.answer = () => ({ status: 307, headers: { location: target.url } });
  const under = scene.under(webhookTo(gone, 'gone') + webhookTo(lure, 'lure'));
  await under.lose('gpu/1');
  await until('both failed', () => under.inside('holdfast_alert_deliveries_total', 'failed') === 2);
  expect([gone.got.length, lure.got.length, target.got.length]).toEqual([1, 1, 0]);
  expect(under.notices.join()).toMatch(/HTTP 410.*HTTP 307|HTTP 307.*HTTP 410/);
  expect(under.notices.join()).not.toMatch(/s3cret|127\.0\.0\.1|whsec/);
});

test('a storm of 10,000 losses is a few messages', async () => {
  const ops = await scene.receiver();
  const under = scene.under(webhookTo(ops));
  const names = Array.from({ length: 10_000 }, (_, n) => `gpu/${n}`);
  for (let at = 0; at < names.length; at += 500) await under.lose(...names.slice(at, at + 500));
  const told = (): number => ops.messages.reduce((sum, { data }) => sum + data.count, 0);
  await until('all are told', () => told() === 10_000);
  expect(ops.got.length).toBeLessThan(20);
  expect(Math.max(...ops.got.map(({ body }) => body.length))).toBeLessThan(20_000);
});

test('a channel that is removed sends nothing more; one whose address changed sends what waited there', async () => {
  const [old, next] = [await scene.receiver(), await scene.receiver()];
  old.answer = () => 503;
  const under = scene.under(webhookTo(old, 'moved') + webhookTo(old, 'removed'));
  await under.lose('gpu/1');
  await until('both were tried', () => old.got.length >= 2);
  under.alerts.apply(under.config(webhookTo(next, 'moved')));
  await until('the new place has it', () => next.got.length === 1);
  expect(named(next)).toEqual(['gpu/1']);
  expect(under.inside('holdfast_alerts_pending', 'removed')).toBe(0);
});

test('at the end what waits has a last try, within the limit', async () => {
  const [later, stuck] = [await scene.receiver(), await scene.receiver()];
  later.answer = () => ({ status: 503, headers: { 'retry-after': '3600' } });
  stuck.answer = () => 'hang';
  const under = scene.under(webhookTo(later, 'later') + webhookTo(stuck, 'stuck').replace('400ms', '60s'));
  await under.lose('gpu/1');
  // Its answer has come, or this would be its last try.
  await until('both were tried', () => under.tries('later', 'retried') === 1 && stuck.got.length === 1);
  later.answer = () => 200;
  await under.alerts.close(500);
  expect(later.got.length).toBe(2);
  expect(under.inside('holdfast_alert_deliveries_total', 'later', 'delivered')).toBe(1);
});
