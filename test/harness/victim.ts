/** What no attack may touch, and how an attack on it is judged. */
import { expect } from 'vitest';
import { AttackSite, type Person } from './attack-site.ts';
import type { AuditWish } from './audit-log.ts';
import { type Lease, type Refused, refusal } from './replica.ts';
import { until } from './until.ts';

export const DENIED = { code: 7, reason: 'DENIED' };
export const LOST = { code: 9, reason: 'LEASE_LOST', metadata: { why: 'unknown' } };
export const UNKNOWN = { code: 5, reason: 'UNKNOWN_RESOURCE' };
export const INVALID = { code: 3, reason: 'INVALID_FIELD' };

/** What belongs to acme, in whatever form it could be told; what the attacker says himself may be repeated. */
export const TELLTALE = /trainer-1|~acme|acme/;

interface Expected {
  readonly code: number;
  readonly reason: string;
}

export async function lastOf(stream: { ended: Refused | 'OK' | undefined }): Promise<Refused | 'OK'> {
  return await until('the stream has ended', () => stream.ended);
}

export class Victim {
  readonly site: AttackSite;
  /** The trainer's, of the tenant acme. */
  readonly lease: Lease;
  readonly secret: Lease;
  /** The same name in the tenant of the rival, so that a mix-up would be seen. */
  readonly rivals: Lease;

  private constructor(site: AttackSite, lease: Lease, secret: Lease, rivals: Lease) {
    this.site = site;
    this.lease = lease;
    this.secret = secret;
    this.rivals = rivals;
  }

  static async open(): Promise<Victim> {
    const site = await AttackSite.open();
    const trainer = site.by('trainer');
    return new Victim(
      site,
      await trainer.lock('gpu/0', { owner: 'trainer-1', request_id: 'same-request' }),
      await trainer.lock('model/secret-project', { owner: 'trainer-1' }),
      await site.by('rival').lock('gpu/0', { owner: 'rival-1' }),
    );
  }

  /** It has what it had; and then no more. */
  async survived(): Promise<void> {
    const trainer = this.site.by('trainer');
    const { lease_id, fencing_token } = this.lease;
    expect(await trainer.heartbeat(lease_id)).toMatchObject({ fencing_token });
    expect(await trainer.release(lease_id)).toBe(true);
    expect(await trainer.release(this.secret.lease_id)).toBe(true);
  }

  async unchanged<T>(attack: () => Promise<T>): Promise<T> {
    const before = await this.site.nodes.dumps();
    const answer = await attack();
    expect(await this.site.nodes.dumps()).toEqual(before);
    return answer;
  }

  /** As `unchanged`; and who did it is written down, with an outcome that is none. */
  async audited<T>(by: Person, attack: () => Promise<T>, line: AuditWish): Promise<T> {
    const sinceMs = Date.now();
    const answer = await this.unchanged(attack);
    // Of very many in one second some are only counted: who goes on is told of again.
    await this.site.audited(sinceMs, { identity: by, ...line }, attack);
    return answer;
  }

  /** Refused with the right code, silent about what others have, written down, and no node is another than before. */
  async refused(
    by: Person,
    action: string,
    attack: () => Promise<unknown>,
    expected: Expected,
  ): Promise<Refused> {
    const answer = await this.audited(by, () => refusal(attack()), { action, outcome: expected.reason });
    expect(answer).toMatchObject(expected);
    expect(JSON.stringify(answer)).not.toMatch(TELLTALE);
    return answer;
  }

  /** A lease id that is nobody's, or another's, gives nothing back, and that is written down. */
  async notHeld(by: Person, leaseId: string): Promise<void> {
    const attack = () => this.site.by(by).release(leaseId);
    expect(await this.audited(by, attack, { action: 'release', outcome: 'not_held' })).toBe(false);
  }

  async denied(by: Person, attack: () => Promise<unknown>, line: AuditWish): Promise<void> {
    const denied = () => refusal(attack());
    expect(await this.audited(by, denied, { outcome: 'DENIED', ...line })).toMatchObject(DENIED);
  }
}
