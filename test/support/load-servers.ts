/**
 * Echo servers for tests of the load generator: right ones, deliberately wrong ones, and slow ones that keep
 * a record. They run in the process of the test, on node:net; all their sockets go when the test has finished.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** What a server does with a connection. */
export type Behaviour = (socket: Socket) => void;

async function listen(behaviour: Behaviour): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // a client that leaves early is the client's affair
    socket.on('close', () => sockets.delete(socket));
    behaviour(socket);
  });
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  onTestFinished(close);
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close };
}

/** The port of a server that does this. */
export async function serverThat(behaviour: Behaviour): Promise<number> {
  return (await listen(behaviour)).port;
}

/** A port that nobody listens on. */
export async function deadPort(): Promise<number> {
  const { port, close } = await listen(() => {});
  await close();
  return port;
}

const endWithClient = (socket: Socket) => socket.on('end', () => socket.end());

export const echo: Behaviour = (socket) => {
  endWithClient(socket);
  socket.on('data', (data) => socket.write(data));
};

/** The original's defect: more bytes than came, in the same segment. */
export const garbageWithTheEcho: Behaviour = (socket) => {
  endWithClient(socket);
  socket.on('data', (data: Buffer) => socket.write(Buffer.concat([data, Buffer.from('garbage')])));
};

/** The same a moment later, when the whole echo has been read. */
export const garbageAfterTheEcho: Behaviour = (socket) => {
  socket.on('end', () => setTimeout(() => socket.end(), 60));
  socket.on('data', (data) => {
    socket.write(data);
    setTimeout(() => socket.write('\0'), 20);
  });
};

/** Sends once more when the client has ended, as the original did. */
export const garbageAtTheEnd: Behaviour = (socket) => {
  socket.on('data', (data) => socket.write(data));
  socket.on('end', () => socket.end('x'));
};

/** Every 10,000th byte of a connection has one bit flipped. */
export const oneByteIn10000: Behaviour = (socket) => {
  let seen = 0;
  endWithClient(socket);
  socket.on('data', (data: Buffer) => {
    const flip = 9_999 - (seen % 10_000);
    if (flip < data.length) data.writeUInt8(data.readUInt8(flip) ^ 1, flip);
    seen += data.length;
    socket.write(data);
  });
};

/** A buffer that is not emptied: the last quarter of an answer is that of the request before. */
export const staleTail: Behaviour = (socket) => {
  let before: Buffer | null = null;
  endWithClient(socket);
  socket.on('data', (data: Buffer) => {
    const from = (data.length * 3) >> 2;
    socket.write(before === null ? data : Buffer.concat([data.subarray(0, from), before.subarray(from)]));
    before = data;
  });
};

export const closesHalfWay: Behaviour = (socket) => {
  endWithClient(socket);
  socket.on('data', (data: Buffer) => socket.end(data.subarray(0, data.length >> 1)));
};

export const resets: Behaviour = (socket) => {
  socket.on('data', () => socket.resetAndDestroy());
};

export const neverAnswers: Behaviour = (socket) => {
  endWithClient(socket);
  socket.resume();
};

/** The echo, so much later. */
export function answersAfter(delayMs: number): Behaviour {
  return (socket) => {
    endWithClient(socket);
    socket.on('data', (data) => setTimeout(() => socket.write(data), delayMs));
  };
}

/** A server whose delays are `delayOf` the number of the request; `applied` is what each took in fact. */
export function delaying(delayOf: (n: number) => number): { behaviour: Behaviour; applied: number[] } {
  const applied: number[] = [];
  let n = 0;
  const behaviour: Behaviour = (socket) => {
    endWithClient(socket);
    socket.on('data', (data) => {
      const sinceMs = performance.now();
      setTimeout(() => {
        applied.push(performance.now() - sinceMs); // before the write: the client may get the processor in it
        socket.write(data);
      }, delayOf(n++));
    });
  };
  return { behaviour, applied };
}

/** Echoes at once, but answers nothing from `fromMs` to `toMs` after its first request; then all that is due. */
export function stallingOnce(fromMs: number, toMs: number): Behaviour {
  let firstMs = 0;
  return (socket) => {
    endWithClient(socket);
    socket.on('data', (data) => {
      if (firstMs === 0) firstMs = performance.now();
      const sinceMs = performance.now() - firstMs;
      if (sinceMs < fromMs || sinceMs >= toMs) socket.write(data);
      else setTimeout(() => socket.write(data), toMs - sinceMs);
    });
  };
}
