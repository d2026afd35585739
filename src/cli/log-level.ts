/** `holdfast log-level`: has a replica log more or less, until its next change or restart. */
import type { SetLogLevelResponse__Output } from '../edge/gen/holdfast/v1/SetLogLevelResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, onlyArgument, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';

const usage = `Usage: holdfast log-level LEVEL [flags]

LEVEL is the least that the replica logs: trace, debug, info, warn, error, fatal or
silent. It holds until the next change, a reload that changes it, or a restart.
${CLIENT_USAGE}`;

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, CLIENT_OPTIONS);
    const level = onlyArgument(positionals, 'LEVEL');
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ admin, ask }) =>
      ask<SetLogLevelResponse__Output>((done) => admin.SetLogLevel({ level }, { deadline }, done)),
    );
    if (values.json) printJson(io, 'SetLogLevelResponse', answer);
    else io.out(`${answer.previous} -> ${level}\n`);
    return exit.ok;
  },
};
