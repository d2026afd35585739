/** A client process that takes one lock and keeps it until it is killed: `holder.ts ADDRESS RESOURCE OWNER TTL_MS WAIT_S`. */
import { RpcClient, span } from './rpc-client.ts';

const [address, resource, owner, ttlMs, waitS] = process.argv.slice(2);
const client = new RpcClient(address!);
const wait = { seconds: Number(waitS) };
const lease = await client.lock(resource!, { owner: owner!, ttl: span(Number(ttlMs)), wait });
process.stdout.write(`${lease.fencing_token}\n`);
// A connection without calls keeps no process alive.
setInterval(() => {}, 60_000);
