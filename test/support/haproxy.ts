/** HAProxy with the configuration of deploy/, and its figures. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Child } from './child.ts';
import { temporaryFolder } from './folder.ts';
import type { Host } from './network.ts';
import { until } from './wait.ts';

export const HAPROXY_CONFIGURATION = fileURLToPath(
  new URL('../../deploy/haproxy/haproxy.cfg', import.meta.url),
);

/** What `show stat` tells of a server. */
export interface Balanced {
  isUp: boolean;
  /** Open connections, and all since the start; checks are not counted. */
  open: number;
  total: number;
  /** Attempts to connect that failed, and were repeated here or with another server. */
  retries: number;
}

export class Haproxy {
  readonly child: Child;
  private readonly socket = join(temporaryFolder(), 'haproxy.sock');

  constructor(host: Host) {
    this.child = host.spawn(['haproxy', '-db', '-f', HAPROXY_CONFIGURATION], {
      env: { STATS_SOCKET: this.socket },
    });
  }

  /** The servers by name. */
  async servers(): Promise<Map<string, Balanced>> {
    const socket = connect(this.socket);
    socket.write('show stat\n');
    const [header = '', ...lines] = (await text(socket)).trim().split('\n');
    const names = header.replace('# ', '').split(',');
    const rows = lines.map((line) => new Map(line.split(',').map((value, i) => [names[i], value])));
    const servers = rows.filter((row) => row.get('type') === '2');
    return new Map(servers.map((row) => [row.get('svname') ?? '', balanced(row)]));
  }

  /** Resolves once it has this server as up, or down. */
  async untilUp(name: string, isUp = true): Promise<void> {
    const answered = () => this.servers().catch(() => null); // null: it does not listen yet
    const said = () => `(${this.child.stdout}${this.child.stderr})`;
    await until(
      async () => {
        if (this.child.ended !== null) throw new Error(`HAProxy has ended ${said()}`);
        return (await answered())?.get(name)?.isUp === isUp;
      },
      () => `${name} to be ${isUp ? 'up' : 'down'} ${said()}`,
    );
  }
}

function balanced(row: ReadonlyMap<string | undefined, string>): Balanced {
  const number = (name: string) => Number(row.get(name));
  return {
    isUp: row.get('status')?.startsWith('UP') ?? false,
    open: number('scur'),
    total: number('stot'),
    retries: number('wretr') + number('wredis'),
  };
}
