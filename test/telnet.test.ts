/**
 * Goal: the README's session works with the real telnet client in a terminal: type a line, see the echo, quit; and the
 * server keeps serving.
 * Method: telnet runs in a pseudo-terminal made by script(1). The terminal shows each line twice, as typed and as
 * echoed, and the server's counters confirm the round trip. Skipped where telnet or script is missing.
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
    telnet.write(`${line}\r`); // the Enter key
    typedBytes += line.length + 2; // telnet ends a line with CR LF
    await until(() => occurrences(telnet.stdout, line) === 2, `"${line}" typed and echoed`);
  }
  const received = () => server.stats().bytesIn - before;
  await until(() => received() >= typedBytes, 'the end of the last line'); // it may follow the line
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
  it.skipIf(!canRun)('serves telnet in a terminal, and the next session after it', async () => {
    const { server, port } = await startServer({ strategy });
    await session(server, port, ['hello', 'a much longer line than the first one', 'bye']);
    await session(server, port, ['again']);
    const { connections, bytesIn, bytesOut } = server.stats();
    expect(connections).toMatchObject({ accepted: 2, active: 0, closed: { eof: 2, error: 0 } });
    expect(bytesOut).toBe(bytesIn);
  });
});
