/**
 * The container image, built by buildah without a registry of images, and run without a container runtime: as process 1 of
 * new namespaces, with the image's own user, variables and command, on a read-only root.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { Child } from './child.ts';
import { childrenOf } from './load-bench.ts';
import { until } from './wait.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** For npm ci, the build, and the removal of a gigabyte of layers, on a busy machine. */
export const BUILD_MS = 600_000;
/** Where npm finds its registry and whom it trusts, if this machine has its own settings. */
const NPM_SETTINGS = ['/usr/etc/npmrc', '/etc/ssl/certs'];

const Config = z.object({
  User: z.string(),
  Env: z.array(z.string()),
  Entrypoint: z.array(z.string()),
  Healthcheck: z.object({ Test: z.tuple([z.literal('CMD')], z.string()) }),
});

function run(command: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    input,
    cwd: ROOT,
    timeout: BUILD_MS,
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

function copyInto(folder: string, file: string, as = file): void {
  mkdirSync(join(folder, dirname(as)), { recursive: true });
  copyFileSync(file, join(folder, as));
}

/** Fills a folder with a root that has Node, npm, a shell, and the libraries that they need. */
function makeBase(folder: string): void {
  const programs = new Map([
    ['/usr/bin/node', process.execPath],
    ['/bin/sh', '/bin/sh'],
    ['/usr/bin/env', '/usr/bin/env'],
  ]);
  for (const [as, file] of programs) copyInto(folder, file, as);
  const libraries = run('ldd', [...programs.values()]).match(/\/\S+\.so\S*/g);
  for (const library of new Set(libraries)) copyInto(folder, library);
  const npm = dirname(dirname(realpathSync(run('sh', ['-c', 'command -v npm']).trim())));
  cpSync(npm, join(folder, 'usr/lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'usr/bin/npm'));
  for (const path of NPM_SETTINGS.filter(existsSync))
    cpSync(path, join(folder, path), { recursive: true, dereference: true });
  for (const name of ['tmp', 'proc', 'dev']) mkdirSync(join(folder, name));
}

const START = [
  'set -e',
  'ip link set lo up',
  'mount --bind "$ROOT" "$ROOT"',
  'mount -o remount,bind,ro "$ROOT"',
  'mount -t proc proc "$ROOT/proc"',
  'cd "$ROOT"',
  'exec "$@"',
].join('\n');

export class Podman {
  readonly child: Child;
  private static made = 0;
  private readonly name = `kecho-pool-${process.pid}-${Podman.made++}`;
  private readonly podman: readonly string[];

  constructor(podman: readonly string[], args: readonly string[]) {
    this.podman = podman;
    onTestFinished(() => void this.run('rm', '--force', '--time', '0', this.name), BUILD_MS);
    this.child = this.start('run', '--name', this.name, ...args);
  }

  private start(...args: string[]): Child {
    const [command = '', ...options] = this.podman;
    return new Child(command, [...options, ...args]);
  }

  private run(...args: string[]): string {
    const [command = '', ...options] = this.podman;
    return run(command, [...options, ...args]);
  }

  /** Of its process 1, seen from outside. */
  get pid(): number {
    return Number(this.run('inspect', '--format', '{{.State.Pid}}', this.name));
  }

  exec(command: readonly string[]): Child {
    return this.start('exec', this.name, ...command);
  }

  terminate(): void {
    this.run('kill', '--signal', 'TERM', this.name);
  }
}

export class Image {
  private readonly config: z.infer<typeof Config>;
  private readonly root: string;
  /** Of buildah and podman, which share it. */
  private readonly storage: readonly string[];

  /** Builds it in an empty folder; takes a minute or two. */
  constructor(storage: string) {
    const options = [
      '--storage-driver',
      'vfs',
      '--root',
      join(storage, 'root'),
      '--runroot',
      join(storage, 'run'),
    ];
    this.storage = options;
    const buildah = (...args: string[]) => run('buildah', [...options, ...args]);
    const fromScratch = join(storage, 'Containerfile');
    writeFileSync(fromScratch, 'FROM scratch\nCOPY . /\n');
    const build = ['bud', '--isolation', 'chroot', '--format', 'docker', '--pull-never'];
    const base = join(storage, 'base');
    makeBase(base);
    buildah(...build, '--file', fromScratch, '--tag', 'base', base);
    buildah(
      ...build,
      '--build-arg',
      'BASE_IMAGE=localhost/base',
      '--tag',
      'kecho-pool',
      '--file',
      'Containerfile',
      '.',
    );
    const { Docker } = JSON.parse(buildah('inspect', '--type', 'image', 'localhost/kecho-pool'));
    this.config = Config.parse(Docker.config);
    this.root = buildah('mount', buildah('from', '--pull-never', 'localhost/kecho-pool').trim()).trim();
  }

  /** The user that its process has. */
  get user(): string {
    return this.config.User;
  }

  private inRoot(command: readonly string[]): string[] {
    const { User, Env } = this.config;
    return [
      'env',
      '--ignore-environment',
      ...Env,
      '/usr/sbin/chroot',
      `--userspec=${User}`,
      this.root,
      ...command,
    ];
  }

  /** Starts its command with more arguments. Resolves with the outer process and the pid of the inner one. */
  async start(...args: string[]): Promise<{ child: Child; pid: number }> {
    const namespaces = ['--net', '--mount', '--pid', '--fork'];
    const command = this.inRoot([...this.config.Entrypoint, ...args]);
    const child = new Child('unshare', [...namespaces, 'sh', '-c', START, 'sh', ...command], {
      env: { ROOT: this.root },
    });
    await until(() => childrenOf(child.pid).length === 1 || child.ended !== null, 'the container to start');
    const [pid] = childrenOf(child.pid);
    if (pid === undefined) throw new Error(`it did not start: ${child.stderr}`);
    // unshare has no --kill-child for a process that changes its user.
    onTestFinished(() => {
      if (child.ended === null) process.kill(pid, 'SIGKILL');
    });
    return { child, pid };
  }

  /**
   * A container of podman and runc with these options of `podman run`, removed after the test. crun refuses hosts with
   * both versions of cgroups, and only lower limits of resources need no privilege.
   */
  podman(options: readonly string[], ...args: string[]): Podman {
    const podman = ['podman', ...this.storage, '--cgroup-manager', 'cgroupfs', '--runtime', 'runc'];
    const ulimits = ['nofile=8192:8192', 'nproc=4096:4096'].flatMap((limit) => ['--ulimit', limit]);
    return new Podman(podman, [...ulimits, ...options, 'localhost/kecho-pool', ...args]);
  }

  /** Runs a command in the running container. */
  exec(pid: number, command: readonly string[]): Child {
    return new Child('nsenter', [
      '--target',
      String(pid),
      '--net',
      '--mount',
      '--pid',
      ...this.inRoot(command),
    ]);
  }

  /** Runs the command of the health check. */
  healthCheck(pid: number): Child {
    return this.exec(pid, this.config.Healthcheck.Test.slice(1));
  }
}
