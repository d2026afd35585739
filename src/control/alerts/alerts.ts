/** Alerts as one thing: hears events, nodes and looks, decides what is news, and tells the channels, off the path. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Secret } from '../../config/secret.ts';
import type { Settings } from '../../config.ts';
import type { Happening, Probe } from '../../domain/probe.ts';
import type { Clock } from '../../std/clock.ts';
import type { Random } from '../../std/random.ts';
import type { ControlEvent, EventSink } from '../events/event.ts';
import { type Family, Numbers } from '../families.ts';
import type { Snapshot } from '../merge.ts';
import type { Prepared } from '../reload.ts';
import { type Alert, KINDS, type Kind, namesOf, observedAlert, type Status, shown } from './alert.ts';
import { Board } from './board.ts';
import { Channel, type ChannelEar, type Route } from './channel.ts';
import { dingtalk, slack } from './chat.ts';
import type { Send } from './message.ts';
import { OBSERVED, type Observation, type Observer, type Thresholds } from './observation.ts';
import { loadAlerts, type ReadFile } from './rules-file.ts';
import { type AlertsConfig, type ChannelConfig, defaultAlerts } from './settings.ts';
import { smtp } from './smtp.ts';
import { Watch } from './watch.ts';
import { webhook } from './webhook.ts';

export interface AlertsOptions {
  readonly config: AlertsConfig;
  /** Of the file, said once there is somebody to say it to. */
  readonly warnings: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  /** Where it is said that an alert could not be delivered. */
  readonly notice: Probe['notice'];
  /** Undefined: another process of this service tells of nodes. */
  readonly margin: (() => number) | undefined;
  readonly snapshot: () => Promise<Snapshot>;
}

export class Alerts implements Observer {
  readonly families: readonly Family[];
  readonly sink: EventSink = {
    name: 'alerts',
    urgentOnly: true,
    deliver: async (batch) => this.#heard(batch),
  };
  readonly probe: Pick<Probe, 'nodeState'> = {
    nodeState: (node, state, detail) => this.#nodeState(node, state, detail),
  };
  readonly #options: AlertsOptions;
  readonly #board: Board;
  readonly #watch: Watch;
  readonly #ear: ChannelEar;
  readonly #total: Numbers;
  readonly #deliveries: Numbers;
  readonly #pending: Numbers;
  #config: AlertsConfig;
  #channels = new Map<string, Channel>();

  constructor(options: AlertsOptions) {
    this.#options = options;
    this.#config = options.config;
    const { clock, margin, snapshot } = options;
    this.#total = new Numbers('counter', 'holdfast_alerts_total', 'Alerts that were raised here.', ['kind']);
    this.#deliveries = new Numbers(
      'counter',
      'holdfast_alert_deliveries_total',
      'Tries to deliver messages, by how they ended.',
      ['channel', 'outcome'],
    );
    this.#pending = new Numbers('gauge', 'holdfast_alerts_pending', 'Alerts that were not delivered yet.', [
      'channel',
    ]);
    this.families = [this.#total, this.#deliveries, this.#pending];
    for (const kind of KINDS) this.#total.of(kind);
    this.#ear = this.#listen();
    const tell = (status: Status, alert: Alert): void => this.#tell(status, alert);
    this.#board = new Board({ clock, tell, repeatMs: options.config.repeatMs });
    const { authFailures } = options.config;
    this.#watch = new Watch({ board: this.#board, clock, margin, snapshot, authFailures });
    this.apply(options.config);
  }

  get thresholds(): Thresholds {
    return this.#config.thresholds;
  }

  /** Nodes have been asked once: what is looked at from now on is so. */
  begin(): void {
    for (const warning of this.#options.warnings) this.#options.notice('warn', warning);
    this.#watch.begin();
  }

  observed(now: readonly Observation[]): void {
    const timeMs = this.#options.clock.wallMicros() / 1000;
    this.#board.replace(
      OBSERVED,
      now.map((seen) => observedAlert(seen, timeMs)),
    );
  }

  scannedElsewhere(): void {
    this.#board.forget(OBSERVED);
  }

  /** Read and checked, and in force once it is committed. */
  prepare(settings: Settings): Prepared {
    const loaded = configOf(settings);
    if ('faults' in loaded) {
      return { problems: loaded.faults.map((description) => ({ field: 'HOLDFAST_ALERTS', description })) };
    }
    const changed = textOf(loaded.config) !== textOf(this.#config);
    return {
      commit: () => {
        for (const warning of loaded.warnings) this.#options.notice('warn', warning);
        this.apply(loaded.config);
        return changed ? ['HOLDFAST_ALERTS'] : [];
      },
    };
  }

  /** What waits for a channel that is gone is dropped; what waits for one that has changed goes its new way. */
  apply(config: AlertsConfig): void {
    this.#config = config;
    this.#board.repeatMs = config.repeatMs;
    this.#watch.authFailures = config.authFailures;
    const before = this.#channels;
    this.#channels = new Map(
      config.channels.map((each) => {
        const found = before.get(each.name);
        before.delete(each.name);
        found?.reroute(this.#route(each));
        return [each.name, found ?? this.#open(each)];
      }),
    );
    for (const gone of before.values()) gone.remove();
  }

  /** A last try for what was not delivered; never rejects. */
  async close(limitMs: number): Promise<void> {
    this.#watch.stop();
    const channels = [...this.#channels.values()];
    let enough: (() => void) | undefined;
    const over = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const timer = this.#options.clock.after(limitMs, () => enough?.());
    await Promise.race([Promise.all(channels.map((channel) => channel.drain())), over]);
    timer.cancel();
    for (const channel of channels) channel.remove();
  }

  #open(config: ChannelConfig): Channel {
    for (const outcome of ['delivered', 'retried', 'failed']) this.#deliveries.of(config.name, outcome);
    const { clock, random } = this.#options;
    const channel = new Channel(this.#route(config), clock, random, this.#ear);
    for (const alert of this.#board.standing()) channel.add('firing', alert);
    return channel;
  }

  #route(channel: ChannelConfig): Route {
    const { groupWaitMs, groupIntervalMs, source, runbooks } = this.#config;
    const { name, timeoutMs, giveUpMs, events, resolved } = channel;
    return {
      name,
      timeoutMs,
      giveUpMs,
      send: senderOf(channel, this.#options.clock),
      wants: (kind, status) => events.includes(kind) && (resolved || status !== 'resolved'),
      grouping: { waitMs: groupWaitMs, intervalMs: groupIntervalMs },
      source: source ?? hostname(),
      runbooks,
    };
  }

  #listen(): ChannelEar {
    return {
      outcome: (channel, outcome) => {
        this.#deliveries.of(channel, outcome).value += 1;
      },
      pending: (channel, count) => {
        this.#pending.of(channel).value = count;
      },
      failed: (channel, { kind, count }, tries, why) =>
        this.#options.notice('error', 'alerts could not be delivered and are dropped', {
          channel,
          kind,
          count,
          tries,
          why,
        }),
    };
  }

  #tell(status: Status, alert: Alert): void {
    if (status !== 'resolved') this.#total.of(alert.kind).value += 1;
    for (const channel of this.#channels.values()) channel.add(status, alert);
  }

  #heard(batch: readonly ControlEvent[]): void {
    for (const { happening } of batch) {
      const alert = eventAlert(happening);
      if (alert !== undefined) this.#board.event(alert);
    }
  }

  #nodeState(node: string, state: string, detail: string): void {
    if (this.#options.margin === undefined) return;
    const key = `node_quarantined ${node}`;
    if (state !== 'quarantined') {
      this.#board.over(key, `the lock node ${shown(node)} is ${state}`);
      return;
    }
    const why = detail === '' ? '' : `: ${shown(detail)}`;
    this.#board.raise({
      kind: 'node_quarantined',
      key,
      summary: `the lock node ${shown(node)} may have forgotten leases and does not vote${why}`,
      timeMs: this.#options.clock.wallMicros() / 1000,
      facts: { node: shown(node) },
    });
  }
}

