/** Alerts by themselves, without a replica around them: channels from a file, losses as events, and real receivers. */
import { readFileSync } from 'node:fs';
import type { SMTPServerOptions } from 'smtp-server';
import { Alerts } from '../../src/control/alerts/alerts.ts';
import { loadAlerts } from '../../src/control/alerts/rules-file.ts';
import type { AlertsConfig } from '../../src/control/alerts/settings.ts';
import type { ControlEvent } from '../../src/control/events/event.ts';
import { systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { MailServer } from './mail-server.ts';
import { Receiver } from './receiver.ts';

/** What a test has opened, closed in the reverse order. */
export class Alerting {
  readonly #closing: (() => unknown)[] = [];

  onClose(close: () => unknown): void {
    this.#closing.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async receiver(): Promise<Receiver> {
    const one = await Receiver.start();
    this.onClose(() => one.close());
    return one;
  }

  async mailServer(
    options: SMTPServerOptions = {},
    refuse?: (n: number) => number | undefined,
  ): Promise<MailServer> {
    const server = await MailServer.start(options, refuse);
    this.onClose(() => server.close());
    return server;
  }

  /** `channels`: lines of YAML below that word. */
  under(channels: string): Under {
    const under = new Under(channels);
    this.onClose(() => under.alerts.close(0));
    return under;
  }
}

export class Under {
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
  }

  config(channels: string): AlertsConfig {
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

  /** The sum of a metric over the series that have all these labels, read in this process. */
  inside(name: string, ...labels: readonly string[]): number {
    const family = this.alerts.families.find((one) => one.name === name)!;
    const values = family
      .get()
      .values.filter((one) => labels.every((label) => Object.values(one.labels).includes(label)));
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  /** Tries of a channel that have ended so. */
  tries(channel: string, outcome: 'delivered' | 'retried' | 'failed'): number {
    return this.inside('holdfast_alert_deliveries_total', channel, outcome);
  }
}
