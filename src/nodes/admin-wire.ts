/** Admission steps as admin.lua reads them, its answers, and a process's INFO as facts. */
import type { AdminAnswer, AdminOp, FenceEntry, Meta, NodeFacts, Quarantine } from './admin.ts';
import { fenceStates } from './wire.ts';

export function adminText(op: AdminOp): string {
  if (op.kind !== 'takeover') return JSON.stringify(op);
  return JSON.stringify({
    ...op,
    floor: String(op.floor),
    entries: op.entries.map(({ resource, token, state, opener }) => [
      resource,
      String(token),
      state[0],
      opener,
    ]),
  });
}

type Texts<T> = { readonly [Key in keyof T]: string };

interface Raw {
  readonly kind: string;
  readonly detail?: string;
  readonly meta?: Texts<Meta>;
  readonly quarantine?: Texts<Quarantine>;
  readonly entries?: [string, string, string, string][] | object;
  readonly next?: string;
  readonly floor?: string;
}

export function parseAdmin(text: string): AdminAnswer {
  const raw = JSON.parse(text) as Raw;
  switch (raw.kind) {
    case 'state':
      return {
        kind: 'state',
        ...(raw.meta === undefined ? {} : { meta: metaOf(raw.meta) }),
        ...(raw.quarantine === undefined ? {} : { quarantine: quarantineOf(raw.quarantine) }),
      };
    case 'done':
      return { kind: 'done' };
    case 'lost':
      return { kind: 'lost', detail: raw.detail ?? '' };
    case 'fences':
      return {
        kind: 'fences',
        entries: Array.isArray(raw.entries) ? raw.entries.map(entryOf) : [],
        next: raw.next ?? '',
        floor: BigInt(raw.floor ?? '0'),
      };
    default:
      return { kind: 'failed', detail: raw.detail ?? `unreadable answer of kind ${raw.kind}` };
  }
}

function entryOf([resource, token, state, opener]: [string, string, string, string]): FenceEntry {
  return { resource, token: BigInt(token), state: fenceStates[state] ?? 'open', opener };
}

function metaOf(texts: Texts<Meta>): Meta {
  return {
    schema: Number(texts.schema),
    nodeId: texts.nodeId,
    cluster: texts.cluster,
    runId: texts.runId,
    durable: texts.durable === '1',
    longestTtlMs: Number(texts.longestTtlMs),
    floor: BigInt(texts.floor),
    suspectUntil: Number(texts.suspectUntil),
  };
}

function quarantineOf(texts: Texts<Quarantine>): Quarantine {
  return {
    id: texts.id,
    runId: texts.runId,
    cluster: texts.cluster,
    why: texts.why,
    adopted: texts.adopted === '1',
    longestTtlMs: Number(texts.longestTtlMs),
  };
}

/** Reads INFO; `appendfsync` is CONFIG GET's answer, or whatever came instead. */
export function factsOf(info: string, appendfsync: unknown): NodeFacts {
  const fields = new Map<string, string>();
  for (const line of info.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const always = Array.isArray(appendfsync) && appendfsync[1] === 'always';
  return {
    runId: fields.get('run_id') ?? '',
    role: fields.get('role') ?? '',
    clusterEnabled: fields.get('cluster_enabled') === '1',
    maxmemoryPolicy: fields.get('maxmemory_policy') ?? '',
    durable: fields.get('aof_enabled') === '1' && always,
    version: fields.get('redis_version') ?? '',
  };
}
