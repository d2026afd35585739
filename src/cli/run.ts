/** `holdfast run`: runs a command while it holds a lease, and never longer than that. */
import { CALLER_USAGE, type Command } from './command.ts';
import { planOf } from './run/plan.ts';

const usage = `Usage: holdfast run RESOURCE... [flags] -- CMD [ARGUMENT...]

Waits for one lease on all resources, runs CMD while it is kept, gives it back, and ends
with CMD's exit code (128 + n when signal n ended it). When the lease is lost, or cannot
be renewed, CMD and all processes of its group are ended BEFORE somebody else can have
it: TERM, then KILL. When this process itself is killed, so are they. Signals are passed
on to CMD. CMD finds HOLDFAST_TOKEN, HOLDFAST_RESOURCES and HOLDFAST_LEASE_REF.

      --max-wait D       wait in line for so long at most; 0: do not wait (default: no limit)
      --ttl D            how soon the lease ends when nobody renews it, from 1s (default 30s)
      --kill-after D     from TERM to KILL; must fit into half of the ttl (default 10s,
                         or a third of the ttl where that is less)
      --on-loss WHAT     terminate (the default), kill (without TERM first), or warn (CMD
                         goes on WITHOUT the lease)
      --mode MODE        exclusive (the default), or shared with others who say so
      --any K            any K of the resources instead of all
      --priority N       0 to 9, a head start in line (default 0)
      --owner O          for whom; ONE thread of control (default HOST/PID/1)
      --label KEY=VALUE  shown in every view; may be repeated
      --env NAME=TEXT    a variable for CMD; may be repeated. In TEXT {name} is the names
                         granted, joined by commas, {last} what follows the last / of each,
                         {token} the fencing token, {ref} the lease's; {{ and }} are braces
      --no-gpu-env       do not set CUDA_VISIBLE_DEVICES (it is when every name granted is a
                         different gpu/N of one machine, such as gpu/3 or host7/gpu/0)
      --quiet            no line while it waits
      --address ADDRESS  a replica: HOST:PORT or unix:/path; may be repeated
                         (HOLDFAST_ADDRESS, comma-separated; default 127.0.0.1:7420)${CALLER_USAGE}
Exit codes of its own: 2 bad settings, 64 wrong usage, 69 no quorum or not reachable,
75 busy, 76 lease lost (CMD was ended), 126 CMD cannot be run, 127 CMD not found.
`;

export const command: Command = {
  usage,
  async run(args, io) {
    const plan = planOf(args);
    // Only now: the client loads gRPC.
    const { start } = await import('./run/start.ts');
    return start(plan, io);
  },
};
