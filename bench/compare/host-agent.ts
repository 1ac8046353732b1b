/**
 * The other side of `compare --on`: starts servers on this machine and tells what they use, for a comparison on another
 * one, which runs it through ssh.
 *
 *     kecho-pool compare-host
 *
 * Main thread. Questions come on standard input and are answered on standard output (host-protocol.ts). It ends with its
 * standard input, hence with the ssh connection, or when that has been silent for too long, and takes its server with it.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, isIP, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { exitOnStopSignal } from '../child-process.ts';
import { environment } from '../environment.ts';
import { programName } from '../programs.ts';
import { machineTimes, sharesBetween } from './disturbance.ts';
import { type Answer, type Asked, type Hello, installedHere, SILENCE_MAX_MS } from './host-protocol.ts';
import { Sampler } from './sampler.ts';
import { LocalHost, type LocalServer } from './server-host.ts';

/** The address of this machine that the ssh connection has reached: sshd(8). */
function reachedAddress(): string {
  const [, , address = ''] = (process.env.SSH_CONNECTION ?? '').split(' ');
  if (isIP(address) !== 0) return address;
  throw new Error(
    'SSH_CONNECTION names no address of this machine: compare --on starts this command, through ssh',
  );
}

function say(line: Hello | Answer): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

class Agent {
  private readonly host: LocalHost;
  private server: LocalServer | null = null;
  private sampler: Sampler | null = null;
  private times = machineTimes();

  constructor(address: string) {
    this.host = new LocalHost({}, address);
  }

  private get running(): LocalServer {
    if (this.server === null) throw new Error('no server has been started');
    return this.server;
  }

  private async valueOf(asked: Asked): Promise<unknown> {
    switch (asked.ask) {
      case 'start':
        this.server = await this.host.start(asked.label, installedHere(asked.command));
        this.sampler = new Sampler(this.server.local, false, 'none');
        return this.server.at;
      case 'figures':
        return { ...(await this.running.figures()), threads: this.sampler?.threadsMax ?? null };
      case 'ended':
        return await this.running.ended();
      case 'stop':
        return await this.stop(asked.atOnce);
      case 'shares':
        return this.shares();
    }
  }

  private shares() {
    const before = this.times;
    this.times = machineTimes();
    return sharesBetween(before, this.times);
  }

  private async stop(atOnce: boolean): Promise<void> {
    this.sampler?.end();
    await this.server?.stop(atOnce);
    this.server = null;
  }

  async answer(line: string): Promise<void> {
    const asked = JSON.parse(line) as Asked; // compare is of the same version: it has checked the Hello
    const { id } = asked;
    try {
      say({ id, value: (await this.valueOf(asked)) ?? null });
    } catch (error) {
      say({ id, error: (error as Error).message });
    }
  }
}

async function listening(address: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy()).listen(0, address);
  await once(server, 'listening');
  return server;
}

export async function runAgent(): Promise<never> {
  exitOnStopSignal();
  const address = reachedAddress();
  const agent = new Agent(address);
  const gauge = await listening(address);
  const { port } = gauge.address() as AddressInfo; // of a TCP server
  const lines = createInterface({ input: process.stdin });
  const silence = setTimeout(() => process.exit(1), SILENCE_MAX_MS); // which kills the server
  lines.on('line', (line) => {
    silence.refresh();
    if (line !== '') void agent.answer(line);
  });
  say({ program: programName(), address, port, environment: environment() });
  await once(lines, 'close');
  process.exit(0); // kills a server, also one that is being started
}
