/** `holdfast health`: asks grpc.health.v1 whether the replica serves; for containers and load balancers. */
import { Client } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';
import { addressOf, ask, deadlineOf, dialling } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, noArguments, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';

const usage = `Usage: holdfast health [flags]

Asks the standard health service (grpc.health.v1) whether the replica can grant
leases. Exit 0 when it serves, 69 when it does not or does not answer.

      --live             only whether the process answers at all
      --service NAME     of one service (default: the server as a whole)
${CLIENT_USAGE}`;

const OPTIONS = { ...CLIENT_OPTIONS, live: { type: 'boolean' }, service: { type: 'string' } } as const;

interface HealthAnswer {
  readonly status: string;
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    noArguments(positionals);
    const check = service.Check!;
    const { credentials, options } = dialling(values);
    const client = new Client(addressOf(values), credentials, options);
    const deadline = deadlineOf(values);
    const encode = (request: object) => check.requestSerialize(request);
    const decode = (bytes: Buffer) => check.responseDeserialize(bytes) as HealthAnswer;
    try {
      const { status } = await ask<HealthAnswer>((done) =>
        client.makeUnaryRequest(
          check.path,
          encode,
          decode,
          { service: values.service ?? '' },
          { deadline },
          done,
        ),
      );
      const good = values.live === true || status === 'SERVING';
      io.out(values.json ? `${JSON.stringify({ status })}\n` : `${status.toLowerCase().replace('_', ' ')}\n`);
      return good ? exit.ok : exit.noQuorum;
    } finally {
      client.close();
    }
  },
};
