/** A project that uses the package: .ci/package compiles and runs it beside the installed package. */
import { createEchoServer, type EchoServerOptions, type ServerStats, SysError, UsageError } from 'kecho-pool';
import { createAdmin } from 'kecho-pool/admin';
import { type BenchResult, bench } from 'kecho-pool/bench';
import { blocking, type HandlerConnection } from 'kecho-pool/handler';

export default function handler(request: Uint8Array, { id, requests }: HandlerConnection): void {
  blocking(() => request.length + id + requests);
}

const options: EchoServerOptions = { port: 0, strategy: 'workqueue', workers: 1, logLevel: 'silent' };
await using server = createEchoServer(options);
const { port } = await server.listen();
const admin = createAdmin(server, { listen: '127.0.0.1:0' });
await admin.listen();
const stats: ServerStats = server.stats();
if (port === 0 || stats.connections.active !== 0) throw new Error('the installed package does not serve');
await admin.close();
const results: BenchResult[] = await bench({
  target: `127.0.0.1:${port}`,
  clients: 1,
  requests: 5,
  warmupMs: 0,
});
if (results[0]?.completed !== 5) throw new Error('the installed package does not measure');
try {
  createEchoServer({ port: -1 });
  throw new Error('the installed package accepts port -1');
} catch (error) {
  if (!(error instanceof UsageError) || error instanceof SysError) throw error;
}
