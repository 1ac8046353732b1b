/**
 * A network whose packets take a while: two network namespaces, joined by a relay that passes each IP packet on after
 * `delayMs`. Run in a namespace of its own: delaying-relay.ts DELAY_MS. It prints the pids of two processes, one in each
 * of the namespaces, as JSON, and relays until it is killed.
 *
 * The relay holds the other ends of a TUN device in each namespace. A TUN device stays with its descriptor when it is
 * moved to another namespace.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { openSync, read, readlinkSync, writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { check, libc } from '../../src/sys/libc.ts';

const TUNSETIFF = 0x400454ca;
const IFF_TUN = 1;
const IFF_NO_PI = 0x1000;
const IFREQ_BYTES = 40;
const FLAGS_AT = 16;
const PACKET_BYTES = 65_536;

function tun(name: string): number {
  const fd = openSync('/dev/net/tun', 'r+');
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name);
  request.writeUInt16LE(IFF_TUN | IFF_NO_PI, FLAGS_AT);
  check('ioctl', libc.ioctl(fd, TUNSETIFF, request), 'creating a TUN device');
  return fd;
}

/** A process that only holds a namespace, and ends with this one. */
async function holder(): Promise<ChildProcess & { pid: number }> {
  const child = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const { pid } = child;
  if (pid === undefined) throw new Error('cannot start unshare');
  const own = readlinkSync('/proc/self/ns/net');
  while (readlinkSync(`/proc/${pid}/ns/net`) === own) await pause(10);
  return Object.assign(child, { pid });
}

function moveTo(pid: number, device: string, address: string): void {
  execFileSync('ip', ['link', 'set', device, 'netns', String(pid)]);
  const there = `ip link set lo up; ip address add ${address}/24 dev ${device}; ip link set ${device} up`;
  execFileSync('nsenter', [`--net=/proc/${pid}/ns/net`, 'sh', '-ec', there]);
}

function relay(from: number, to: number, delayMs: number): void {
  const next = () =>
    read(from, Buffer.alloc(PACKET_BYTES), (error, bytes, packet) => {
      if (error !== null) throw error;
      setTimeout(() => writeSync(to, packet, 0, bytes), delayMs); // equal delays keep the order
      next();
    });
  next();
}

const delayMs = Number(process.argv[2]);
const [near, far] = [tun('near'), tun('far')];
const [client, server] = [await holder(), await holder()];
moveTo(client.pid, 'near', '10.77.0.1');
moveTo(server.pid, 'far', '10.77.0.2');
relay(near, far, delayMs);
relay(far, near, delayMs);
process.stdout.write(`${JSON.stringify({ client: client.pid, server: server.pid })}\n`);
