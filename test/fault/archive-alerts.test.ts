/** Operators hear of an archive whose database is killed or full, of what it lost, and of its return; locks go on. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Folder } from '../harness/certificates.ts';
import { Postgres, withoutPostgres } from '../harness/postgres.ts';
import { Prometheus, withoutPrometheus } from '../harness/prometheus.ts';
import { Receiver } from '../harness/receiver.ts';
import type { TestReplica } from '../harness/replica.ts';
import { Samples } from '../harness/samples.ts';
import { Scene } from '../harness/scene.ts';
import { SmallDisk, withoutSmallDisk } from '../harness/small-disk.ts';
import { repeat, until } from '../harness/until.ts';
import { ArchiveTraffic } from './archive-traffic.ts';

const UP = 'holdfast_archive_up';
const ADDED = 'holdfast_archive_events_total';
const LOST = 'holdfast_archive_lost_events_total';
const RULE = 'HoldfastArchiveGap';
const AWAY = 'the archive takes no events';
const MISSING = 'are missing from the archive';
/** Half of the rule each: how many were lost is never 0, and `== 0` is nothing else. */
const some = (value: number): boolean => value > 0;
const none = (value: number): boolean => value === 0;

/** One replica with an archive, and whom it tells. */
class Site {
  readonly replica: TestReplica;
  readonly #ops: Receiver;

  private constructor(replica: TestReplica, ops: Receiver) {
    this.replica = replica;
    this.#ops = ops;
  }

  static async open(scene: Scene, folder: Folder, name: string, archive: string): Promise<Site> {
    const ops = await Receiver.start();
    scene.onClose(() => ops.close());
    const channel = { name: 'ops', kind: 'webhook', url: ops.url, secret: ops.secret };
    const alerts = { group_interval: '0s', channels: [{ ...channel, events: ['archive_gap'] }] };
    const replica = await scene.replica({
      HOLDFAST_ARCHIVE: archive,
      HOLDFAST_ALERTS: folder.write(`${name}.yaml`, JSON.stringify(alerts)),
      // So few that an outage costs events at once.
      HOLDFAST_EVENT_BUFFER: '64',
    });
    return new Site(replica, ops);
  }

  get http(): string {
    return this.replica.replica.httpAddress;
  }

  get instance(): { readonly instance: string } {
    return { instance: this.http };
  }

  /** `status summary` of each alert that came, signed. */
  get told(): string[] {
    return this.#ops.messages.flatMap(({ data }) =>
      data.alerts.map(({ summary }) => `${data.kind} ${data.status} ${summary}`),
    );
  }

  async hears(status: string, summary: string): Promise<void> {
    const look = (): boolean =>
      this.told.some((one) => one.startsWith(`archive_gap ${status} `) && one.endsWith(summary));
    await until(`the webhook is told that it is ${status}: ${summary}`, look, 30_000, 50);
  }

  async becomes(name: string, is: (value: number) => boolean): Promise<void> {
    const look = async (): Promise<boolean> => is(await this.replica.metric(name));
    await until(`${name} is as expected`, look, 30_000, 50);
  }

  async lost(): Promise<number> {
    const samples = await Samples.of(this.http);
    return ['dropped', 'failed'].reduce((sum, why) => sum + samples.value(`${LOST}{reason="${why}"}`), 0);
  }

  /** Takes and returns a lock so many times; one that the traffic of another site leaves alone. */
  async locks(count: number): Promise<void> {
    const { client } = this.replica;
    await repeat(count, async () => {
      expect(await client.release((await client.lock('other/0')).lease_id)).toBe(true);
    });
  }
}

const skipped = `${withoutPostgres}${withoutPrometheus}${withoutSmallDisk}`;

describe.skipIf(skipped !== '').concurrent(`an archive${skipped}`, () => {
  const folder = new Folder();
  let scene: Scene;
  let server: Postgres;
  let disk: SmallDisk;
  let prometheus: Prometheus;
  let killed: Site;
  let full: Site;

  beforeAll(async () => {
    [scene, server] = await Promise.all([Scene.open(), Postgres.start()]);
    disk = new SmallDisk(512);
    killed = await Site.open(scene, folder, 'killed', server.url());
    full = await Site.open(scene, folder, 'full', `sqlite:${join(disk.directory, 'history.db')}`);
    prometheus = await Prometheus.start([killed.http, full.http]);
  });

  afterAll(async () => {
    await prometheus?.stop();
    await scene?.close();
    await server?.stop();
    disk?.close();
    folder.remove();
  });

  test('whose Postgres is killed with SIGKILL: that it is away, then that events are lost, then its return', async () => {
    await killed.locks(1);
    await killed.becomes(ADDED, some);
    expect(await killed.replica.metric(UP)).toBe(1);
    await server.crash();
    await killed.locks(1);
    await killed.becomes(UP, none);
    // Nothing is lost yet: this is the rule's second half.
    await prometheus.fires(RULE, killed.instance, none);
    await killed.hears('firing', AWAY);
    expect([await killed.lost(), killed.told.join()]).toEqual([0, expect.not.stringContaining(MISSING)]);
    // More than may wait for it: and this is the first.
    await killed.locks(100);
    await killed.becomes(LOST, some);
    await prometheus.fires(RULE, killed.instance, some);
    await killed.hears('firing', MISSING);
    await server.revive();
    await killed.becomes(UP, (value) => value === 1);
    await killed.hears('resolved', 'the archive takes events again');
    const lost = await killed.lost();
    await killed.locks(10);
    await prometheus.rests(RULE, killed.instance);
    expect(await killed.lost()).toBe(lost);
    expect(killed.told.filter((one) => one.endsWith(AWAY)).length).toBe(1);
  });

  test('whose disk is full: that it is away, that events are lost, and its return', async () => {
    const traffic = new ArchiveTraffic(full.replica);
    await traffic.becomes(UP, none);
    await traffic.becomes(LOST, some);
    await prometheus.fires(RULE, full.instance, some);
    await full.hears('firing', AWAY);
    await full.hears('firing', MISSING);
    await traffic.goesOn();
    expect(await full.lost()).toBeGreaterThan(0);
    // Nobody takes what is not there: while it is away, and nothing more is lost, the second half goes on by itself.
    await traffic.stop();
    await prometheus.fires(RULE, full.instance, none);
    disk.grow(64 * 1024);
    await full.becomes(UP, (value) => value === 1);
    await full.hears('resolved', 'the archive takes events again');
    await prometheus.rests(RULE, full.instance);
    expect(full.told.filter((one) => one.endsWith(AWAY)).length).toBe(1);
  });
});
