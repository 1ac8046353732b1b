/**
 * The system calls of a worker thread: through the FFI (calls-ffi.ts) or through Node's fs (calls-fs.ts). The echo loop
 * is the same.
 *
 * Results are counts, or a negative errno as inside the kernel; EINTR is retried.
 */
export interface SystemCalls {
  /** Receives at most the buffer: the count, 0 at the peer's FIN, or a negative errno. */
  recv(fd: number, buffer: Uint8Array): number;
  /** Sends the bytes of the buffer from `start` to `end`: the count, or a negative errno. */
  send(fd: number, buffer: Uint8Array, start: number, end: number): number;
  /** How many bytes send is sure to take of a non-blocking socket; 0 when it waits for room. */
  sendRoom(fd: number): number;
  /** Shows the peer the end before main closes the descriptor. `wanted`: by the peer, which has all of its echo. */
  end(fd: number, wanted: boolean): void;
  /** CPU time of the calling thread in milliseconds, for services that burn. */
  threadCpuMs(): number;
}
