/**
 * The system calls of a worker thread, through the FFI (calls-ffi.ts) or Node's fs (calls-fs.ts).
 *
 * Results are byte counts, or a negative errno as inside the kernel; EINTR is retried.
 */
export interface SystemCalls {
  /** Receives into the buffer; 0 at the peer's FIN. */
  recv(fd: number, buffer: Uint8Array): number;
  /** Sends the buffer's bytes from `start` to `end`. */
  send(fd: number, buffer: Uint8Array, start: number, end: number): number;
  /** Bytes that send is sure to take on a non-blocking socket; 0 when it waits for room. */
  sendRoom(fd: number): number;
  /** Shows the peer the end before main closes the descriptor. `orderly`: after the peer's FIN, with all echoed. */
  end(fd: number, orderly: boolean): void;
  /** CPU time of the calling thread in milliseconds, for services that burn. */
  threadCpuMs(): number;
}
