/**
 * Goal: a `top` that is stopped and continued takes the terminal once each time, however it was stopped; one that is
 * ended while it is stopped leaves the shell's terminal alone.
 * Method: `top` in a real terminal (tmux), with all bytes that go to it recorded: entering and leaving the alternate
 * buffer can be counted.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BIN } from './support/child.ts';
import { FakeAdmin, fakeStatus } from './support/fake-admin.ts';
import { temporaryFolder } from './support/folder.ts';
import { HAS_TMUX, Terminal } from './support/terminal.ts';
import { until } from './support/wait.ts';

const ALTERNATE_ON = '\x1b[?1049h';
const ALTERNATE_OFF = '\x1b[?1049l';

/** top on a terminal, begun to show figures. */
async function startTop() {
  const folder = temporaryFolder();
  const admin = await new FakeAdmin(() => fakeStatus(3, 2)).start();
  const terminal = new Terminal(80, 24);
  const file = join(folder, 'bytes');
  await terminal.prompt();
  terminal.record(file);
  terminal.type(`${process.execPath} ${BIN} top --interval 100ms ${admin.address}`);
  await terminal.shows('CPUitsv');
  const seen = (text: string) => readFileSync(file, 'latin1').split(text).length - 1;
  await until(() => seen(ALTERNATE_ON) === 1, 'the first screen');
  /** How often it was written once it was at least so often: the record may come behind the screen. */
  const times = async (text: string, least: number) => {
    await until(
      () => seen(text) >= least,
      () => `${seen(text)} of ${least} changes of the buffer`,
    );
    return seen(text);
  };
  return {
    terminal,
    folder,
    admin,
    entered: (least: number) => times(ALTERNATE_ON, least),
    left: (least: number) => times(ALTERNATE_OFF, least),
  };
}

/** The shell has the terminal. */
async function stopped(terminal: Terminal): Promise<void> {
  await terminal.until((text) => /stopped/i.test(text), 'the word of the shell');
  await terminal.prompt();
}

describe.skipIf(!HAS_TMUX)('top that is stopped', () => {
  it('by Ctrl-Z, is back once at each fg', async () => {
    const { terminal, admin, entered, left } = await startTop();
    for (let turn = 1; turn <= 3; turn++) {
      terminal.key('C-z');
      await stopped(terminal);
      expect(await left(turn)).toBe(turn);
      terminal.type('clear; fg');
      await terminal.shows('CPUitsv');
      const { requests } = admin;
      await until(() => admin.requests > requests + 3, 'further looks');
      expect(await entered(turn + 1)).toBe(turn + 1);
    }
    terminal.key('q');
    await terminal.prompt();
    expect(await left(4)).toBe(4);
  });

  it('and sent to the background, where it is stopped anew, is back once at fg', async () => {
    const { terminal, folder, admin, entered } = await startTop();
    const file = join(folder, 'jobs');
    terminal.key('C-z');
    await stopped(terminal);
    const again = `until jobs >${file}; grep -qi stopped ${file}; do sleep 0.1; done`;
    terminal.type(`clear; bg; ${again}; echo "again $((40 + 2))"`);
    await terminal.shows('again 42');
    terminal.type('clear; fg');
    await terminal.shows('CPUitsv');
    const { requests } = admin;
    await until(() => admin.requests > requests + 3, 'further looks');
    expect(await entered(2)).toBe(2);
    terminal.key('q');
    await terminal.prompt();
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
  });

  it('and ended by a signal meanwhile, takes nothing', async () => {
    const { terminal, folder, entered } = await startTop();
    const file = join(folder, 'pid');
    terminal.key('C-z');
    await stopped(terminal);
    terminal.type(`clear; jobs -p >${file}; echo "told $((40 + 2))"`);
    await terminal.shows('told 42');
    const pid = Number(readFileSync(file, 'utf8').trim());
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGCONT');
    terminal.type('clear; fg; echo "over $((40 + 2))"'); // Node itself stops at its end in the background (SIGTTOU)
    await terminal.shows('over 42');
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    expect(await entered(1)).toBe(1);
  });
});
