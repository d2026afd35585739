/** `holdfast release`: ends a lease. */
import type { ReleaseResponse__Output } from '../edge/gen/holdfast/v1/ReleaseResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, leaseIdArgument, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';

const usage = `Usage: holdfast release LEASE_ID [flags]

Ends a lease. May be repeated: a lease that was gone already is no error, and is
said to be so. Write \`-\` for LEASE_ID to read it from standard input: other users
of this machine can see the arguments of a command.

      --reason TEXT      why, for the history
${CLIENT_USAGE}`;

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, { ...CLIENT_OPTIONS, reason: { type: 'string' } });
    const request = { lease_id: await leaseIdArgument(positionals, io), reason: values.reason ?? '' };
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ lock, ask }) =>
      ask<ReleaseResponse__Output>((done) => lock.Release(request, { deadline }, done)),
    );
    if (values.json) printJson(io, 'ReleaseResponse', answer);
    else io.out(answer.released ? 'released\n' : 'not released: the lease was gone already\n');
    return exit.ok;
  },
};
