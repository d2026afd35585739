/** `holdfast list`: every resource that somebody holds or waits for. */
import { limits } from '../domain/limits.ts';
import type { ListResponse__Output } from '../edge/gen/holdfast/v1/ListResponse.ts';
import type { LockSummary__Output } from '../edge/gen/holdfast/v1/LockSummary.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, noArguments, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';
import { columns, enumText, plain, when } from './format.ts';

const usage = `Usage: holdfast list [flags]

Lists the resources that somebody holds or waits for, all pages of them.

      --prefix TEXT      only names that begin with this
      --owner O          only what exactly this owner holds
${CLIENT_USAGE}`;

const OPTIONS = { ...CLIENT_OPTIONS, prefix: { type: 'string' }, owner: { type: 'string' } } as const;

function listText(locks: readonly LockSummary__Output[]): string {
  if (locks.length === 0) return 'nothing is held\n';
  const rows = locks.map(({ resource, state, holders, queue_length }) => {
    const [first] = holders;
    const more = holders.length > 1 ? ` and ${holders.length - 1} more` : '';
    const owner = first === undefined ? '-' : `${first.owner}${more}`;
    const expires = first === undefined ? '-' : when(first.expire_time);
    return [
      resource,
      enumText(state, 'STATE'),
      owner,
      first?.fencing_token ?? '-',
      expires,
      String(queue_length),
    ];
  });
  return columns([
    ['RESOURCE', 'STATE', 'OWNER', 'TOKEN', 'EXPIRES', 'WAITING'],
    ...rows.map((row) => row.map(plain)),
  ]);
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    noArguments(positionals);
    const deadline = deadlineOf(values);
    const locks: LockSummary__Output[] = [];
    await withService(values, async ({ lock, ask }) => {
      let page_token = '';
      do {
        const request = {
          prefix: values.prefix ?? '',
          owner: values.owner ?? '',
          page_size: limits.pageSizeMax,
          page_token,
        };
        const page = await ask<ListResponse__Output>((done) => lock.List(request, { deadline }, done));
        locks.push(...page.locks);
        page_token = page.next_page_token;
      } while (page_token !== '');
    });
    if (values.json) printJson(io, 'ListResponse', { locks, next_page_token: '' });
    else io.out(listText(locks));
    return exit.ok;
  },
};
