/**
 * Goal: what the README promises works with the real telnet client in a terminal: type a line, see the echo,
 * quit; and the server goes on.
 * Method: telnet runs in a pseudo-terminal that script(1) makes. The terminal shows a typed line once by
 * itself and once more as the server's echo, and the server's counters say that the bytes made the trip.
 * Skipped where telnet or script is missing.
 */
import { describe, expect, it } from 'vitest';
import type { EchoServer } from '../src/index.ts';
import { Child } from './support/child.ts';
import { hasCommand } from './support/process.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { until } from './support/wait.ts';

const CTRL_RIGHT_BRACKET = '\x1d';
const canRun = hasCommand('telnet') && hasCommand('script');

function startTelnet(port: number): Child {
  const command = `telnet 127.0.0.1 ${port}`;
  return new Child('script', ['--quiet', '--flush', '--command', command, '/dev/null'], {
    env: { TERM: 'dumb', SHELL: '/bin/sh' },
  });
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** One session from the connection to "quit". */
async function session(server: EchoServer, port: number, lines: readonly string[]): Promise<void> {
  const { bytesIn: before } = server.stats();
  const telnet = startTelnet(port);
  await until(() => telnet.stdout.includes('Escape character'), 'telnet to be connected');
  await untilActive(server, 1);
  let typedBytes = 0;
  for (const line of lines) {
    telnet.write(`${line}\r`); // what the Enter key sends
    typedBytes += line.length + 2; // telnet ends a line with CR LF
    await until(() => occurrences(telnet.stdout, line) === 2, `"${line}" as typed and as echoed`);
  }
  const received = () => server.stats().bytesIn - before;
  await until(() => received() >= typedBytes, 'the end of the last line'); // it may come behind the line
  expect(received()).toBe(typedBytes);
  telnet.write(CTRL_RIGHT_BRACKET);
  await until(() => telnet.stdout.includes('telnet> '), "telnet's prompt");
  telnet.write('quit\r');
  expect(await telnet.untilEnded()).toEqual({ code: 0, signal: null });
  expect(telnet.stdout).toContain('Connection closed.');
  for (const line of lines) expect(occurrences(telnet.stdout, line)).toBe(2);
  await untilActive(server, 0);
}

describe.each(STRATEGIES)('%s', (strategy) => {
  it.skipIf(!canRun)('serves telnet in a terminal, and goes on when it has quit', async () => {
    const { server, port } = await startServer({ strategy });
    await session(server, port, ['hello', 'a much longer line than the first one', 'bye']);
    await session(server, port, ['again']);
    const { connections, bytesIn, bytesOut } = server.stats();
    expect(connections).toMatchObject({ accepted: 2, active: 0, closed: { eof: 2, error: 0 } });
    expect(bytesOut).toBe(bytesIn);
  });
});
