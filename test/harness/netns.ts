/** A network of its own for real nodes and replicas, in which nftables loses, resets and blackholes their packets. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

const READY = 'ip link set lo up && nft add table inet faults';

/** Empty where a private network can be had; else what a suite says of itself. */
export const withoutNetns = ((): string => {
  try {
    execFileSync('unshare', ['--net', 'sh', '-c', READY], { stdio: 'pipe' });
    return '';
  } catch {
    return ' [SKIPPED: no private network here; needs root, unshare, ip and nft: run make tools as root]';
  }
})();

/** What may become of a packet of one node's TCP port. */
export type PacketFault =
  | 'half-open'
  | 'to the node lost'
  | 'from the node lost'
  | 'reset'
  | 'one in five lost';

const RULES: Readonly<Record<PacketFault, readonly string[]>> = {
  'half-open': ['tcp dport PORT drop', 'tcp sport PORT drop'],
  'to the node lost': ['tcp dport PORT drop'],
  'from the node lost': ['tcp sport PORT drop'],
  reset: ['tcp dport PORT reject with tcp reset', 'tcp sport PORT reject with tcp reset'],
  'one in five lost': [
    'tcp dport PORT numgen random mod 100 < 20 drop',
    'tcp sport PORT numgen random mod 100 < 20 drop',
  ],
};

export class Netns {
  /** In front of the command line of whatever is to live there. */
  readonly within: readonly string[];
  readonly #keeper: ChildProcess;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
    this.within = ['nsenter', `--net=/proc/${keeper.pid}/ns/net`];
  }

  /** It lasts until `close`, or until this process ends: its keeper reads from here. */
  static async open(): Promise<Netns> {
    const chain = `nft add chain inet faults in '{ type filter hook input priority 0; }'`;
    const keeper = spawn('unshare', ['--net', 'sh', '-c', `${READY} && ${chain} && echo up && exec cat`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(keeper.stdout!, 'data');
    return new Netns(keeper);
  }

  /** From now on the packets of these ports, and of no others, fare so. */
  faults(...of: readonly (readonly [port: number, fault: PacketFault])[]): void {
    const rules = of.flatMap(([port, fault]) =>
      RULES[fault].map((rule) => rule.replaceAll('PORT', String(port))),
    );
    this.#nft(['flush chain inet faults in', ...rules.map((rule) => `add rule inet faults in ${rule}`)]);
  }

  heal(): void {
    this.#nft(['flush chain inet faults in']);
  }

  close(): void {
    this.#keeper.kill('SIGKILL');
  }

  #nft(lines: readonly string[]): void {
    const [file = '', ...args] = [...this.within, 'nft', '-f', '-'];
    execFileSync(file, args, { input: `${lines.join('\n')}\n`, stdio: ['pipe', 'pipe', 'inherit'] });
  }
}
