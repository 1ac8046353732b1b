/**
 * Goal: a suspended `top` takes the terminal exactly once at each continue, however it was stopped; one that is killed
 * while stopped leaves the shell's terminal alone.
 * Method: `top` in a real terminal (tmux) with all its output recorded, so that entering and leaving the alternate
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

/** top on a terminal, already showing figures. */
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
  /** Occurrences of `text`, once there are `least`: the recording may lag behind the screen. */
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

/** Waits until the shell has the terminal. */
async function stopped(terminal: Terminal): Promise<void> {
  await terminal.until((text) => /stopped/i.test(text), 'the message of the shell');
  await terminal.prompt();
}

describe.skipIf(!HAS_TMUX)('a suspended top', () => {
  it('takes the terminal once at each fg after Ctrl-Z', async () => {
    const { terminal, admin, entered, left } = await startTop();
    for (let turn = 1; turn <= 3; turn++) {
      terminal.key('C-z');
      await stopped(terminal);
      expect(await left(turn)).toBe(turn);
      terminal.type('clear; fg');
      await terminal.shows('CPUitsv');
      const { requests } = admin;
      await until(() => admin.requests > requests + 3, 'further requests');
      expect(await entered(turn + 1)).toBe(turn + 1);
    }
    terminal.key('q');
    await terminal.prompt();
    expect(await left(4)).toBe(4);
  });

  it('takes the terminal once at fg after it was stopped again in the background', async () => {
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
    await until(() => admin.requests > requests + 3, 'further requests');
    expect(await entered(2)).toBe(2);
    terminal.key('q');
    await terminal.prompt();
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
  });

  it('does not take the terminal when a signal ends it', async () => {
    const { terminal, folder, entered } = await startTop();
    const file = join(folder, 'pid');
    terminal.key('C-z');
    await stopped(terminal);
    terminal.type(`clear; jobs -p >${file}; echo "listed $((40 + 2))"`);
    await terminal.shows('listed 42');
    const pid = Number(readFileSync(file, 'utf8').trim());
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGCONT');
    terminal.type('clear; fg; echo "over $((40 + 2))"'); // in the background Node itself stops at its exit (SIGTTOU)
    await terminal.shows('over 42');
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    expect(await entered(1)).toBe(1);
  });
});
