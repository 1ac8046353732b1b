/**
 * A peer that can vanish: its kernel then drops all packets for its TCP socket, so that it neither acknowledges nor
 * answers, as after a cut cable (SO_ATTACH_FILTER with a program that accepts no packet, socket(7)).
 */
import koffi from 'koffi';
import { onTestFinished } from 'vitest';
import { check, libc } from '../../src/sys/libc.ts';
import { encodeSockaddr } from '../../src/sys/sockaddr.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;

// struct sock_fprog of linux/filter.h.
const fprog = koffi.struct('sock_fprog', { len: 'uint16', filter: 'void*' });
const setFilter = koffi
  .load(null)
  .func('setsockopt', 'int', ['int', 'int', 'int', koffi.pointer(fprog), 'uint']);
// One instruction, BPF_RET | BPF_K with 0: keep 0 bytes of the packet.
const DROP_ALL = Buffer.from(new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0]));

/** A blocking socket connected to 127.0.0.1, closed after the test. */
export class MortalPeer {
  private readonly fd: number;

  constructor(port: number) {
    this.fd = check('socket', libc.socket(AF_INET, SOCK_STREAM, 0), 'making a peer');
    onTestFinished(() => {
      libc.close(this.fd);
    });
    const address = encodeSockaddr('127.0.0.1', port);
    check('connect', libc.connect(this.fd, address, address.length), 'connecting a peer');
  }

  send(text: string): void {
    const bytes = Buffer.from(text);
    check('send', libc.send(this.fd, bytes, bytes.length, 0), 'sending');
  }

  /** From now on, drops all packets. */
  die(): void {
    const result = setFilter(this.fd, SOL_SOCKET, SO_ATTACH_FILTER, { len: 1, filter: DROP_ALL }, 16);
    check('setsockopt', result as number, 'cutting a peer off');
  }
}
