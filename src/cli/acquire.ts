/** `holdfast acquire`: takes a lease, or says who has it. */
import { hostname } from 'node:os';
import { limits } from '../domain/limits.ts';
import type { AcquireRequest } from '../edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../edge/gen/holdfast/v1/AcquireResponse.ts';
import type { Busy__Output } from '../edge/gen/holdfast/v1/Busy.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import {
  CLIENT_OPTIONS,
  CLIENT_USAGE,
  type Command,
  durationFlag,
  labelsOf,
  parseCommandLine,
  UsageError,
  wholeFlag,
} from './command.ts';
import { exit } from './exit.ts';
import { plain, spanText, when } from './format.ts';
import { leaseText } from './lease-text.ts';
import { durationMs, durationOf } from './proto-json.ts';

const usage = `Usage: holdfast acquire RESOURCE... [flags]

Takes one lease on all resources and prints its id, ref, token, expiry and names. It
ends by itself after its ttl: renew it with \`holdfast heartbeat\`. Exit 75 when
somebody else has it, or had it for the whole wait. The lease id is a secret: whoever
knows it can end the lease.

      --ttl D            for how long without a heartbeat (default: the service's)
      --wait D           wait in line for so long (default: do not wait)
      --mode MODE        exclusive (the default), or shared with others who say so
      --owner O          for whom; ONE thread of control (default HOST/PID/1)
      --label KEY=VALUE  shown in every view; may be repeated
      --request-id ID    makes the call safe to repeat; choose it at random
      --priority N       0 to 9, a head start in line (default 0)
      --any K            any K of the resources instead of all; the answer names them
${CLIENT_USAGE}`;

const OPTIONS = {
  ...CLIENT_OPTIONS,
  ttl: { type: 'string' },
  wait: { type: 'string' },
  mode: { type: 'string' },
  owner: { type: 'string' },
  label: { type: 'string', multiple: true },
  'request-id': { type: 'string' },
  priority: { type: 'string' },
  any: { type: 'string' },
} as const;

const MODES = { exclusive: 'MODE_EXCLUSIVE', shared: 'MODE_SHARED' } as const;

function modeFlag(text: string): (typeof MODES)[keyof typeof MODES] {
  if (text === 'exclusive' || text === 'shared') return MODES[text];
  throw new UsageError(`--mode ${JSON.stringify(text)} must be exclusive or shared`);
}

function busyText(busy: Busy__Output): string {
  const lines = busy.holders.map(({ resource, owner, lease_ref, expire_time }) =>
    plain(`BUSY: ${resource} is held by ${owner} (${lease_ref}), expires ${when(expire_time)}`),
  );
  if (lines.length === 0) lines.push('BUSY: somebody stands ahead in line');
  if (busy.wait_elapsed) {
    lines.push(`  the wait is over${busy.position > 0 ? `, at place ${busy.position} in line` : ''}`);
  }
  if (busy.queue_length > 0) lines.push(`  ${busy.queue_length} waiting`);
  if (busy.retry_after !== null) lines.push(`  try again in ${spanText(durationMs(busy.retry_after))}`);
  return `${lines.join('\n')}\n`;
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    if (positionals.length === 0) throw new UsageError('RESOURCE is missing');
    const waitMs = values.wait === undefined ? 0 : durationFlag('wait', values.wait);
    const request: AcquireRequest = {
      resources: positionals,
      owner: values.owner ?? `${hostname()}/${process.pid}/1`,
      ...(values.ttl === undefined ? {} : { ttl: durationOf(durationFlag('ttl', values.ttl)) }),
      ...(waitMs === 0 ? {} : { wait: durationOf(waitMs) }),
      ...(values.mode === undefined ? {} : { mode: modeFlag(values.mode) }),
      any: values.any === undefined ? 0 : wholeFlag('any', values.any, limits.resourcesPerRequest),
      priority:
        values.priority === undefined ? 0 : wholeFlag('priority', values.priority, limits.priorityMax),
      request_id: values['request-id'] ?? '',
      labels: labelsOf(values.label ?? []),
    };
    const deadline = deadlineOf(values, waitMs);
    const answer = await withService(values, ({ lock, ask }) =>
      ask<AcquireResponse__Output>((done) => lock.Acquire(request, { deadline }, done)),
    );
    if (values.json) printJson(io, 'AcquireResponse', answer);
    const { lease, busy } = answer;
    if (lease) {
      if (!values.json) io.out(leaseText(lease));
      return exit.ok;
    }
    if (busy && !values.json) io.err(busyText(busy));
    return exit.busy;
  },
};
