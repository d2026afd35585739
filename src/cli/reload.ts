/** `holdfast reload`: has a replica read its settings again, and shows what came of it. */
import type { ReloadResponse__Output } from '../edge/gen/holdfast/v1/ReloadResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, parseCommandLine, UsageError } from './command.ts';
import { exit } from './exit.ts';

const usage = `Usage: holdfast reload [flags]

The replica reads its settings file, and the files that settings name, again. What can
change while it runs takes effect: all of it or, where anything is wrong, nothing. The
same as SIGHUP, which needs a shell where the replica runs.
${CLIENT_USAGE}`;

const told = (what: string, names: readonly string[]): string =>
  names.length === 0 ? '' : `${what}: ${names.join(', ')}\n`;

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, CLIENT_OPTIONS);
    if (positionals.length > 0) throw new UsageError('reload takes no arguments');
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ admin, ask }) =>
      ask<ReloadResponse__Output>((done) => admin.Reload({}, { deadline }, done)),
    );
    const { changed, restart_required: later } = answer;
    if (values.json) printJson(io, 'ReloadResponse', answer);
    else {
      io.out(told('in force now', changed) || 'nothing that can change while it runs has changed\n');
      io.out(told('needs a restart', later));
    }
    return exit.ok;
  },
};
