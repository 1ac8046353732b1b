/**
 * Goal: the command line does what its help says. Options come from flags and environment and are checked
 * one by one and together; a mistake yields one line that names the option, the value and what is allowed, and
 * the matching exit code.
 * Method: the program as a child process; assertions on standard output, standard error and the exit code. What it says of
 * a wrong option is also checked without a process.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, networkInterfaces } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { complaintOf } from '../src/cli/complaint.ts';
import { buildProgram } from '../src/cli/program.ts';
import { UsageError } from '../src/options/index.ts';
import { whyUnsupported } from '../src/sys/node-version.ts';
import { BIN, Child, runBin, STACK, startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { effective } from './support/command-line.ts';
import { expectOneLine } from './support/option-checks.ts';
import type { CommandLine } from './support/random-options.ts';
import { STRATEGIES } from './support/server.ts';
import { until } from './support/wait.ts';

const USAGE = 2;
const CANNOT_LISTEN = 3;

async function output(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const child = runBin(args, { env });
  expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  expect(child.stderr).toBe('');
  return child.stdout;
}

async function config(args: readonly string[], env: Record<string, string> = {}) {
  return JSON.parse(await output([...args, '--print-config'], env)) as Record<string, unknown>;
}

/** The child writes one line to standard error, nothing to standard output, and exits with `code`. */
async function expectComplaint(child: Child, code: number, parts: readonly string[]): Promise<void> {
  expect(await child.untilEnded()).toEqual({ code, signal: null });
  expect(child.stdout).toBe('');
  expect(child.stderr).toMatch(/^kecho-pool: [^\n]+\n$/);
  expect(child.stderr).not.toMatch(STACK);
  for (const part of parts) expect(child.stderr).toContain(part);
}

function expectRefused(given: CommandLine, parts: readonly string[]): void {
  const complaint = effective(given);
  for (const part of parts) expect(complaint).toContain(part);
  expectOneLine(String(complaint));
}

describe('output', () => {
  it('prints the version of the package for --version', async () => {
    expect(await output(['--version'])).toBe(`${packageJson.version}\n`);
    expect(await output(['-V'])).toBe(`${packageJson.version}\n`);
  });

  it('prints the defaults for --print-config', async () => {
    expect(await config([])).toMatchObject({
      strategy: 'cmwq',
      port: 12345,
      host: '127.0.0.1',
      backlog: 4096,
      cpus: expect.any(Number),
      maxWorkers: expect.any(Number),
      idleTimeoutMs: 300_000,
      maxConnections: expect.any(Number),
      drainTimeoutMs: 10_000,
      logLevel: 'info',
      pretty: false, // standard output is not a terminal here
    });
  });

  it('takes options from flags', async () => {
    const args = ['-s', 'kthread', '-p', '0', '-H', '::1', '-b', '17', '--max-workers', '9', '--pretty'];
    args.push(
      '--max-connections',
      '20',
      '--max-queue',
      '3',
      '--drain-timeout',
      '1.5s',
      '--log-level',
      'debug',
    );
    const kthread = { strategy: 'kthread', port: 0, host: '::1', backlog: 17, maxWorkers: 9, pretty: true };
    const limits = { maxConnections: 20, maxQueue: 3, drainTimeoutMs: 1500, logLevel: 'debug' };
    expect(await config(args)).toMatchObject({ ...kthread, ...limits });
    expect(await config(['-s', 'workqueue', '--workers', '3'])).toMatchObject({ workers: 3 });
    const cmwq = { cpus: 3, idleTimeoutMs: 300_000 };
    expect(await config(['--cpus', '3', '--idle-timeout', '5m'])).toMatchObject(cmwq);
  });

  it('takes options from the environment; a flag wins', async () => {
    const env = {
      KECHO_POOL_STRATEGY: 'workqueue',
      KECHO_POOL_PORT: '7000',
      KECHO_POOL_WORKERS: '5',
      KECHO_POOL_DRAIN_TIMEOUT: '250ms',
      KECHO_POOL_PRETTY: 'true',
      KECHO_POOL_HOST: '', // empty counts as not set
    };
    const expected = { strategy: 'workqueue', port: 7000, workers: 5, drainTimeoutMs: 250, pretty: true };
    expect(await config([], env)).toMatchObject({ ...expected, host: '127.0.0.1' });
    expect(await config(['serve', '--port', '7001', '--no-pretty'], env)).toMatchObject({
      ...expected,
      port: 7001,
      pretty: false,
    });
  });

  it('takes options before and after serve', async () => {
    expect(await config(['-p', '7000', 'serve', '--backlog', '5'])).toMatchObject({ port: 7000, backlog: 5 });
  });
});

