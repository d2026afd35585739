/** `holdfast force-release`: ends a lease that is not one's own, for a holder that hangs. */
import type { ForceReleaseResponse__Output } from '../edge/gen/holdfast/v1/ForceReleaseResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import {
  CLIENT_OPTIONS,
  CLIENT_USAGE,
  type Command,
  onlyArgument,
  parseCommandLine,
  UsageError,
} from './command.ts';
import { exit } from './exit.ts';
import { HOLDER_HEAD, holderRow, section } from './format.ts';

const usage = `Usage: holdfast force-release RESOURCE --reason TEXT [flags]

Ends leases that hang. The holder is not asked and may still act until it learns of
it: what the lock protects has to check fencing tokens.

      --reason TEXT      why, required; kept in the history
      --lease-ref REF    only this lease (default: all that hold the resource)
${CLIENT_USAGE}`;

const OPTIONS = { ...CLIENT_OPTIONS, reason: { type: 'string' }, 'lease-ref': { type: 'string' } } as const;

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    const resource = onlyArgument(positionals, 'RESOURCE');
    if (!values.reason) throw new UsageError('--reason is missing: say why, for the history');
    const request = { resource, lease_ref: values['lease-ref'] ?? '', reason: values.reason };
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ admin, ask }) =>
      ask<ForceReleaseResponse__Output>((done) => admin.ForceRelease(request, { deadline }, done)),
    );
    if (values.json) printJson(io, 'ForceReleaseResponse', answer);
    else if (answer.freed.length === 0) io.out('nothing to end: no such lease holds it\n');
    else io.out(section('ended', HOLDER_HEAD, answer.freed.map(holderRow)).trimStart());
    return exit.ok;
  },
};
