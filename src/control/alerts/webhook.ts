/** Standard Webhooks: signed JSON, with an id that stays the same however often it is sent. */
import { Webhook } from 'standardwebhooks';
import type { Secret } from '../../config/secret.ts';
import type { Clock } from '../../std/clock.ts';
import { type Message, type Send, titleOf } from './message.ts';
import { post } from './post.ts';

export function bodyOf(message: Message): string {
  const { kind, status, severity, count, alerts, source, runbook, timeMs } = message;
  return JSON.stringify({
    type: `holdfast.${kind}`,
    timestamp: new Date(timeMs).toISOString(),
    data: {
      kind,
      status,
      severity,
      source,
      title: titleOf(message),
      count,
      runbook,
      alerts: alerts.map((alert) => ({
        key: alert.key,
        time: new Date(alert.timeMs).toISOString(),
        summary: alert.summary,
        ...alert.facts,
      })),
    },
  });
}

export function webhook(url: Secret, secret: Secret, clock: Clock): Send {
  const signer = new Webhook(secret.reveal());
  return (message, signal) => {
    const body = bodyOf(message);
    const nowMs = clock.wallMicros() / 1000;
    return post({
      url: url.reveal(),
      headers: {
        'webhook-id': message.id,
        // Of the try: a receiver refuses what is old, to keep repetitions by others out.
        'webhook-timestamp': String(Math.floor(nowMs / 1000)),
        'webhook-signature': signer.sign(message.id, new Date(nowMs), body),
      },
      body,
      signal,
      nowMs,
    });
  };
}
