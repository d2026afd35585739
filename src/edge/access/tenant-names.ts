/** The names of one tenant: what its callers say, and what the nodes store. Pure. */
import { type Lease, renameInLeaseId } from '../../domain/lease.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type {
  Asker,
  Granted,
  HistoryPage,
  HolderView,
  Inspection,
  LockEvent,
  LockSummary,
  Loss,
  Queued,
  WaiterView,
} from '../../locks/locks.ts';

/** In no resource name that a caller may say. It sorts behind all that are. */
const MARK = '~';
const FOREIGN = /^~[A-Za-z0-9._-]{1,64}\//;

/** Whether a stored name belongs to some tenant. */
export function isTenants(stored: string): boolean {
  return stored.startsWith(MARK);
}

/** Whether an owner text would read as some tenant's; a resource name cannot. */
export function looksLikeTenants(owner: string): boolean {
  return owner.startsWith(MARK) && FOREIGN.test(owner);
}

/** JSON arrays of names in the metadata of a refusal. */
const ARRAYS: ReadonlySet<string> = new Set(['owners', 'resources']);

export class TenantNames {
  /** `~TENANT/` */
  readonly prefix: string;

  constructor(tenant: string) {
    this.prefix = `${MARK}${tenant}/`;
  }

  /** As the nodes know it. */
  stored(name: string): string {
    return this.prefix + name;
  }

  allStored(names: readonly string[]): string[] {
    return names.map((name) => this.prefix + name);
  }

  /** As the tenant knows it. */
  told(stored: string): string {
    return stored.startsWith(this.prefix) ? stored.slice(this.prefix.length) : stored;
  }

  has(stored: string): boolean {
    return stored.startsWith(this.prefix);
  }

  /** A text for people with any of its names in it. */
  text(text: string): string {
    return text.includes(this.prefix) ? text.replaceAll(this.prefix, '') : text;
  }

  refusal(refusal: Refusal): Refusal {
    const metadata: Record<string, string> = {};
    for (const [key, value] of Object.entries(refusal.metadata)) {
      metadata[key] = ARRAYS.has(key) ? this.#array(value) : this.text(value);
    }
    return { ...refusal, message: this.text(refusal.message), metadata };
  }

  lease(lease: Lease): Lease {
    const resources = lease.resources.map((name) => this.told(name));
    const leaseId = renameInLeaseId(lease.leaseId, resources);
    return { ...lease, leaseId, resources, owner: this.told(lease.owner) };
  }

  granted(granted: Granted): Granted {
    return { ...granted, lease: this.lease(granted.lease) };
  }

  holder(holder: HolderView): HolderView {
    return { ...holder, resource: this.told(holder.resource), owner: this.told(holder.owner) };
  }

  holders(holders: readonly HolderView[]): HolderView[] {
    return holders.map((holder) => this.holder(holder));
  }

  queued(queued: Queued): Queued {
    return { ...queued, holders: this.holders(queued.holders) };
  }

  waiter(waiter: WaiterView): WaiterView {
    return { ...waiter, owner: this.told(waiter.owner) };
  }

  asker(asker: Asker): Asker {
    return { ...asker, owner: this.told(asker.owner) };
  }

  loss(loss: Loss): Loss {
    return { ...loss, detail: this.text(loss.detail) };
  }

  event(event: LockEvent): LockEvent {
    return { ...event, resource: this.told(event.resource), owner: this.told(event.owner) };
  }

  summary(summary: LockSummary): LockSummary {
    return {
      ...summary,
      resource: this.told(summary.resource),
      holders: this.holders(summary.holders),
    };
  }

  inspection(inspection: Inspection): Inspection {
    return {
      ...inspection,
      resource: this.told(inspection.resource),
      holders: this.holders(inspection.holders),
      waiters: inspection.waiters.map((waiter) => this.waiter(waiter)),
      nodes: inspection.nodes.map((node) => ({ ...node, detail: this.text(node.detail) })),
      history: inspection.history.map((event) => this.event(event)),
    };
  }

  past(page: HistoryPage): HistoryPage {
    const own = page.events.filter(({ resource }) => this.has(resource));
    return { ...page, events: own.map((event) => this.event(event)) };
  }

  #array(json: string): string {
    const names = JSON.parse(json) as string[];
    return JSON.stringify(names.map((name) => this.told(name)));
  }
}
