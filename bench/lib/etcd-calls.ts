/** What the benches call at etcd, over one light connection. */
import { caller, connected, serviceOf } from './light-calls.ts';

interface Header {
  readonly header: { readonly revision: string };
}

export interface EtcdCalls {
  grant(request: { TTL: string }): Promise<{ ID: string }>;
  revoke(request: { ID: string }): Promise<Header>;
  keepAlive(request: { ID: string }): Promise<Header>;
  lock(request: { name: Buffer; lease: string }): Promise<Header & { key: Buffer }>;
  unlock(request: { key: Buffer }): Promise<Header>;
}

/** The messages are those of etcd.proto, the paths etcd's own. */
export async function connectEtcd(address: string): Promise<EtcdCalls> {
  const service = serviceOf('.', 'etcd.proto', 'holdfast.bench.etcd.Calls');
  const client = await connected(address);
  return {
    grant: caller(client, service, 'LeaseGrant', '/etcdserverpb.Lease/LeaseGrant'),
    revoke: caller(client, service, 'LeaseRevoke', '/etcdserverpb.Lease/LeaseRevoke'),
    keepAlive: caller(client, service, 'LeaseKeepAlive', '/etcdserverpb.Lease/LeaseKeepAlive'),
    lock: caller(client, service, 'Lock', '/v3lockpb.Lock/Lock'),
    unlock: caller(client, service, 'Unlock', '/v3lockpb.Lock/Unlock'),
  };
}
