/**
 * Goal: checking whether a connection is in a worklist changes nothing: it neither adds the connection nor undoes what
 * a worker in its item does at the same time; and checking whether anything is ready does not change the order.
 * Method: an eventfd, always writable and never readable here, in a real worklist. The worker's steps happen where the
 * check reads the connection's events.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { Worklist } from '../src/queue/worklist.ts';
import {
  EPOLLIN,
  EPOLLOUT,
  EventList,
  epollCountReady,
  epollHasReady,
  epollModify,
  epollWait,
  eventfdCreate,
  eventfdSignal,
} from '../src/sys/epoll.ts';
import { closeFd } from '../src/sys/socket.ts';

function start(): { worklist: Worklist; fd: number; isReported: () => boolean } {
  const worklist = new Worklist();
  const fd = eventfdCreate();
  onTestFinished(() => {
    closeFd(fd);
    worklist.close();
  });
  const isReported = () => epollWait(worklist.epollFd, new EventList(4), 0) === 1;
  return { worklist, fd, isReported };
}

describe('the check whether a connection is in a worklist', () => {
  it.each([EPOLLIN, EPOLLOUT])('does not add it (events %i)', (events) => {
    const { worklist, fd, isReported } = start();
    expect(worklist.has(fd, () => events)).toBe(false);
    expect(isReported()).toBe(false);
    expect(worklist.delete(fd)).toBe(false);
  });

  it('leaves an entry unchanged', () => {
    const { worklist, fd, isReported } = start();
    worklist.add(fd);
    expect(worklist.has(fd, () => EPOLLIN)).toBe(true);
    expect(isReported()).toBe(false);
    epollModify(worklist.epollFd, fd, EPOLLOUT);
    expect(worklist.has(fd, () => EPOLLOUT)).toBe(true);
    expect(isReported()).toBe(true);
  });

  it.each([
    ['spills', EPOLLIN, EPOLLOUT],
    ['has sent the rest', EPOLLOUT, EPOLLIN],
  ])('keeps the change of a worker that %s at the same time', (_, before, after) => {
    const { worklist, fd, isReported } = start();
    worklist.add(fd);
    epollModify(worklist.epollFd, fd, before);
    let waitsFor = before;
    const events = () => {
      const read = waitsFor;
      if (waitsFor === before) {
        waitsFor = after;
        epollModify(worklist.epollFd, fd, after);
      }
      return read;
    };
    expect(worklist.has(fd, events)).toBe(true);
    expect(isReported()).toBe(after === EPOLLOUT);
  });

  it('does not add what a worker removes at the same time', () => {
    const { worklist, fd } = start();
    worklist.add(fd);
    const events = () => {
      worklist.delete(fd);
      return EPOLLIN;
    };
    expect(worklist.has(fd, events)).toBe(false);
    expect(worklist.delete(fd)).toBe(false);
  });
});

describe('the check whether a worklist has something ready', () => {
  it('sees it, and keeps the order', () => {
    const worklist = new Worklist();
    const fds = [eventfdCreate(), eventfdCreate(), eventfdCreate()];
    onTestFinished(() => {
      for (const fd of fds) closeFd(fd);
      worklist.close();
    });
    for (const fd of fds) worklist.add(fd);
    expect(epollHasReady(worklist.epollFd)).toBe(false);
    expect(epollCountReady(worklist.epollFd)).toBe(0);
    for (const fd of fds) eventfdSignal(fd);
    const events = new EventList(4);
    for (let times = 0; times < 2; times++) {
      expect(epollHasReady(worklist.epollFd)).toBe(true);
      expect(epollCountReady(worklist.epollFd)).toBe(fds.length);
    }
    expect(epollWait(worklist.epollFd, events, 0)).toBe(fds.length);
    expect(fds.map((_, i) => events.fd(i))).toEqual(fds);
  });
});
