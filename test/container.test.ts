/**
 * Goal: the image of Containerfile is built from its stages, serves as process 1 and as an unprivileged user on a read-only
 * root, passes its health check, drains on SIGTERM and ends with the documented code.
 * Method: buildah builds it on a base made from the installed Node, since no registry of images is needed then; npm installs
 * the packages. Limits of cgroups and the default seccomp profile need a container runtime: podman with runc.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUILD_MS, Image } from './support/image.ts';
import { noNamespace } from './support/namespace.ts';
import { hasCommand } from './support/process.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const noBuildah = hasCommand('buildah') ? null : 'buildah is not installed';
const notHere = noBuildah ?? noNamespace ?? (FULL ? null : 'only in npm run test:full');

const noPodman = ['podman', 'runc'].every(hasCommand) ? null : 'podman and runc are not installed';
/** Exit codes of podman itself or its runtime: the host lets it make no container (podman-run(1)). */
const PODMAN_FAILED = new Set([125, 126, 127]);
const MEMORY_BYTES = 2 ** 29;
const PIDS = 200;

/** A limit of the control group of a process, under either version. */
function limitOf(pid: number, controller: string, names: readonly string[]): number {
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  const own = new RegExp(`^\\d+:${controller}:(.*)$`, 'm').exec(groups)?.[1];
  const folder = own === undefined ? (/^0::(.*)$/m.exec(groups)?.[1] ?? '') : `/${controller}${own}`;
  const file = names.map((name) => `/sys/fs/cgroup${folder}/${name}`).find(existsSync);
  return Number(readFileSync(file ?? `no limit in ${folder}`, 'utf8'));
}

/** Sends one message and prints its echo. */
const CLIENT = `
  const socket = require('node:net').connect(12345, '127.0.0.1', () => socket.end('container'));
  socket.pipe(process.stdout);`;
/** Keeps a connection until its standard input ends. */
const STAYING = `
  const socket = require('node:net').connect(12345, '127.0.0.1', () => socket.write('open'));
  socket.pipe(process.stdout);
  process.stdin.resume().on('end', () => socket.end());`;

describe.skipIf(notHere !== null)(`the image (${notHere ?? 'built by buildah'})`, () => {
  let folder: string;
  let image: Image;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'kecho-pool-image-'));
    image = new Image(folder);
  }, BUILD_MS);
  afterAll(() => rmSync(folder, { recursive: true }), BUILD_MS);

  it('serves as process 1 and an unprivileged user on a read-only root, and drains', {
    timeout: 900_000,
  }, async () => {
    const { child, pid } = await image.start('--drain-timeout', '60s');
    expect(await child.line('listening')).toMatchObject({ pid: 1, address: '0.0.0.0', port: 12345 });
    const [user = ''] = image.user.split(':');
    expect(user).not.toBe('0');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:(\\t${user}){4}$`, 'm'));
    expect(status).toMatch(/^CapEff:\t0+$/m);

    const client = image.exec(pid, ['node', '--eval', CLIENT]);
    expect(await client.untilEnded(), client.stderr).toEqual({ code: 0, signal: null });
    expect(client.stdout).toBe('container');
    const writing = image.exec(pid, [
      'node',
      '--eval',
      "require('node:fs').writeFileSync('/app/written', '')",
    ]);
    expect(await writing.untilEnded()).toEqual({ code: 1, signal: null });
    expect(writing.stderr).toContain('EROFS');
    const health = image.healthCheck(pid);
    expect(await health.untilEnded(), health.stderr).toEqual({ code: 0, signal: null });

    const staying = image.exec(pid, ['node', '--eval', STAYING]);
    await until(() => staying.stdout === 'open', 'the echo');
    process.kill(pid, 'SIGTERM');
    expect(await child.line('draining')).toMatchObject({ connections: 1 });
    staying.process.stdin?.end();
    expect(await child.untilEnded(), child.stderr).toEqual({ code: 0, signal: null });
    expect(await child.line('stopped')).toMatchObject({ cut: 0 });

    const unhealthy = await image.start('--admin', '127.0.0.1:9091');
    await unhealthy.child.line('listening');
    expect(await image.healthCheck(unhealthy.pid).untilEnded()).toEqual({ code: 1, signal: null });
  });

  it.skipIf(noPodman !== null)(
    `serves with limits of cgroups and the default seccomp profile, on a read-only root (${noPodman ?? 'podman'})`,
    { timeout: 900_000 },
    async ({ skip }) => {
      const limits = ['--memory', String(MEMORY_BYTES), '--pids-limit', String(PIDS)];
      const hardened = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
      const options = ['--network', 'none', ...limits, ...hardened];
      const trial = image.podman(options, '--version').child;
      const { code } = await trial.untilEnded(60_000);
      skip(PODMAN_FAILED.has(code ?? 0), `podman runs no container here: ${trial.stderr}`);
      const container = image.podman(options, '--drain-timeout', '60s');
      expect(await container.child.line('listening')).toMatchObject({ pid: 1, port: 12345 });
      const { pid } = container;
      expect(limitOf(pid, 'memory', ['memory.max', 'memory.limit_in_bytes'])).toBe(MEMORY_BYTES);
      expect(limitOf(pid, 'pids', ['pids.max'])).toBe(PIDS);
      expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^NoNewPrivs:\t1\nSeccomp:\t2$/m);
      const client = container.exec(['node', '--eval', CLIENT]);
      expect(await client.untilEnded(60_000), client.stderr).toEqual({ code: 0, signal: null });
      expect(client.stdout).toBe('container');
      const writing = container.exec([
        'node',
        '--eval',
        "require('node:fs').writeFileSync('/app/written', '')",
      ]);
      expect((await writing.untilEnded(60_000)).code).toBe(1);
      expect(writing.stderr).toContain('EROFS');
      container.terminate();
      expect(await container.child.untilEnded(60_000), container.child.stderr).toEqual({
        code: 0,
        signal: null,
      });
      expect(await container.child.line('stopped')).toMatchObject({ cut: 0 });
    },
  );
});