/** Ends that somebody brought about on purpose and in good order are no loss. */
const ORDERLY = new Set(['forced', 'released']);

function eventAlert({ type, resources, owner, lease, reason, timeMs }: Happening): Alert | undefined {
  if (type !== 'forced' && (type !== 'lost' || ORDERLY.has(reason))) return undefined;
  const kind: Kind = type === 'forced' ? 'force_release' : 'lease_lost';
  const names = namesOf(resources, owner);
  const who = names.owner === '' ? 'its holder' : names.owner;
  const why = reason === '' ? '' : `: ${shown(reason)}`;
  const words = type === 'forced' ? 'was taken by force from' : 'was lost by';
  return {
    kind,
    key: `${kind} ${lease?.leaseRef ?? `${resources[0] ?? ''} ${timeMs}`}`,
    summary: `${names.resource} ${words} ${who}${why}`,
    timeMs,
    facts: {
      ...names,
      ...(lease === undefined ? {} : { lease_ref: lease.leaseRef, fencing_token: String(lease.token) }),
      ...(reason === '' ? {} : { reason: shown(reason) }),
    },
  };
}

function senderOf({ receiver, timeoutMs }: ChannelConfig, clock: Clock): Send {
  switch (receiver.kind) {
    case 'webhook':
      return webhook(receiver.url, receiver.secret, clock);
    case 'slack':
      return slack(receiver.url, clock);
    case 'dingtalk':
      return dingtalk(receiver.url, receiver.secret, clock);
    case 'smtp':
      return smtp(receiver.server, timeoutMs);
  }
}

const readText: ReadFile = (path) => readFileSync(path, 'utf8');

function configOf({ alerts }: Settings): ReturnType<typeof loadAlerts> {
  return alerts === undefined ? { config: defaultAlerts, warnings: [] } : loadAlerts(alerts, readText);
}

/** With the secrets, to see that one has changed. */
function textOf(config: AlertsConfig): string {
  return JSON.stringify(config, function (this: Record<string, unknown>, key: string, value: unknown) {
    // A secret has hidden itself by the time it comes here as `value`.
    const raw = this[key];
    return raw instanceof Secret ? raw.reveal() : value;
  });
}

export interface Surroundings extends Omit<AlertsOptions, 'config' | 'warnings' | 'margin'> {
  readonly settings: Settings;
  readonly worker: number | undefined;
  readonly cluster: () => { readonly quorumMargin: number };
}

/** Throws where the file of alerts is wrong, with all that is. */
export function openAlerts({ settings, worker, cluster, ...rest }: Surroundings): Alerts {
  const loaded = configOf(settings);
  if ('faults' in loaded) throw new Error(`HOLDFAST_ALERTS: ${loaded.faults.join('; ')}`);
  // A service of one node never has one to spare: there only its loss is news.
  const least = settings.redisNodes.length > 1 ? 0 : 1;
  const margin = (): number => cluster().quorumMargin + least;
  // One of several processes tells of nodes, or each would.
  return new Alerts({ ...rest, ...loaded, margin: (worker ?? 1) === 1 ? margin : undefined });
}
