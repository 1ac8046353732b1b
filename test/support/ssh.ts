/**
 * Ways to reach another host for `compare --on`: a program in place of ssh(1), which runs the command here, and a real
 * sshd(8) on a host of test/support/network.ts, with keys of its own.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { temporaryFolder } from './folder.ts';
import type { Host } from './network.ts';
import { until } from './wait.ts';

const SSHD = '/usr/sbin/sshd';
/** Where sshd keeps its unprivileged half; a running system has it. */
const RUN_FOLDER = '/run/sshd';

export const noSshd = existsSync(SSHD) ? null : 'openssh-server is not installed';

/** The address that it has reached. */
const FAKE_ADDRESS = '127.0.0.2';

/** A PATH on which ssh runs the command on this machine, where no signal for ssh reaches it. */
export function fakeSsh(): string {
  const folder = temporaryFolder();
  const file = join(folder, 'ssh');
  const script = `echo '{ from a login script'\nfor command; do :; done\nSSH_CONNECTION='127.0.0.1 1 ${FAKE_ADDRESS} 22' exec setsid --wait sh -c "$command"\n`;
  writeFileSync(file, `#!/bin/sh\n${script}`);
  chmodSync(file, 0o755);
  return `${folder}:${process.env.PATH}`;
}

export interface Sshd {
  child: Child;
  /** A file for ssh's option -F, which names the host `server`; its host key is known. */
  config: string;
  /** The same without a known host key. */
  unknown: string;
}

function makeKey(file: string): string {
  const { status, stderr } = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`ssh-keygen: ${stderr}`);
  return readFileSync(`${file}.pub`, 'utf8');
}

/** Starts sshd on a host, which has this address. */
export async function startSshd(host: Host, address: string): Promise<Sshd> {
  const folder = temporaryFolder();
  const inside = (name: string, text?: string) => {
    const file = join(folder, name);
    if (text !== undefined) writeFileSync(file, text);
    return file;
  };
  mkdirSync(RUN_FOLDER, { recursive: true });
  const key = makeKey(inside('host'));
  makeKey(inside('user'));
  const settings = [
    `ListenAddress ${address}:22`,
    `HostKey ${inside('host')}`,
    `AuthorizedKeysFile ${inside('user.pub')}`,
    'StrictModes no', // the folder is in /tmp
    'UsePAM no',
    'PidFile none',
  ];
  const child = host.spawn([SSHD, '-D', '-e', '-f', inside('sshd_config', settings.join('\n'))]);
  await until(() => child.stderr.includes('Server listening') || child.ended !== null, 'sshd to listen');
  const config = (name: string, known: string) => {
    const lines = ['Host server', `HostName ${address}`, `IdentityFile ${inside('user')}`, 'User root'];
    return inside(name, [...lines, 'StrictHostKeyChecking no', `UserKnownHostsFile ${known}`].join('\n'));
  };
  return {
    child,
    config: config('config', inside('known', `${address} ${key}`)),
    unknown: config('unknown', '/dev/null'),
  };
}
