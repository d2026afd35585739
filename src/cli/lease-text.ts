/** A lease for its holder to read; the id comes first, for it is what the next command needs. */
import type { Lease__Output } from '../edge/gen/holdfast/v1/Lease.ts';
import { columns, enumText, labelsText, plain, spanText, when } from './format.ts';
import { durationMs, timeMs } from './proto-json.ts';

export function leaseText(lease: Lease__Output): string {
  const { ttl, expire_time } = lease;
  const at = expire_time === null ? '' : ` (${new Date(timeMs(expire_time)).toISOString()})`;
  const rows = [
    ['lease_id', lease.lease_id],
    ['lease_ref', lease.lease_ref],
    ['token', lease.fencing_token],
    ['expires', `${when(expire_time)}${at}`],
    ['ttl', ttl === null ? '-' : spanText(durationMs(ttl))],
    ['resources', lease.resources.join(' ')],
    ['owner', lease.owner],
  ];
  if (lease.mode === 'MODE_SHARED') rows.push(['mode', enumText(lease.mode, 'MODE')]);
  if (Object.keys(lease.labels).length > 0) rows.push(['labels', labelsText(lease.labels)]);
  if (lease.replayed)
    rows.push(['replayed', 'this request was granted before; send a heartbeat before relying on it']);
  return columns(rows.map((row) => row.map(plain)));
}
