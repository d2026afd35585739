/** `holdfast heartbeat`: extends a lease from now on. */
import type { HeartbeatResponse__Output } from '../edge/gen/holdfast/v1/HeartbeatResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import {
  CLIENT_OPTIONS,
  CLIENT_USAGE,
  type Command,
  durationFlag,
  leaseIdArgument,
  parseCommandLine,
} from './command.ts';
import { exit } from './exit.ts';
import { plain } from './format.ts';
import { leaseText } from './lease-text.ts';
import { durationOf } from './proto-json.ts';

const usage = `Usage: holdfast heartbeat LEASE_ID [flags]

Extends a lease from now on; exit 76 when it is gone. Write \`-\` for LEASE_ID to
read it from standard input: other users of this machine can see the arguments of
a command, and whoever knows the id can end the lease.

      --ttl D            for how long (default: the ttl it was acquired with)
      --progress TEXT    shown to others, such as \`epoch 3 of 10\`
${CLIENT_USAGE}`;

const OPTIONS = { ...CLIENT_OPTIONS, ttl: { type: 'string' }, progress: { type: 'string' } } as const;

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    const ttlMs = values.ttl === undefined ? undefined : durationFlag('ttl', values.ttl);
    const request = {
      lease_id: await leaseIdArgument(positionals, io),
      ...(ttlMs === undefined ? {} : { ttl: durationOf(ttlMs) }),
      progress: values.progress ?? '',
    };
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ lock, ask }) =>
      ask<HeartbeatResponse__Output>((done) => lock.Heartbeat(request, { deadline }, done)),
    );
    if (values.json) {
      printJson(io, 'HeartbeatResponse', answer);
      return exit.ok;
    }
    if (answer.lease) io.out(leaseText(answer.lease));
    const asked = answer.yield_request;
    if (asked) io.err(plain(`${asked.owner} (priority ${asked.priority}) asks for the lock`).concat('\n'));
    return exit.ok;
  },
};