describe('the environment', () => {
  it('logs an unknown variable, and the server runs', async () => {
    const { child } = await startBin([], { env: { KECHO_POOL_PROT: '7000' } });
    expect(await child.line('unknown KECHO_POOL_* variables')).toMatchObject({
      unknown: ['KECHO_POOL_PROT'],
    });
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});

describe('in a namespace with a Kubernetes service called kecho-pool', () => {
  const env = {
    KECHO_POOL_SERVICE_HOST: '10.96.12.7',
    KECHO_POOL_PORT: 'tcp://10.96.12.7:12345',
    KECHO_POOL_PORT_12345_TCP: 'tcp://10.96.12.7:12345',
  };

  it('starts the server, and logs the ignored variables in one line', async () => {
    const { child } = await startBin([], { env });
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    const ignored = child.lines.filter((line) => JSON.stringify(line).includes('KECHO_POOL_'));
    expect(ignored).toMatchObject([
      { msg: 'variables of a Kubernetes service ignored', ignored: Object.keys(env) },
    ]);
    expect(await config([], env)).toMatchObject({ port: 12345 });
  });

  it('still refuses any other KECHO_POOL_PORT that is not a port', async () => {
    const child = runBin([], { env: { ...env, KECHO_POOL_PORT: 'tcp://elsewhere' } });
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    expect(child.stderr).toMatch(
      /^kecho-pool: KECHO_POOL_PORT: "tcp:\/\/elsewhere" is not allowed: [^\n]+\n$/,
    );
  });
});

describe('usage: one line, exit 2', () => {
  const integer = (min: number, max: number) => `an integer from ${min} to ${max}`;

  it.each([
    { args: ['--port', '65536'], parts: ['--port', '65536', integer(0, 65535)] },
    { args: ['--port', '-1'], parts: ['--port', '-1'] },
    { args: ['--port', '80.5'], parts: ['--port', '"80.5"', integer(0, 65535)] },
    { args: ['--port', '0x50'], parts: ['--port', '"0x50"', integer(0, 65535)] },
    { args: ['--port', ''], parts: ['--port', '""', integer(0, 65535)] },
    { args: ['--backlog', '0'], parts: ['--backlog', '0', integer(1, 65535)] },
    { args: ['--max-connections', 'many'], parts: ['--max-connections', '"many"', integer(1, 1048575)] },
    { args: ['--strategy', 'fast'], parts: ['--strategy', '"fast"', 'one of kthread, workqueue, cmwq'] },
    { args: ['--log-level', 'loud'], parts: ['--log-level', '"loud"', 'one of fatal, error'] },
    { args: ['--drain-timeout', '10'], parts: ['--drain-timeout', '"10"', '250ms, 10s or 5m'] },
    { args: ['--idle-timeout', '0ms'], parts: ['--idle-timeout', '"0ms"', 'from 1ms'] },
    { args: ['--host', 'two words'], parts: ['--host', '"two words"', 'without spaces'] },
    { args: ['--port'], parts: ['--port: a value is missing', integer(0, 65535)] },
    { args: ['--bogus'], parts: ['--bogus', '--help'] },
    { args: ['tpo'], parts: ["unknown command 'tpo' (Did you mean top?)"] },
    { args: ['--pretty=yes'], parts: ['--pretty takes no value', '--no-pretty'] },
    { args: ['extra'], parts: ['extra', '--help'] },
    { args: ['serve', 'extra'], parts: ['extra', '--help'] },
    { args: ['--workers', '2'], parts: ['--workers', '2', 'only with --strategy workqueue', 'cmwq'] },
    { args: ['-s', 'kthread', '--cpus', '2'], parts: ['--cpus', '2', 'only with --strategy cmwq'] },
    {
      args: ['-s', 'kthread', '--idle-timeout', '1s'],
      parts: ['--idle-timeout: "1s"', 'only with --strategy cmwq'],
    },
    { args: ['-s', 'kthread', '--max-spill', '2MiB'], parts: ['--max-spill: "2MiB"', 'cmwq'] },
    { args: ['--max-queue', '5'], parts: ['--max-queue', '5', 'only with --strategy kthread or workqueue'] },
  ])('$args', ({ args, parts }) => expectRefused({ args, environment: {} }, parts));

  it.each([
    { env: { KECHO_POOL_PORT: 'http' }, parts: ['KECHO_POOL_PORT', '"http"', integer(0, 65535)] },
    { env: { KECHO_POOL_PRETTY: 'maybe' }, parts: ['KECHO_POOL_PRETTY', '"maybe"', 'true or false'] },
    {
      env: { KECHO_POOL_WORKERS: '2' },
      parts: ['KECHO_POOL_WORKERS', '2', 'only with --strategy workqueue'],
    },
    {
      env: { KECHO_POOL_MAX_QUEUE_AGE: '1.5s' },
      parts: ['KECHO_POOL_MAX_QUEUE_AGE: "1.5s"', 'only with --strategy kthread or workqueue'],
    },
  ])('$env', ({ env, parts }) => expectRefused({ args: [], environment: env }, parts));

  it.each([
    { args: ['--prot', '5'], parts: ["'--prot' (Did you mean --port?)"] },
    { args: ['--cpus', '4', '--max-workers', '04'], parts: ['--max-workers: "04"', 'at least 5'] },
    { args: ['-p', '7000', 'bench', '--help'], parts: ['--port: not allowed before bench'] },
    { args: ['--no-pretty', 'compare', '--plan'], parts: ['--no-pretty: not allowed before compare'] },
    { args: ['--print-config', 'timeline'], parts: ['--print-config: not allowed before timeline'] },
    {
      args: ['--admin', '9090', 'top', '--once'],
      parts: ['--admin: not allowed before top', 'after its name'],
    },
    { args: ['-p', '7000', 'help', 'top'], parts: ['--port: not allowed before help', 'with serve'] },
    { args: ['-s', 'cmwq', 'demo'], parts: ['--strategy: not allowed before demo', 'with serve'] },
  ])('as a process: $args', ({ args, parts }) => expectComplaint(runBin(args), USAGE, parts));

  it('escapes line breaks in a value', async () => {
    await expectComplaint(runBin(['--host', 'two\nlines']), USAGE, ['--host', '"two\\nlines"']);
    await expectComplaint(runBin(['--two\nlines']), USAGE, ['--two']);
  });

  it('has no message for errors that are not usage errors', () => {
    expect(complaintOf(new UsageError('--port', 'x', 'a number'), buildProgram())).toBe(
      '--port: "x" is not allowed: a number',
    );
    expect(complaintOf(new Error('a defect'), buildProgram())).toBeNull();
  });

  const limited = (descriptors: number, args: readonly string[]) =>
    new Child('sh', ['-c', `ulimit -n ${descriptors} && exec "$0" "$@"`, process.execPath, BIN, ...args]);

  it('refuses more threads than the descriptor limit allows', async () => {
    const child = limited(256, ['-s', 'kthread', '--max-workers', '100']);
    await expectComplaint(child, USAGE, ['--max-workers', '100', 'descriptor limit of 256', '964']);
  });

  it('names both mistakes when the descriptor limit is too low for any number of threads', async () => {
    const child = limited(100, ['--cpus', '2', '--max-workers', '10']);
    const limits = ['descriptor limit of 100', `${64 + 2 * 2 + 3 * 16}`, `10 need ${64 + 2 * 2 + 10 * 16}`];
    await expectComplaint(child, USAGE, ['--max-workers: "10"', ...limits]);
  });

  it.each([
    { args: ['--cpus', '2'], needed: 64 + 2 * 2 + 3 * 16 },
    { args: ['-s', 'workqueue'], needed: 64 + availableParallelism() * 16 },
    { args: ['-s', 'kthread', '--admin', '0'], needed: 64 + 80 + 9 },
  ])('$args: refuses a descriptor limit that is too low', async ({ args, needed }) => {
    const child = limited(needed - 1, args);
    await expectComplaint(child, USAGE, [
      `descriptor limit (ulimit -n): ${needed - 1}`,
      `at least ${needed}`,
    ]);
    expect(child.stderr).not.toMatch(/workers/i);
  });
});

describe('listening fails: one line, exit 3', () => {
  it.each(STRATEGIES)('%s: the port is in use', async (strategy) => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await until(() => other.listening, 'the other server to listen');
    const { port } = other.address() as { port: number }; // it listens on TCP
    const child = runBin(['-s', strategy, '-p', String(port)]);
    await expectComplaint(child, CANNOT_LISTEN, [`port ${port}`, 'EADDRINUSE', '--port']);
  });

  it('names an address that no interface has', async () => {
    const child = runBin(['--host', '192.0.2.1', '--port', '0']);
    await expectComplaint(child, CANNOT_LISTEN, ['192.0.2.1', 'EADDRNOTAVAIL']);
  });

  it('names a host without an address', async () => {
    const child = runBin(['--host', 'nowhere.invalid', '--port', '0']);
    await expectComplaint(child, CANNOT_LISTEN, ['nowhere.invalid', '--host']);
  });
});

describe('listening', () => {
  it.each([
    { args: ['-s', 'kthread', '--max-workers', '5'], expected: { strategy: 'kthread', maxWorkers: 5 } },
    {
      args: ['-s', 'workqueue', '--workers', '3'],
      expected: { strategy: 'workqueue', workers: 3, threads: 3 },
    },
    {
      args: ['-s', 'cmwq', '--cpus', '1'],
      expected: { strategy: 'cmwq', cpus: 1, threads: expect.any(Number) },
    },
  ])('$args: logs address and limits in the first line', async ({ args, expected }) => {
    const { child, port, listening } = await startBin([...args, '--max-connections', '50']);
    expect(child.lines[0]).toEqual(listening);
    expect(listening).toMatchObject({ address: '127.0.0.1', ...expected });
    expect(listening.limits).toMatchObject({
      maxConnections: 50,
      descriptors: expect.any(Number),
      reserve: expect.any(Number),
      backlog: 4096,
    });
    await (await connectTo(port)).echo('hello');
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === '::1'),
  );
  it.skipIf(!hasIpv6).each(STRATEGIES)('%s: works on the IPv6 address ::1', async (strategy) => {
    const { port, listening } = await startBin(['-s', strategy, '--host', '::1']);
    expect(listening.address).toBe('::1');
    await (await connectTo(port, { host: '::1' })).echo('hello');
  });

  it('works on a host name', async () => {
    const { port, listening } = await startBin(['--host', 'localhost']);
    await (await connectTo(port, { host: String(listening.address) })).echo('hello');
  });

  it('logs human-readable lines with --pretty', async () => {
    const child = runBin(['--port', '0', '--pretty']);
    await until(() => child.stdout.includes('listening') || child.ended !== null, 'the line "listening"');
    expect(child.stdout).toMatch(/^\[\d\d:\d\d:\d\d\.\d+\] INFO: listening/);
  });

  it('logs connections at debug, single echoes at trace, and payload never', async () => {
    const { child, port } = await startBin(['--log-level', 'trace']);
    const client = await connectTo(port);
    await client.echo('a secret');
    await client.quit();
    expect(await child.line('connection')).toMatchObject({ peer: '127.0.0.1', peerPort: expect.any(Number) });
    expect(await child.line('closed')).toMatchObject({ reason: 'eof', bytesIn: 8, bytesOut: 8, echoes: 1 });
    await until(() => child.lines.some((line) => line.type === 'echo' && line.bytes === 8), 'the echo');
    expect(child.stdout).not.toContain('secret');
  });
});

/** The major version of the system's Node, beside the one that runs the tests; 0 without a system Node. */
function systemNodeMajor(): number {
  if (!existsSync('/usr/bin/node')) return 0;
  return Number(/^v(\d+)/.exec(execFileSync('/usr/bin/node', ['--version'], { encoding: 'utf8' }))?.[1]);
}

describe('an old Node: one line, exit 2', () => {
  const built = new URL('../dist/src/bin.js', import.meta.url).pathname;
  const major = systemNodeMajor();

  it.skipIf(major === 0 || major >= 24 || !existsSync(built))(
    'names its version and the required ones',
    async () => {
      const child = new Child('/usr/bin/node', [built]);
      await expectComplaint(child, USAGE, [
        `Node ${major}.`,
        packageJson.engines.node,
        'npm install node@26',
      ]);
    },
  );

  it.skipIf(major === 0 || major >= 24 || !existsSync(built))(
    'stops the library with the same line',
    async () => {
      const { href } = new URL('../dist/src/index.js', import.meta.url);
      const program = `(await import('${href}')).createEchoServer()`;
      const child = new Child('/usr/bin/node', ['--input-type=module', '--eval', program]);
      expect((await child.untilEnded()).code).toBe(1);
      expect(child.stderr).toContain(
        `Error: Node ${packageJson.engines.node} is required, this is Node ${major}.`,
      );
    },
  );

  it.each([
    ['20.20.2', false],
    ['24.19.9', false],
    ['24.20.0', true],
    ['25.9.0', false],
    ['26.5.1', false],
    ['26.6.0', true],
    ['27.0.0', true],
  ])('%s is supported: %s', (version, isSupported) => {
    expect(whyUnsupported(version) === null).toBe(isSupported);
  });
});

it('elsewhere than on Linux: one line with the command of the README that runs it in a container, exit 2', async () => {
  const elsewhere = "data:text/javascript,Object.defineProperty(process, 'platform', { value: 'darwin' })";
  const child = new Child(process.execPath, ['--import', elsewhere, BIN]);
  expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
  const [, command = ''] =
    /^kecho-pool: Linux is required [^\n]*darwin; in a container: ([^\n]+)\n$/.exec(child.stderr) ?? [];
  expect(command).toContain('docker run');
  expect(readFileSync(new URL('../README.md', import.meta.url), 'utf8')).toContain(`\n${command}\n`);
});
