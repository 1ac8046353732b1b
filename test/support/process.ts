/** The kernel's view of a process: descriptors, threads, memory, CPU time, listening sockets. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

type Pid = number | 'self';

/** Open descriptors; for this process, including the one that lists them. */
export function descriptors(pid: Pid = 'self'): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export function threads(pid: Pid = 'self'): number {
  return readdirSync(`/proc/${pid}/task`).length;
}

/** Resident memory in KiB. */
export function residentKib(pid: Pid): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (match === null) throw new Error(`no VmRSS in /proc/${pid}/status`);
  return Number(match[1]);
}

/** CPU time of all threads in clock ticks of 10 ms. */
export function cpuTicks(pid: Pid): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from field 3, the state
  return Number(fields[11]) + Number(fields[12]);
}

export function hasCommand(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${name}`));
}

/** The kernel's backlog of a listening TCP socket: the column Send-Q of ss. */
export function backlogOf(port: number): number {
  const text = execFileSync('ss', ['-ltnH', `sport = :${port}`], { encoding: 'utf8' });
  return Number(text.trim().split(/\s+/)[2]);
}

/** Ports of its listening TCP sockets. */
export function listeningPorts(pid: number): number[] {
  const lines = execFileSync('ss', ['-ltnpH'], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => line.includes(`,pid=${pid},`))
    .map((line) => Number(/:(\d+)\s/.exec(line)?.[1]));
}
