/**
 * Echo servers for tests of the load generator: correct, deliberately wrong, and slow ones that record their delays.
 * They run in the test's process on node:net; their sockets are destroyed when the test finishes.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { freePort } from '../../bench/free-port.ts';

/** What a server does with a connection. */
export type Behaviour = (socket: Socket) => void;

/** Starts a server with this behaviour and returns its port. */
export async function serverThat(behaviour: Behaviour): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // the client may close early
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
  return (server.address() as AddressInfo).port;
}

/** A port without a listener, which the kernel gives to no other socket. */
export async function deadPort(): Promise<number> {
  return freePort();
}

const endWithClient = (socket: Socket) => socket.on('end', () => socket.end());

export const echo: Behaviour = (socket) => {
  endWithClient(socket);
  socket.on('data', (data) => socket.write(data));
};

/** The original's defect: surplus bytes in the same segment. */
export const garbageWithTheEcho: Behaviour = (socket) => {
  endWithClient(socket);
  socket.on('data', (data: Buffer) => socket.write(Buffer.concat([data, Buffer.from('garbage')])));
};

/** The same a moment later, after the client has read the echo. */
export const garbageAfterTheEcho: Behaviour = (socket) => {
  socket.on('end', () => setTimeout(() => socket.end(), 60));
  socket.on('data', (data) => {
    socket.write(data);
    setTimeout(() => socket.write('\0'), 20);
  });
};

/** Sends again after the client's FIN, as the original did. */
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

/** A buffer that is not cleared: the last quarter of an answer is from the previous request. */
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

/** Echoes after `delayMs`. */
export function answersAfter(delayMs: number): Behaviour {
  return (socket) => {
    endWithClient(socket);
    socket.on('data', (data) => setTimeout(() => socket.write(data), delayMs));
  };
}

/** Delays request n by `delayOf(n)`; `applied` records the actual delays. */
export function delaying(delayOf: (n: number) => number): { behaviour: Behaviour; applied: number[] } {
  const applied: number[] = [];
  let n = 0;
  const behaviour: Behaviour = (socket) => {
    endWithClient(socket);
    socket.on('data', (data) => {
      const sinceMs = performance.now();
      setTimeout(() => {
        applied.push(performance.now() - sinceMs); // before write(), in which the client may be scheduled
        socket.write(data);
      }, delayOf(n++));
    });
  };
  return { behaviour, applied };
}

/** Echoes at once, except from `fromMs` to `toMs` after its first request; these answers are sent at `toMs`. */
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
